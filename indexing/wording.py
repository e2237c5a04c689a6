"""Pieces of a source as people read them: signatures, comments, docstrings, columns."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tree_sitter import Node

#: Longest stored signature and documentation, in characters; the rest is cut.
MAX_SIGNATURE = 300
MAX_DOC = 500
#: How much of a source is looked at for them, in bytes: four a character at most; marks take their part.
LOOK_SIGNATURE = 4 * MAX_SIGNATURE
LOOK_DOC = 8 * MAX_DOC

#: What a signature does not end with.
SIGNATURE_END = " \t{:=;"
_MARKS = re.compile(r"^\s*(?:/\*+!?|\*+/|\*|//[/!]*|#+!?|=begin\b|=end\b)? ?|\s*\*+/\s*$|\s+$")
#: A documentation that is longer is looked at in two steps, in characters.
_LONG_DOC = 2 * MAX_DOC
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
        end = min(node.end_byte if body is None else body.start_byte, start + LOOK_SIGNATURE)
        raw = self._content[start:end]
        if b"/*" in raw or b"//" in raw or b"#" in raw:
            raw = self._without_comments(node, start, end)
        return _signature(raw, is_first_line=body is None)

    def is_behind(self, at: int, end: int) -> bool:
        """Whether something stands in front of a byte on its line, what ends at ``end`` and before left out."""
        line = self._content.rfind(b"\n", 0, at) + 1
        return bool(self._content[max(line, end) : at].strip())

    def comment(self, start: int, end: int) -> str | None:
        """What comments say, without their marks; None when they stand behind something else, or say nothing."""
        line = self._content.rfind(b"\n", 0, start) + 1
        if self._content[line:start].strip():
            return None
        return comment_of(self._beginning(start, end))

    def docstring(self, start: int, end: int) -> str | None:
        """What a string literal says."""
        return docstring_of(self._beginning(start, end))

    def _beginning(self, start: int, end: int) -> str:
        return self._content[start : min(end, start + LOOK_DOC)].decode("utf-8", "ignore")

    def _without_comments(self, node: Node, start: int, end: int) -> bytes:
        kept = []
        for child in node.children:
            if child.start_byte >= end:
                break
            if child.start_byte >= start and "comment" in child.type:
                kept.append(self._content[start : child.start_byte])
                start = child.end_byte
        return b"".join([*kept, self._content[start:end]])


def signature_of(text: str) -> str:
    """A signature on one line; the text of it goes up to the body, and has no comments and no NUL."""
    return " ".join(text.split()).rstrip(SIGNATURE_END)[:MAX_SIGNATURE]


def first_line_of(text: str) -> str:
    """The same of what has no body."""
    return _without_nul(signature_of(text.lstrip().partition("\n")[0]))


def comment_of(text: str) -> str | None:
    """What comments say, without their marks; None when they say nothing."""
    return _joined([_unmarked(each) for each in text.splitlines()])


def docstring_of(text: str) -> str | None:
    """What a string literal says; None when that is nothing."""
    quotes = _STRING.match(text)
    if quotes is not None:
        text = text[quotes.end() :].removesuffix(quotes[1])
    if len(text) > _LONG_DOC:
        # Most of the time its beginning is all that is kept. Its last line may go on.
        said = "\n".join([each.strip() for each in text[:_LONG_DOC].splitlines()[:-1]]).strip()
        if len(said) >= MAX_DOC:
            return _without_nul(said[:MAX_DOC]).rstrip()
    return _joined([each.strip() for each in text.splitlines()])


def _signature(raw: bytes, *, is_first_line: bool) -> str:
    text = raw.decode("utf-8", "replace")
    return first_line_of(text) if is_first_line else _without_nul(signature_of(text))


def _unmarked(line: str) -> str:
    said = line.strip()
    if said[:1] != "#" or said.endswith("*/"):
        return _MARKS.sub("", line)
    return said.lstrip("#").removeprefix("!").removeprefix(" ")


def _joined(lines: list[str]) -> str | None:
    return _without_nul("\n".join(lines).strip())[:MAX_DOC].rstrip() or None


def _without_nul(text: str) -> str:
    return text.replace("\x00", "\N{REPLACEMENT CHARACTER}") if "\x00" in text else text
