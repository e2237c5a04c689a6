"""What a commit contains, kept in a file on disk: git's list of paths, with the sizes of their blobs.

``entries`` reads it again for each step, so that no step holds more than the entry at hand.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import IO, Final, NamedTuple

from indexing import languages, paths, skips
from indexing.errors import RepositoryTooLarge
from indexing.limits import Limits
from indexing.objects import ObjectStore

_SYMLINK_MODE: Final = b"120000"
_SUBMODULE_MODE: Final = b"160000"

#: What git says of the size of an object that is missing or cannot be read.
_NO_SIZE: Final = b"BAD"

#: How much of a list is read at a time, in bytes.
_READ_BYTES: Final = 1 << 20


class Entry(NamedTuple):
    """One path of a commit. Without a skip reason it is a blob to be read."""

    path: str
    oid: str
    size_bytes: int | None
    language: str | None
    skip_reason: str | None


@dataclass(frozen=True)
class Listing:
    """The paths of one commit, in git's order; valid while the file is open."""

    lines: IO[bytes]
    limits: Limits
    count: int
    #: Files that make ``.h`` C++ here.
    cpp_sources: int

    def entries(self) -> Iterator[Entry]:
        """Every path, from the beginning."""
        for line in _lines(self.lines):
            head, _, path = line.partition(b"\t")
            mode, kind, oid, size = head.split()
            size_bytes = int(size) if kind == b"blob" and size != _NO_SIZE else None
            yield entry_of(mode, oid, path, size_bytes, self.limits, has_cpp=self.cpp_sources > 0)


def entry_of(mode: bytes, oid: bytes, path: bytes, size: int | None, limits: Limits, *, has_cpp: bool) -> Entry:
    """The entry of a path. ``size``: of the blob; None when the object is missing, or no blob."""
    text, is_too_long = paths.to_stored(path)
    reason = _skip_reason(mode, size, is_too_long, limits)
    language = None if reason is not None else languages.language_of(path, has_cpp=has_cpp)
    return Entry(text, oid.decode(), size, language, reason)


def is_blob(mode: bytes) -> bool:
    """Whether a tree's mode is that of a content of this repository: anything but a submodule."""
    return mode != _SUBMODULE_MODE


def _skip_reason(mode: bytes, size: int | None, is_too_long: bool, limits: Limits) -> str | None:
    if mode == _SUBMODULE_MODE:
        return skips.SUBMODULE
    if mode == _SYMLINK_MODE:
        return skips.SYMLINK
    if is_too_long:
        return skips.PATH_TOO_LONG
    if size is None:
        return skips.MISSING
    return skips.TOO_LARGE if size > limits.max_file_bytes else None


@contextmanager
def list_commit(store: ObjectStore, sha: str) -> Iterator[Listing]:
    """The listing of a commit, as long as the block runs. RepositoryTooLarge when the limits allow less."""
    with tempfile.TemporaryFile(dir=store.home) as lines:
        store.list_tree(sha, lines)
        count = cpp_sources = 0
        for line in _lines(lines):
            count += 1
            check_count(count, store.limits)
            cpp_sources += languages.is_cpp_source(line.partition(b"\t")[2])
        yield Listing(lines, store.limits, count, cpp_sources)


def check_count(count: int, limits: Limits) -> None:
    """RepositoryTooLarge when a commit has more files than the limits allow."""
    if count > limits.max_files:
        raise RepositoryTooLarge(f"expected a commit of at most {limits.max_files} files, got more")


def _lines(file: IO[bytes]) -> Iterator[bytes]:
    """What a command with ``-z`` wrote, from the beginning, a line at a time."""
    file.seek(0)
    rest = b""
    while chunk := file.read(_READ_BYTES):
        *whole, rest = (rest + chunk).split(b"\x00")
        yield from whole
