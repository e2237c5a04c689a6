"""Contents as text, whatever their encoding."""

from __future__ import annotations

from codecs import BOM_UTF8, BOM_UTF16_BE, BOM_UTF16_LE

from indexing import skips
from indexing.frames import Rows

#: Where a NUL byte says that a file is not text: git's own rule, in bytes.
_BINARY_LOOK_BYTES = 8000


def as_utf8(content: bytes) -> tuple[bytes, int | None] | None:
    """A text in UTF-8 without its mark, and how far it is moved by that (None: it was not UTF-8); None for no text."""
    if content.startswith(BOM_UTF8):
        return content[len(BOM_UTF8) :], len(BOM_UTF8)
    if content.startswith((BOM_UTF16_LE, BOM_UTF16_BE)):
        return content.decode("utf-16", "replace").encode("utf-8", "replace"), None
    if b"\x00" in content[:_BINARY_LOOK_BYTES]:
        return None
    if content.isascii():
        return content, 0
    try:
        content.decode("utf-8")
    except UnicodeDecodeError:
        # Every byte is a character of Latin-1, so nothing is lost; line numbers are the same.
        return content.decode("latin-1").encode("utf-8"), None
    return content, 0


def line_count(source: bytes, start: int = 0) -> int:
    """Lines behind a byte, the last of which may lack its end."""
    return source.count(b"\n", start) + (not source.endswith(b"\n") and source != b"")


def rows_of_text(content: bytes) -> Rows:
    """What is stored of a content in no language: its lines. That is too little to hand it to a parser."""
    decoded = as_utf8(content)
    return Rows(None, skips.BINARY) if decoded is None else Rows(line_count(decoded[0]), None)
