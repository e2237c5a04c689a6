"""The last hour as bars: completed jobs upwards, dead ones on top of them."""

from __future__ import annotations

from collections.abc import Sequence

from .html import Html, join, tag

#: Units of the picture, which is as wide as there is room.
WIDTH, HEIGHT, FOOT = 720, 120, 18


def last_hour(done: Sequence[int], dead: Sequence[int]) -> Html:
    """A picture of so many minutes, the oldest first, and the same in words."""
    highest = max(1, *(sum(both) for both in zip(done, dead, strict=True)))
    step = WIDTH / len(done)
    bars = []
    for minute, (well, badly) in enumerate(zip(done, dead, strict=True)):
        low = _height(well, highest)
        for kind, count, height, foot in (("done", well, low, 0.0), ("dead", badly, _height(badly, highest), low)):
            if count:
                top = HEIGHT - foot - height
                place = {"x": f"{minute * step + 1:.1f}", "y": f"{top:.1f}"}
                size = {"width": f"{step - 2:.1f}", "height": f"{height:.1f}"}
                bars.append(tag("rect", class_=kind, **place, **size))
    axis = tag("line", class_="axis", x1=0, x2=WIDTH, y1=HEIGHT, y2=HEIGHT)
    foot = HEIGHT + FOOT - 4
    words = join(
        tag("text", "1 hour ago", x=0, y=foot),
        tag("text", "now", x=WIDTH, y=foot, text_anchor="end"),
        tag("text", f"{highest:,} a minute", x=0, y=10),
    )
    told = f"Last hour: {sum(done):,} jobs completed, {sum(dead):,} died; the busiest minute had {highest:,}."
    picture = tag("svg", axis, *bars, words, viewBox=f"0 0 {WIDTH} {HEIGHT + FOOT}", role="img", aria_label=told)
    return tag("figure", picture, tag("figcaption", told, class_="muted"))


def _height(count: int, highest: int) -> float:
    return count / highest * (HEIGHT - 14)
