"""Pieces of a source as people read them: signatures, comments, docstrings, columns."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tree_sitter import Node

#: Longest stored signature and documentation, in characters; the rest is cut.
MAX_SIGNATURE = 300
MAX_DOC = 500

_SIGNATURE_END = " \t{:=;"
_MARKS = re.compile(r"^\s*(?:/\*+!?|\*+/|\*|//[/!]*|#+!?|=begin\b|=end\b)? ?|\s*\*+/\s*$|\s+$")
_STRING = re.compile(r"^\w{0,3}(\"{3}|'{3}|\"|')")


class Source:
    """The UTF-8 content of one file."""

    def __init__(self, content: bytes) -> None:
        self._content = content
        self.is_ascii = content.isascii()

    def text(self, node: Node | None) -> str:
        """The source of a node; empty for None."""
        return "" if node is None else self._content[node.start_byte : node.end_byte].decode("utf-8", "replace")

    def column(self, at: int, in_bytes: int | None) -> int:
        """The column of a byte, in characters from 1; ``in_bytes``: the same in bytes from 0, when it is known."""
        if self.is_ascii and in_bytes is not None:
            return in_bytes + 1
        line = self._content.rfind(b"\n", 0, at) + 1
        return at - line + 1 if self.is_ascii else len(self._content[line:at].decode("utf-8", "replace")) + 1

    def signature(self, node: Node, body: Node | None, start: int) -> str:
        """From the beginning of a definition to its body, or its first line, on one line and without comments."""
        # Four bytes a character at most; a cut in the middle of one is left out below.
        end = min(node.end_byte if body is None else body.start_byte, start + 4 * MAX_SIGNATURE)
        raw = self._content[start:end]
        if b"/*" in raw or b"//" in raw or b"#" in raw:
            raw = self._without_comments(node, start, end)
        return _signature(raw, is_first_line=body is None)

    def signature_between(self, start: int, end: int) -> str:
        """The same of what is known to have no comments and no NUL: up to its body."""
        text = self._content[start : min(end, start + 4 * MAX_SIGNATURE)].decode("utf-8", "replace")
        return " ".join(text.split()).rstrip(_SIGNATURE_END)[:MAX_SIGNATURE]

    def first_line(self, start: int, end: int) -> str:
        """The same of what has no body."""
        return _signature(self._content[start : min(end, start + 4 * MAX_SIGNATURE)], is_first_line=True)

    def is_behind(self, at: int, end: int) -> bool:
        """Whether something stands in front of a byte on its line, what ends at ``end`` and before left out."""
        line = self._content.rfind(b"\n", 0, at) + 1
        return bool(self._content[max(line, end) : at].strip())

    def comment(self, start: int, end: int) -> str | None:
        """What comments say, without their marks; None when they stand behind something else, or say nothing."""
        line = self._content.rfind(b"\n", 0, start) + 1
        if self._content[line:start].strip():
            return None
        lines = self._beginning(start, end).splitlines()
        return _joined([_MARKS.sub("", each) for each in lines])

    def docstring(self, start: int, end: int) -> str | None:
        """What a string literal says."""
        text = self._beginning(start, end)
        quotes = _STRING.match(text)
        if quotes is not None:
            text = text[quotes.end() :].removesuffix(quotes[1])
        return _joined([each.strip() for each in text.splitlines()])

    def _beginning(self, start: int, end: int) -> str:
        # Marks and indentation take their part of it.
        return self._content[start : min(end, start + 8 * MAX_DOC)].decode("utf-8", "ignore")

    def _without_comments(self, node: Node, start: int, end: int) -> bytes:
        kept = []
        for child in node.children:
            if child.start_byte >= end:
                break
            if child.start_byte >= start and "comment" in child.type:
                kept.append(self._content[start : child.start_byte])
                start = child.end_byte
        return b"".join([*kept, self._content[start:end]])


def _signature(raw: bytes, *, is_first_line: bool) -> str:
    text = raw.decode("utf-8", "replace")
    if is_first_line:
        text = text.lstrip().partition("\n")[0]
    text = " ".join(text.split()).rstrip(_SIGNATURE_END)
    return _without_nul(text)[:MAX_SIGNATURE]


def _joined(lines: list[str]) -> str | None:
    return _without_nul("\n".join(lines).strip())[:MAX_DOC].rstrip() or None


def _without_nul(text: str) -> str:
    return text.replace("\x00", "\N{REPLACEMENT CHARACTER}") if "\x00" in text else text
