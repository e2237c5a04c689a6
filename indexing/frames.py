"""What parent and parser say to each other over pipes: frames of a length and a body.

    parent -> parser   a batch: a JSON line [[language, size_bytes], ...] and then the contents, one behind the other
    parser -> parent   its process id, and then one frame a file, in the order of the batch: a JSON line [lines,
                        skip_reason, symbols, imports, names] of which two are numbers, then a line for each symbol and
                        each import

The lines are rows of COPY's text format, but for the id of their content: the parent has one process and the parsers
are several, so the writing is theirs. Text and not pickle: a parser that a file has taken over must not run code in the
parent, nor write rows of other contents.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Iterable, Iterator, Sequence
from itertools import count
from typing import Any, BinaryIO, NamedTuple

from indexing.found import Import, Symbol

_LENGTH = struct.Struct(">I")

#: A longer frame is not an answer but a parser gone mad, in bytes.
MAX_FRAME_BYTES = 256 * 1024 * 1024

#: Between the columns of a row, its ordinal included.
_SYMBOL_TABS = len(Symbol._fields)
_IMPORT_TABS = len(Import._fields)


class Parsed(NamedTuple):
    """What is in one file. ``lines`` is None when it is not text or was not read to the end."""

    lines: int | None
    skip_reason: str | None
    symbols: Sequence[Symbol]
    imports: Sequence[Import] = ()


class Rows(NamedTuple):
    """The same on its way to the database: each line is a row without the id of the content."""

    lines: int | None
    skip_reason: str | None
    symbol_count: int = 0
    symbols: str = ""
    imports: str = ""
    #: Of the symbols, each once.
    names: Sequence[str] = ()


def pack(body: bytes) -> bytes:
    """A frame."""
    return _LENGTH.pack(len(body)) + body


def unpack(buffer: bytearray) -> bytes | None:
    """Take the first frame out of a buffer; None when it is not whole yet. ValueError when it is too long."""
    if len(buffer) < _LENGTH.size:
        return None
    (length,) = _LENGTH.unpack_from(buffer)
    if length > MAX_FRAME_BYTES:
        raise ValueError(f"expected a frame of at most {MAX_FRAME_BYTES} bytes, got {length}")
    end = _LENGTH.size + length
    if len(buffer) < end:
        return None
    body = bytes(buffer[_LENGTH.size : end])
    del buffer[:end]
    return body


def read(stream: BinaryIO) -> bytes | None:
    """The next frame of a blocking stream; None at its end."""
    head = stream.read(_LENGTH.size)
    if len(head) < _LENGTH.size:
        return None
    (length,) = _LENGTH.unpack(head)
    body = stream.read(length)
    return body if len(body) == length else None


def encode_ready(pid: int) -> bytes:
    """The first frame of a parser: it has started."""
    return pack(b"ready %d" % pid)


def decode_ready(body: bytes) -> int:
    """The process id in it. ValueError when it is none."""
    if not body.startswith(b"ready "):
        raise ValueError(f"expected a parser that is ready, got {body[:80]!r}")
    return int(body[6:])


def encode_batch(files: Sequence[tuple[str, bytes]]) -> list[bytes]:
    """Languages and contents as one frame, in pieces."""
    head = json.dumps([(language, len(content)) for language, content in files]).encode() + b"\n"
    length = len(head) + sum(len(content) for _, content in files)
    return [_LENGTH.pack(length) + head, *(content for _, content in files)]


def decode_batch(body: bytes) -> Iterator[tuple[str, bytes]]:
    """The languages and contents of a batch."""
    head, _, contents = body.partition(b"\n")
    start = 0
    for language, size in json.loads(head):
        yield language, contents[start : start + size]
        start += size


def encode_parsed(parsed: Parsed) -> bytes:
    """One answer as a frame."""
    symbols, imports = parsed.symbols, parsed.imports
    names = list(dict.fromkeys([symbol[0] for symbol in symbols]))
    head = json.dumps([parsed.lines, parsed.skip_reason, len(symbols), len(imports), names])
    rows = [head]
    rows += map(_symbol_row, count(), symbols)
    rows += map(_row, count(), imports)
    return pack("\n".join(rows).encode("utf-8", "replace"))


def decode_parsed(body: bytes) -> Rows:
    """The answer in a frame. ValueError when it is none."""
    try:
        head, _, text = body.decode().partition("\n")
        lines, skip_reason, symbol_count, import_count, names = json.loads(head)
        rows = text.split("\n") if text else []
        if len(rows) != symbol_count + import_count or not all(map(_is_text, names)):
            raise ValueError("rows are missing")
        symbols, imports = rows[:symbol_count], rows[symbol_count:]
        if any(row.count("\t") != _SYMBOL_TABS for row in symbols) or any(
            row.count("\t") != _IMPORT_TABS for row in imports
        ):
            raise ValueError("columns are missing")
        return Rows(lines, skip_reason, symbol_count, "\n".join(symbols), "\n".join(imports), names)
    except (TypeError, ValueError) as error:
        raise ValueError(f"expected an answer of a parser, got {body[:80]!r}") from error


def _symbol_row(ordinal: int, symbol: Symbol) -> str:
    """The same as ``_row``, in half the time for the symbols that need no escapes: nearly all."""
    name, kind, line, last_line, signature, parent, column, last_column, first_byte, end_byte, doc, exported = symbol
    texts = name + signature if parent is None else name + signature + parent
    if first_byte is None or exported is None or "\\" in texts or not texts.isprintable():
        return _row(ordinal, symbol)
    around, said = "\\N" if parent is None else parent, "\\N" if doc is None else copy_field(doc)
    return (
        f"{ordinal}\t{name}\t{kind}\t{line}\t{last_line}\t{signature}\t{around}\t{column}\t{last_column}"
        f"\t{first_byte}\t{end_byte}\t{said}\t{exported}"
    )


def _row(ordinal: int, values: Iterable[Any]) -> str:
    return "\t".join([str(ordinal), *[copy_field(value) for value in values]])


def copy_field(value: object) -> str:
    """A text, a number or None in COPY's text format."""
    if type(value) is str:
        # A table for str.translate takes five times as long for the short texts that these are.
        return value.replace("\\", "\\\\").replace("\n", "\\n").replace("\t", "\\t").replace("\r", "\\r")
    return "\\N" if value is None else str(value)


def _is_text(value: object) -> bool:
    return type(value) is str
