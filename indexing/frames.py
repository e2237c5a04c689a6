"""What parent and parser say to each other over pipes: frames of a length and a body.

    parent -> parser   a batch: a JSON line [[language, size_bytes], ...] and then the contents, one behind the other
    parser -> parent   its process id, and then one frame a file, in the order of the batch: a line of lines,
                        skip_reason, how many symbols, bytes of their rows, how many imports; then the rows, a line
                        for each symbol, and behind them one for each import

Between the columns of all these lines are tabs, and what they say is in COPY's text format. The rows lack nothing but
the id of their content: the parent has one process and the parsers are several, so the writing is theirs. Text and not
pickle: a parser that a file has taken over must not run code in the parent, nor write rows of other contents.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain
from typing import Any, BinaryIO, NamedTuple, cast

from indexing.found import Import, Symbol
from indexing.written import NULL, Written, field

_LENGTH = struct.Struct(">I")

#: A longer frame is not an answer but a parser gone mad, in bytes.
MAX_FRAME_BYTES = 256 * 1024 * 1024

#: Between the columns of a row, its ordinal included.
_SYMBOL_TABS = len(Symbol._fields)
_IMPORT_TABS = len(Import._fields)
#: All but what is between columns and rows.
_NO_SIGNS = bytes(byte for byte in range(256) if byte not in b"\t\n")

#: In COPY's text format.
_FLAGS = {None: NULL, True: "True", False: "False"}


class Parsed(NamedTuple):
    """What is in one file. ``lines`` is None when it is not text or was not read to the end."""

    lines: int | None
    skip_reason: str | None
    symbols: Sequence[Symbol]
    imports: Sequence[Import] = ()


class Rows(NamedTuple):
    """The same on its way to the database: each line is a row without the id of the content, in UTF-8."""

    lines: int | None
    skip_reason: str | None
    symbol_count: int = 0
    symbols: bytes = b""
    imports: bytes = b""


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
    start = body.index(b"\n") + 1
    for language, size in json.loads(body[:start]):
        yield language, body[start : start + size]
        start += size


def encode_parsed(parsed: Parsed) -> bytes:
    """One answer as a frame."""
    found, wanted = parsed.symbols, parsed.imports
    symbols = found.rows if isinstance(found, Written) else _symbol_rows(found)
    imports = wanted.rows if isinstance(wanted, Written) else _import_rows(wanted)
    rows = "\n".join(symbols).encode("utf-8", "replace")
    head = f"{field(parsed.lines)}\t{field(parsed.skip_reason)}\t{len(found)}\t{len(rows)}\t{len(wanted)}\n"
    return pack(b"".join((head.encode(), rows, "\n".join(imports).encode("utf-8", "replace"))))


def decode_parsed(body: bytes) -> Rows:
    """The answer in a frame. ValueError when it is none."""
    try:
        head, rows = body.split(b"\n", 1)
        lines, skip_reason, *counts = head.decode().split("\t")
        symbol_count, symbol_bytes, import_count = map(int, counts)
        symbols, imports = rows[:symbol_bytes], rows[symbol_bytes:]
        if not (_are_rows(symbols, symbol_count, _SYMBOL_TABS) and _are_rows(imports, import_count, _IMPORT_TABS)):
            raise ValueError("rows or columns are missing")
        # Only to see whether they are texts: for COPY they are to be bytes.
        rows.decode()
        return Rows(
            None if lines == NULL else int(lines),
            None if skip_reason == NULL else skip_reason,
            symbol_count,
            symbols,
            imports,
        )
    except ValueError as error:
        raise ValueError(f"expected an answer of a parser, got {body[:80]!r}") from error


def _are_rows(text: bytes, count: int, tabs: int) -> bool:
    """Whether these are so many rows, each of so many columns: seen in one pass, by what is between the columns."""
    if count == 0:
        return not text
    signs = text.translate(None, _NO_SIGNS)
    # Its length first: a count that a parser made up must not take memory.
    return len(signs) == count * (tabs + 1) - 1 and signs == b"\n".join([b"\t" * tabs] * count)


def _symbol_rows(symbols: Sequence[Symbol]) -> list[str]:
    """The rows of a file. Looks at all texts at once: few files need escapes."""
    parents = {symbol[5] for symbol in symbols}
    parents.discard(None)
    if _need_escapes([symbol[4] for symbol in symbols], {symbol[0] for symbol in symbols}, cast("set[str]", parents)):
        symbols = [_escaped(symbol) for symbol in symbols]
    null, flags = NULL, _FLAGS
    return [
        f"{ordinal}\t{name}\t{kind}\t{line}\t{last_line}\t{signature}\t{null if parent is None else parent}"
        f"\t{column}\t{last_column}\t{null if start is None else start}\t{null if end is None else end}"
        f"\t{null if doc is None else field(doc)}\t{flags[exported]}"
        for ordinal, (
            name, kind, line, last_line, signature, parent, column, last_column, start, end, doc, exported
        ) in enumerate(symbols)
    ]  # fmt: skip


def _escaped(symbol: Symbol) -> Symbol:
    """With its texts in COPY's format, but for the documentation."""
    if not _need_escapes((symbol.name, symbol.signature, symbol.parent or "")):
        return symbol
    name, signature, parent = field(symbol.name), field(symbol.signature), field(symbol.parent)
    return symbol._replace(name=name, signature=signature, parent=parent)


def _import_rows(imports: Sequence[Import]) -> list[str]:
    if _need_escapes([each[1] for each in imports], [each[2] or "" for each in imports]):
        return [_row(ordinal, each) for ordinal, each in enumerate(imports)]
    null = NULL
    return [
        f"{ordinal}\t{line}\t{target}\t{null if module is None else module}\t{null if up is None else up}"
        for ordinal, (line, target, module, up) in enumerate(imports)
    ]


def _need_escapes(*texts: Iterable[str]) -> bool:
    """Whether anything in any of them means something to COPY."""
    text = "".join(chain.from_iterable(texts))
    return "\\" in text or "\n" in text or "\t" in text or "\r" in text


def _row(ordinal: int, values: Iterable[Any]) -> str:
    return f"{ordinal}\t{copy_row(values)}"


def copy_row(values: Iterable[Any]) -> str:
    """A row in COPY's text format."""
    return "\t".join([field(value) for value in values])
