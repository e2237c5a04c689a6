r"""Path names as text: git's are bytes, Postgres takes neither NUL nor bytes that are not UTF-8.

A path that is UTF-8 without control characters is stored as it is. Any other, and one that begins with a double quote,
is stored in git's own quoting: between double quotes, ASCII only, ``\n``, ``\t``, ``\"``, ``\\`` and ``\ooo`` in octal.
So a stored path that begins with ``"`` is quoted, every other one is literal, and no two paths look the same.
"""

from __future__ import annotations

import hashlib
import re
from typing import Final

#: Longest stored path, in bytes of UTF-8: a path is a key, and an index row takes 2,700 bytes.
MAX_STORED_BYTES: Final = 2000

#: What is kept of a longer one, in bytes, in front of a digest that tells it from others with the same beginning.
_KEPT_BYTES: Final = 400

_NEEDS_QUOTES = re.compile(r'^"|[\x00-\x1f\x7f]')
_ESCAPES = {
    0x07: "\\a",
    0x08: "\\b",
    0x09: "\\t",
    0x0A: "\\n",
    0x0B: "\\v",
    0x0C: "\\f",
    0x0D: "\\r",
    0x22: '\\"',
    0x5C: "\\\\",
}
_UNESCAPES = {text[1]: byte for byte, text in _ESCAPES.items()}
_ESCAPED = re.compile(r"\\([0-7]{3}|.)|([^\\])", re.DOTALL)


def to_text(path: bytes) -> str:
    """The stored form of a path of git's."""
    try:
        text = path.decode("utf-8")
    except UnicodeDecodeError:
        return _quote(path)
    # The second question takes ten times as long, and is hardly ever needed.
    if text.isprintable() and not text.startswith('"'):
        return text
    return _quote(path) if _NEEDS_QUOTES.search(text) else text


def to_bytes(text: str) -> bytes:
    """The path that ``to_text`` was given. ValueError when the quotes do not match."""
    if not text.startswith('"'):
        return text.encode("utf-8")
    if len(text) < 2 or not text.endswith('"'):
        raise ValueError(f"expected a quoted path to end with a double quote, got {text!r}")
    out = bytearray()
    for escaped, plain in _ESCAPED.findall(text[1:-1]):
        if plain:
            out += plain.encode("utf-8")
        elif len(escaped) == 3:
            out.append(int(escaped, 8))
        else:
            out.append(_UNESCAPES[escaped])
    return bytes(out)


def to_stored(path: bytes) -> tuple[str, bool]:
    """The path as it is stored, and whether it had to be cut: to its beginning, ``~`` and a digest of all of it."""
    text = to_text(path)
    # Most are far below the limit, and a character takes four bytes at most.
    if len(text) * 4 <= MAX_STORED_BYTES or len(text.encode()) <= MAX_STORED_BYTES:
        return text, False
    return f"{to_text(path[:_KEPT_BYTES])}~{hashlib.sha256(path).hexdigest()[:32]}", True


def _quote(path: bytes) -> str:
    return '"' + "".join(_ESCAPES.get(b) or (chr(b) if 0x20 <= b < 0x7F else f"\\{b:03o}") for b in path) + '"'
