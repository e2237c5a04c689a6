"""Comments of a Python source: what they belong to, and where a body ends that has some behind it."""

from __future__ import annotations

from typing import Final

from indexing.languages import python_lines as lines
from indexing.languages.python_pieces import SPACES, Pieces, Unsure, beginning
from indexing.wording import comment_of

#: No statement ends with them.
TRAILING: Final = " \t\r\n\f"


class Comments(Pieces):
    """Those of one source."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        #: Where the ordinary lines begin that end at the present one.
        self._ordinary = 0

    def _behind_comments(self, at: int, begin: int, length: int) -> int:
        text = self._text
        while at < begin:
            end = text.index("\n", at) + 1
            line = text[at:end]
            stripped = line.lstrip(" \t")
            if stripped.startswith("#") and len(line) - len(stripped) < length:
                break
            if stripped.startswith(("\f", "\r")) and "#" in stripped:
                raise Unsure
            at = end
        return at

    def _trimmed(self, end: int) -> int:
        """The end of a body that ends with the line in front of ``end``."""
        text = self._text
        while text[end - 1] in TRAILING:
            end -= 1
        if text[end] != "\n":
            # A comment goes to the very end of its line.
            below, above = text.find("\n", end) + 1, text.rfind("\n", 0, end) + 1
            line = text[above:below]
            if "#" in line and (line.lstrip(SPACES).startswith("#") or self._has_comment(above, below)):
                end = below - 1
        return end

    def _comment_above(self, first: int, *, is_decorated: bool = False) -> str | None:
        """The comment in front of the line that begins there, or between it and its decorators."""
        text = self._text
        top = bottom = first
        while top:
            above = text.rfind("\n", 0, top - 1) + 1
            line = text[above:top].lstrip(" \t")
            if not line.startswith("#"):
                break
            if '"""' in line or "'''" in line or "\f" in line:
                raise Unsure
            top = above
        if top == bottom:
            return None
        line = text[above:top] if top else ""
        if line.rstrip("\r\n").endswith("\\"):
            raise Unsure
        if "#" in line and not is_decorated and self._has_comment(above, top):
            # It begins behind a statement, and says something of that.
            return None
        start = lines.indentation(text, top).end()
        return comment_of(beginning(text[start : bottom - 1]))

    def _has_comment(self, begin: int, end: int) -> bool:
        """Whether a line that is not a comment ends with one. Its statement may begin far above."""
        at = self._ordinary
        while at <= begin:
            at = lines.gap(self._text, at).end()
            at = lines.indentation(self._text, at).end()
            while statement := lines.simple(self._text, at + self._text.startswith("@", at)):
                at = statement
                at += self._text.startswith(";", at)
                at = lines.indentation(self._text, at).end()
            line = lines.END.match(self._text, at)
            if line is None:
                break
            if line.end() == end:
                return self._text.startswith("#", at)
            at = line.end()
        raise Unsure
