"""What parent and parser say to each other over pipes: frames of a length and a body.

    parent -> parser   a batch: a JSON line [[language, size_bytes], ...] and then the contents, one behind the other
    parser -> parent   READY, and then one frame a file, in the order of the batch: JSON [lines, skip_reason, symbols,
                        imports]

JSON and not pickle: a parser that a file has taken over must not run code in the parent.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Iterator, Sequence
from typing import BinaryIO, NamedTuple

from indexing.found import Import, Symbol

_LENGTH = struct.Struct(">I")

#: A longer frame is not an answer but a parser gone mad, in bytes.
MAX_FRAME_BYTES = 256 * 1024 * 1024


class Parsed(NamedTuple):
    """What is in one file. ``lines`` is None when it is not text or was not read to the end."""

    lines: int | None
    skip_reason: str | None
    symbols: Sequence[Symbol]
    imports: Sequence[Import] = ()


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


#: The first frame of a parser: it has started and loaded its languages.
READY = pack(b"ready")


def encode_batch(files: Sequence[tuple[str, bytes]]) -> bytes:
    """Languages and contents as one frame."""
    head = json.dumps([(language, len(content)) for language, content in files]).encode()
    return pack(b"".join([head, b"\n", *(content for _, content in files)]))


def decode_batch(body: bytes) -> Iterator[tuple[str, bytes]]:
    """The languages and contents of a batch."""
    head, _, contents = body.partition(b"\n")
    start = 0
    for language, size in json.loads(head):
        yield language, contents[start : start + size]
        start += size


def encode_parsed(parsed: Parsed) -> bytes:
    """One answer as a frame."""
    return pack(json.dumps(parsed).encode())


def decode_parsed(body: bytes) -> Parsed:
    """The answer in a frame. ValueError when it is none."""
    try:
        lines, skip_reason, symbols, imports = json.loads(body)
        return Parsed(lines, skip_reason, [Symbol(*each) for each in symbols], [Import(*each) for each in imports])
    except TypeError as error:
        raise ValueError(f"expected an answer of a parser, got {body[:80]!r}") from error
