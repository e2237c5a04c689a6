"""What a commit contains, kept in two files on disk: git's list of paths, and the sizes of its blobs.

``entries`` reads them again for each step, so that no step holds more than the entry at hand.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import BinaryIO, Final, NamedTuple

from indexing import languages, paths, skips
from indexing.errors import RepositoryTooLarge
from indexing.limits import Limits
from indexing.objects import ObjectStore

_SYMLINK_MODE: Final = b"120000"

#: How much of a list is read at a time, in bytes.
_READ_BYTES: Final = 1 << 20

#: What is kept of a path that is too long, in bytes; a quoted byte takes four.
_CUT_PATH_BYTES: Final = 1024


class Entry(NamedTuple):
    """One path of a commit, in git's order. Without a skip reason it is a blob to be read."""

    position: int
    path: str
    oid: str
    size_bytes: int | None
    language: str | None
    skip_reason: str | None


@dataclass(frozen=True)
class Listing:
    """The paths and sizes of one commit; valid while both files are open."""

    paths: BinaryIO
    sizes: BinaryIO
    limits: Limits
    count: int
    #: Whether ``.h`` is C++ here.
    has_cpp: bool

    def entries(self) -> Iterator[Entry]:
        """Every path, from the beginning."""
        self.sizes.seek(0)
        for position, (mode, kind, oid, path) in enumerate(_tree_lines(self.paths)):
            size = _size(self.sizes.readline()) if kind == b"blob" else None
            yield self._entry(position, mode, kind, oid, path, size)

    def _entry(self, position: int, mode: bytes, kind: bytes, oid: bytes, path: bytes, size: int | None) -> Entry:
        is_too_long = len(path) > self.limits.max_path_bytes
        text = paths.to_text(path[:_CUT_PATH_BYTES] if is_too_long else path)
        reason = self._skip_reason(mode, kind, size, is_too_long)
        language = None if reason is not None else languages.language_of(path, has_cpp=self.has_cpp)
        return Entry(position, text, oid.decode(), size, language, reason)

    def _skip_reason(self, mode: bytes, kind: bytes, size: int | None, is_too_long: bool) -> str | None:
        if kind == b"commit":
            return skips.SUBMODULE
        if mode == _SYMLINK_MODE:
            return skips.SYMLINK
        if is_too_long:
            return skips.PATH_TOO_LONG
        if size is None:
            return skips.MISSING
        return skips.TOO_LARGE if size > self.limits.max_file_bytes else None


@contextmanager
def list_commit(store: ObjectStore, sha: str) -> Iterator[Listing]:
    """The listing of a commit, as long as the block runs. RepositoryTooLarge when the limits allow less."""
    with (
        tempfile.TemporaryFile(dir=store.home) as tree,
        tempfile.TemporaryFile(dir=store.home) as sizes,
        tempfile.TemporaryFile(dir=store.home) as oids,
    ):
        store.list_tree(sha, tree)
        count = 0
        has_cpp = False
        for _mode, kind, oid, path in _tree_lines(tree):
            count += 1
            if count > store.limits.max_files:
                raise RepositoryTooLarge(f"expected a commit of at most {store.limits.max_files} files, got more")
            if kind == b"blob":
                oids.write(oid + b"\n")
            has_cpp = has_cpp or languages.is_cpp_source(path)
        oids.seek(0)
        store.sizes(oids, sizes)
        yield Listing(tree, sizes, store.limits, count, has_cpp)


def _tree_lines(listing: BinaryIO) -> Iterator[tuple[bytes, bytes, bytes, bytes]]:
    """Mode, kind, object id and path of each ``MODE KIND ID TAB PATH NUL``."""
    listing.seek(0)
    rest = b""
    while chunk := listing.read(_READ_BYTES):
        *lines, rest = (rest + chunk).split(b"\x00")
        for line in lines:
            head, _, path = line.partition(b"\t")
            mode, kind, oid = head.split(b" ")
            yield mode, kind, oid, path


def _size(answer: bytes) -> int | None:
    """From ``ID blob SIZE``; None for ``ID missing`` and for what is no blob."""
    parts = answer.split()
    return int(parts[2]) if len(parts) == 3 and parts[1] == b"blob" else None
