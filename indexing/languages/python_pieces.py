"""Pieces of a Python source as its rows show them.

A source is its bytes, each taken for a character (Latin-1): places are in bytes, no piece needs to be decoded where
all of a file is ASCII, and patterns and methods see the same bytes as ever.
"""

from __future__ import annotations

from typing import Final

from indexing.wording import LOOK_DOC, LOOK_SIGNATURE, MAX_SIGNATURE, SIGNATURE_END, signature_of
from indexing.written import field

#: What bytes call spaces: for characters, more of those are.
SPACES: Final = " \t\n\r\x0b\f"
#: What characters call spaces in ASCII, beside that between words and the end of a line.
_ODD_SPACES: Final = "\t\r\x0b\f\x1c\x1d\x1e\x1f"


class Unsure(Exception):
    """A tree is needed."""


def as_text(piece: str) -> str:
    """A piece of a source as UTF-8."""
    return piece if piece.isascii() else piece.encode("latin-1").decode("utf-8", "replace")


def beginning(piece: str) -> str:
    """The same of a documentation, as far as it matters; a letter that is cut is left out."""
    piece = piece[:LOOK_DOC]
    return piece if piece.isascii() else piece.encode("latin-1").decode("utf-8", "ignore")


class Pieces:
    """One source."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._is_ascii = text.isascii()
        #: Whether words have but single spaces between them where there are no two in a row and no end of a line.
        self._is_plain = self._is_ascii and not any(space in text for space in _ODD_SPACES)
        self._counted_to = 0
        self._line = 1

    def _line_of(self, at: int) -> int:
        """The number of a line; cheap when it is near the one that was asked for before."""
        if at >= self._counted_to:
            self._line += self._text.count("\n", self._counted_to, at)
        else:
            self._line -= self._text.count("\n", at, self._counted_to)
        self._counted_to = at
        return self._line

    def _columns(self, at: int) -> int:
        """How many characters of its line are in front of a byte."""
        line = self._text.rfind("\n", 0, at) + 1
        return at - line if self._is_ascii else len(as_text(self._text[line:at]))

    def _signature(self, text: str) -> str:
        """That of what has a body, up to where that begins; in COPY's text format."""
        if self._is_plain and len(text) <= MAX_SIGNATURE and "  " not in text and "\n" not in text:
            text = text.rstrip(SIGNATURE_END)
        else:
            text = signature_of(as_text(text[:LOOK_SIGNATURE]))
        return text if "\\" not in text else field(text)
