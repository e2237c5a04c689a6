"""Fetched objects that stay for the next commit of their repository: one bare repository of our own for each URL.

Beside each lie two lock files, which the kernel releases when their holder dies. ``.use`` is shared by those who read
and taken alone by who removes; ``.fetch`` is held while objects are added, which readers need not notice.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from indexing.errors import TransientIndexError

#: Seconds between two attempts for a lock.
_LOCK_SECONDS: Final = 0.05

#: A repository with more packs is fetched afresh: git looks into each of them for each object.
_MOST_PACKS: Final = 50

OnWait = Callable[[], None]


class Cache:
    """A directory of bare repositories, shared by all workers of a machine that have the same user."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)

    @contextmanager
    def use(self, url: str, on_wait: OnWait, timeout_seconds: float) -> Iterator[CachedRepository]:
        """The place of a repository, which nobody removes while the block runs."""
        name = hashlib.sha256(url.encode()).hexdigest()[:40]
        use = _open_lock(self._directory / f"{name}.use")
        try:
            _lock(use, fcntl.LOCK_SH, on_wait, timeout_seconds)
            place = CachedRepository(self._directory / f"{name}.git", use, on_wait, timeout_seconds)
            if place.is_worn:
                place.discard()
            yield place
        finally:
            os.close(use)

    def evict(self, most_bytes: int) -> int:
        """Remove the repositories used longest ago until the others take so many bytes; returns how many.

        Those in use stay.
        """
        found = sorted((_last_use(path), path) for path in self._directory.glob("*.git"))
        sizes = {path: size_of(path) for _, path in found}
        total, removed = sum(sizes.values()), 0
        for _, path in found:
            if total <= most_bytes:
                break
            if self._remove(path):
                total -= sizes[path]
                removed += 1
        return removed

    def _remove(self, path: Path) -> bool:
        use = _open_lock(path.with_suffix(".use"))
        try:
            fcntl.flock(use, fcntl.LOCK_EX | fcntl.LOCK_NB)
            _remove_tree(path)
        except BlockingIOError:
            return False
        finally:
            os.close(use)
        return True


class CachedRepository:
    """One of them, while it is in use."""

    def __init__(self, directory: Path, use: int, on_wait: OnWait, timeout_seconds: float) -> None:
        self.directory = directory
        self._use = use
        self._on_wait = on_wait
        self._timeout_seconds = timeout_seconds

    @property
    def exists(self) -> bool:
        """Whether something was fetched before; what a killed process left half made is nothing."""
        return (self.directory / "HEAD").exists()

    @property
    def is_worn(self) -> bool:
        """Whether it costs more to go on with than to fetch afresh."""
        return len(list((self.directory / "objects" / "pack").glob("*.pack"))) > _MOST_PACKS

    @contextmanager
    def fetching(self) -> Iterator[None]:
        """Alone with those who only read."""
        fetch = _open_lock(self.directory.with_suffix(".fetch"))
        try:
            _lock(fetch, fcntl.LOCK_EX, self._on_wait, self._timeout_seconds)
            yield
            # The time of the last use, which nothing else changes.
            os.utime(self.directory)
        finally:
            os.close(fetch)

    def discard(self) -> None:
        """Remove it, when no other reader is at it: those who are would find it damaged themselves."""
        try:
            fcntl.flock(self._use, fcntl.LOCK_EX | fcntl.LOCK_NB)
            _remove_tree(self.directory)
        except BlockingIOError:
            return
        finally:
            # Also when the other lock was not to be had: asking for it gave ours away.
            fcntl.flock(self._use, fcntl.LOCK_SH)


def size_of(directory: Path) -> int:
    """Bytes of all files below a directory, which may change meanwhile."""
    size = 0
    for parent, _directories, files in os.walk(directory):
        for name in files:
            # git renames its temporary files.
            with suppress(FileNotFoundError):
                size += (Path(parent) / name).lstat().st_size
    return size


def _open_lock(path: Path) -> int:
    # Lock files are never removed: two processes could hold two files of the same name.
    return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)


def _lock(descriptor: int, how: int, on_wait: OnWait, timeout_seconds: float) -> None:
    deadline = time.monotonic() + timeout_seconds
    while True:
        try:
            fcntl.flock(descriptor, how | fcntl.LOCK_NB)
        except BlockingIOError:
            on_wait()
            if time.monotonic() > deadline:
                raise TransientIndexError(
                    f"expected the cached repository to be free within {timeout_seconds:g} s, got none: run again"
                ) from None
            time.sleep(_LOCK_SECONDS)
        else:
            return


def _last_use(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except FileNotFoundError:
        return 0.0


def _remove_tree(path: Path) -> None:
    """Half of it must not be taken for a repository: the file that makes it one goes first."""
    with suppress(FileNotFoundError):
        (path / "HEAD").unlink()
    with suppress(FileNotFoundError):
        shutil.rmtree(path)
