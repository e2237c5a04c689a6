"""Pieces of HTML: every text that comes from outside is escaped here and nowhere else."""

from __future__ import annotations

import html
from collections.abc import Iterable, Sequence


class Html(str):
    """Text that is HTML already."""


def join(*pieces: object) -> Html:
    """The pieces as HTML: what is not :class:`Html` is escaped."""
    return Html("".join(piece if isinstance(piece, Html) else html.escape(str(piece)) for piece in pieces))


def tag(name: str, *content: object, **attributes: object) -> Html:
    """An element. ``class_`` and ``for_`` lose their underscore, others become dashes; None leaves one out."""
    given = "".join(
        f' {key.rstrip("_").replace("_", "-")}="{html.escape(str(value))}"'
        for key, value in attributes.items()
        if value is not None
    )
    return Html(f"<{name}{given}>{join(*content)}</{name}>")


def table(caption: str, heads: Sequence[str], rows: Iterable[Sequence[object]], numbers: Iterable[int] = ()) -> Html:
    """A table whose first column names its rows. It scrolls by itself where the screen is narrow.

    Parameters:
      numbers: columns of numbers, which stand to the right.
    """
    right = set(numbers)

    def cell(position: int, content: object) -> Html:
        kind = "number" if position in right else None
        return tag("th", content, scope="row") if position == 0 else tag("td", content, class_=kind)

    head = join(
        *(tag("th", text, scope="col", class_="number" if at in right else None) for at, text in enumerate(heads))
    )
    body = join(*(tag("tr", *(cell(at, content) for at, content in enumerate(row))) for row in rows))
    filled = tag("table", tag("thead", tag("tr", head)), tag("tbody", body))
    return tag("div", filled, class_="wide", role="region", aria_label=caption, tabindex="0")
