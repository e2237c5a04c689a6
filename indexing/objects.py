"""Reading a repository's objects without entering it.

git runs in a bare repository of our own whose object directory is theirs: it sees their objects and none of their
configuration, hooks, filters or attributes.
"""

from __future__ import annotations

import os
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Literal

from indexing import git
from indexing.errors import RepositoryTooLarge, TransientIndexError
from indexing.limits import Limits

ObjectFormat = Literal["sha1", "sha256"]


@dataclass(frozen=True)
class ObjectStore:
    """The objects of one repository. ``home`` is a private directory for git to call its home."""

    home: Path
    #: Our own bare repository.
    directory: Path
    #: Theirs; None: our own.
    object_directory: Path | None
    limits: Limits
    on_wait: Callable[[], None]

    def commit_id(self, name: str) -> str | None:
        """The full id of the commit that a full or short id, or a tag's id, stands for; None when there is none."""
        try:
            found = self._run(["rev-parse", "--verify", "--quiet", "--end-of-options", name + "^{commit}"])
        except git.GitFailed:
            return None
        return found.decode().strip()

    def list_tree(self, sha: str, listing: IO[bytes]) -> None:
        """Write every path of a commit to a file: ``MODE TYPE ID TAB PATH NUL``, in git's order.

        RepositoryTooLarge when it grows beyond ``max_listing_bytes``: a small tree can list any number of paths.
        """
        self._list(["ls-tree", "-r", "-z", "--full-tree", sha], listing)

    def list_changes(self, base: str, sha: str, listing: IO[bytes]) -> None:
        """Write every path that differs between two commits to a file: ``:MODE MODE ID ID STATUS NUL PATH NUL``.

        GitFailed when one of them is not here; RepositoryTooLarge as ``list_tree``.
        """
        arguments = ["diff-tree", "-r", "-z", "--raw", "--no-renames", "--full-index", base, sha, "--"]
        self._list(arguments, listing)

    def sizes(self, oids: IO[bytes], answers: IO[bytes]) -> None:
        """For a file of one id a line, write ``ID TYPE SIZE`` or ``ID missing`` a line, without reading contents."""
        self._run(["cat-file", "--batch-check", "--buffer"], stdin=oids, stdout=answers)

    def contents(self, oids: Sequence[str]) -> Iterator[tuple[str, bytes | None]]:
        """The contents of blobs, in order; None for one that cannot be read. All are in memory together."""
        if not oids:
            return
        try:
            output = self._read(oids)
        except git.GitFailed:
            # git gives up at the first damaged object: find it, by halves, and keep the others.
            if len(oids) == 1:
                yield oids[0], None
                return
            middle = len(oids) // 2
            yield from self.contents(oids[:middle])
            yield from self.contents(oids[middle:])
            return
        yield from _split(oids, output)

    def _read(self, oids: Sequence[str]) -> memoryview:
        with tempfile.TemporaryFile(dir=self.home) as wanted, tempfile.TemporaryFile(dir=self.home) as answers:
            wanted.write("".join(f"{oid}\n" for oid in oids).encode())
            wanted.seek(0)
            # A pipe of such length would be read in pieces, while the other threads wait for this one.
            self._run(["cat-file", "--batch", "--buffer"], stdin=wanted, stdout=answers)
            answers.seek(0)
            return memoryview(answers.read())

    def _list(self, arguments: Sequence[str], listing: IO[bytes]) -> None:
        def watch() -> None:
            self.on_wait()
            self._check_listing(listing)

        try:
            self._run(arguments, stdout=listing, on_wait=watch)
        except git.GitFailed as failure:
            # Newer gits have a limit of their own.
            if "tree depth" in failure.stderr:
                raise RepositoryTooLarge("expected directories that git can follow, got them nested too deep") from None
            raise
        self._check_listing(listing)

    def _check_listing(self, listing: IO[bytes]) -> None:
        size = os.fstat(listing.fileno()).st_size
        if size > self.limits.max_listing_bytes:
            raise RepositoryTooLarge(
                f"expected a list of paths of at most {self.limits.max_listing_bytes} bytes, got a longer one"
            )

    def _run(
        self,
        arguments: Sequence[str],
        *,
        stdin: IO[bytes] | int = subprocess.DEVNULL,
        stdout: IO[bytes] | int = subprocess.PIPE,
        on_wait: Callable[[], None] | None = None,
    ) -> bytes:
        environment = git.environment(self.home) | {"GIT_DIR": str(self.directory)}
        if self.object_directory is not None:
            environment["GIT_OBJECT_DIRECTORY"] = str(self.object_directory)
        return git.run(
            arguments,
            environment=environment,
            timeout_seconds=self.limits.git_timeout_seconds,
            on_wait=on_wait or self.on_wait,
            stdin=stdin,
            stdout=stdout,
        )


def create(
    home: Path,
    limits: Limits,
    on_wait: Callable[[], None],
    *,
    object_directory: Path | None = None,
    object_format: ObjectFormat = "sha1",
) -> ObjectStore:
    """An empty bare repository under ``home``, and the objects it reads."""
    directory = home / "repository.git"
    write_repository(directory, object_format)
    return ObjectStore(home, directory, object_directory, limits, on_wait)


def write_repository(directory: Path, object_format: ObjectFormat) -> None:
    """Make an empty bare repository: what ``git init`` would, without a process and without templates."""
    for part in ("objects", "refs"):
        (directory / part).mkdir(parents=True)
    (directory / "HEAD").write_text("ref: refs/heads/main\n")
    version, extensions = (1, "[extensions]\n\tobjectformat = sha256\n") if object_format == "sha256" else (0, "")
    (directory / "config").write_text(f"[core]\n\trepositoryformatversion = {version}\n\tbare = true\n{extensions}")


def _split(oids: Sequence[str], output: memoryview) -> Iterator[tuple[str, bytes | None]]:
    """The answers of ``cat-file --batch``: ``ID TYPE SIZE``, a line end, the content, a line end."""
    start = 0
    for oid in oids:
        line_end = _find_newline(output, start)
        head = bytes(output[start:line_end]).split()
        start = line_end + 1
        if len(head) < 3 or head[1] != b"blob":
            yield oid, None
            continue
        end = start + int(head[2])
        yield oid, bytes(output[start:end])
        start = end + 1


def _find_newline(output: memoryview, start: int) -> int:
    # A head is an id, a type and a size: far below this.
    at = bytes(output[start : start + 256]).find(b"\n")
    if at < 0:
        raise TransientIndexError("expected git cat-file to answer every id, got an answer cut short")
    return start + at
