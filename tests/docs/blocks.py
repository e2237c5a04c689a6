"""The fenced blocks of a page, and what the comment in front of each says is to be done with it.

    <!-- test: file tasks.py -->            the block is the content of that file
    <!-- test: background until TEXT -->    started, waited for until it has said TEXT, ended with the page
    <!-- test: not run, REASON -->          looked over as far as that goes without running it

Without a comment, `sh`, `python` and `sql` are run; `text` and `console` are for the eye.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

Action = Literal["run", "file", "background", "not run", "look"]

#: Languages that are run, and those that show something.
RUN, SHOWN = ("sh", "python", "sql"), ("text", "console")

_BLOCK = re.compile(r"(?:<!-- test: (?P<told>[^>]*?) -->\s*)?^```(?P<language>\w*)\n(?P<text>.*?)^```$", re.M | re.S)
_TOLD = re.compile(r"(?P<action>file|background until|not run,) (?P<argument>\S.*)", re.S)


@dataclass(frozen=True)
class Block:
    """One block of a page."""

    page: Path
    line: int
    language: str
    text: str
    action: Action
    #: The file's name, the text to wait for, or the reason.
    argument: str = ""

    def __str__(self) -> str:
        return f"{self.page}:{self.line}"


def blocks_of(page: Path) -> Iterator[Block]:
    """Each block, in order. Raises ValueError for one of which nobody can say what is to be done with it."""
    text = page.read_text("utf-8")
    for match in _BLOCK.finditer(text):
        language, told = match["language"], match["told"]
        line = text.count("\n", 0, match.start("language")) + 1
        action, argument = _action(language, told, f"{page}:{line}")
        yield Block(page, line, language, match["text"], action, argument)


def _action(language: str, told: str | None, place: str) -> tuple[Action, str]:
    if told is not None:
        match = _TOLD.fullmatch(told)
        if match is None:
            raise ValueError(
                f"{place}: expected 'file NAME', 'background until TEXT' or 'not run, REASON', got: {told}"
            )
        actions: dict[str, Action] = {"file": "file", "background until": "background", "not run,": "not run"}
        return actions[match["action"]], match["argument"]
    if language in RUN:
        return "run", ""
    if language in SHOWN:
        return "look", ""
    raise ValueError(f"{place}: expected a block in one of {', '.join(RUN + SHOWN)}, or a comment, got: {language!r}")
