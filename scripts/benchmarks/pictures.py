"""One picture for each question. Needs matplotlib, which is no part of the development environment."""

from __future__ import annotations

from pathlib import Path

import matplotlib
from matplotlib import pyplot

from .figures import Answer, Figure
from .report import number

#: Colour of this product, and of everybody else.
OURS, OTHERS = "#1f6feb", "#9aa4b2"

#: Colours of lines, in order.
LINES = ("#1f6feb", "#d9480f", "#2b8a3e", "#9c36b5")

#: Inches.
WIDTH, BAR_HEIGHT, FRAME_HEIGHT, LINES_HEIGHT = 8.0, 0.36, 1.3, 4.0

matplotlib.use("svg")
# Readable as text, and the same bytes for the same figures.
matplotlib.rcParams.update({"svg.fonttype": "none", "svg.hashsalt": "benchmarks", "font.size": 10})


def draw(answer: Answer, directory: Path) -> Path:
    """Draw an answer's figures that share the first one's unit. Returns the file."""
    figures = [figure for figure in answer.figures if figure.unit == answer.figures[0].unit]
    if answer.picture == "lines":
        _draw_lines(figures)
    else:
        _draw_bars(figures)
    pyplot.title(answer.question, loc="left", fontsize=11)
    directory.mkdir(parents=True, exist_ok=True)
    path = directory / f"bench-{answer.name}.svg"
    pyplot.savefig(path, bbox_inches="tight", metadata={"Date": None})
    pyplot.close()
    return path


def _draw_bars(figures: list[Figure]) -> None:
    pyplot.figure(figsize=(WIDTH, FRAME_HEIGHT + BAR_HEIGHT * len(figures)))
    places = range(len(figures), 0, -1)
    medians = [figure.median for figure in figures]
    pyplot.barh(
        places,
        medians,
        height=0.7,
        color=[OURS if figure.contender == "leasequeue" else OTHERS for figure in figures],
        xerr=[
            [figure.median - figure.low for figure in figures],
            [figure.high - figure.median for figure in figures],
        ],
        error_kw={"elinewidth": 1, "ecolor": "#444444", "capsize": 2},
    )
    pyplot.yticks(places, [f"{figure.contender}, {figure.setting}" for figure in figures])
    reach = max((figure.high for figure in figures), default=1) or 1
    for place, figure in zip(places, figures, strict=True):
        pyplot.text(figure.high + reach * 0.015, place, number(figure.median), va="center")
    pyplot.xlim(0, reach * 1.15)
    pyplot.xlabel(f"{figures[0].unit}: median, least and most")
    _bare()


def _draw_lines(figures: list[Figure]) -> None:
    pyplot.figure(figsize=(WIDTH, LINES_HEIGHT))
    names = list(dict.fromkeys(figure.contender for figure in figures))
    for name, colour in zip(names, LINES, strict=False):
        mine = [figure for figure in figures if figure.contender == name]
        settings = [figure.setting for figure in mine]
        pyplot.plot(settings, [figure.median for figure in mine], marker="o", color=colour, label=name)
        pyplot.fill_between(
            settings,
            [figure.low for figure in mine],
            [figure.high for figure in mine],
            color=colour,
            alpha=0.12,
            linewidth=0,
        )
    pyplot.ylim(bottom=0)
    pyplot.ylabel(f"{figures[0].unit}: median, least and most")
    pyplot.legend(frameon=False)
    _bare()


def _bare() -> None:
    axes = pyplot.gca()
    axes.spines[["top", "right"]].set_visible(False)
