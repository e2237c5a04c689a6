"""Reading a repository's objects without entering it.

git runs in a bare repository of our own whose object directory is theirs: it sees their objects and none of their
configuration, hooks, filters or attributes.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import IO, Final, Literal, NamedTuple

from indexing import git
from indexing.cat_file import Answer, CatFile, Died, Option
from indexing.diff_tree import Change, DiffTree
from indexing.errors import RepositoryTooLarge
from indexing.limits import Limits

ObjectFormat = Literal["sha1", "sha256"]


#: The oldest git whose ``cat-file`` answers all questions in one process.
_BATCH_COMMAND_VERSION: Final = (2, 36)


class _Talks(NamedTuple):
    """With processes of git that stay: each is one thread's at a time. The first two are one, where git can do that."""

    info: CatFile
    contents: CatFile
    changes: DiffTree


@dataclass(frozen=True)
class ObjectStore:
    """The objects of one repository. ``home`` is a private directory for git to call its home.

    Use as a context manager, or ``close`` it: processes of git wait for questions in between.
    """

    home: Path
    #: Our own bare repository.
    directory: Path
    #: Theirs; None: our own.
    object_directory: Path | None
    limits: Limits
    on_wait: Callable[[], None]

    def __enter__(self) -> ObjectStore:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def start(self) -> None:
        """Start the processes, so that they are ready when they are asked. The one that tells changes starts later:
        two at once take longer than that saves."""
        self._talks.info.start()
        self._talks.contents.start()

    def close(self) -> None:
        """End the processes."""
        for talk in self._talks:
            talk.kill()
        for talk in self._talks:
            talk.close()

    def commit_id(self, name: str) -> str | None:
        """The full id of the commit that a full or short id, or a tag's id, stands for; None when there is none."""
        try:
            (found,) = self._info([name + "^{commit}"])
        except git.GitFailed:
            return None
        return None if found is None else found.oid

    def list_tree(self, sha: str, listing: IO[bytes]) -> None:
        """Write every path of a commit to a file: ``MODE TYPE ID SIZE TAB PATH NUL``, in git's order, and without
        reading contents. SIZE has blanks in front, and is ``BAD`` for what is missing.

        RepositoryTooLarge when it grows beyond ``max_listing_bytes``: a small tree can list any number of paths.
        """

        def watch() -> None:
            self.on_wait()
            self._check_listing(listing)

        with _not_too_deep():
            git.run(
                ["ls-tree", "-r", "-z", "-l", "--full-tree", sha],
                environment=self._environment,
                timeout_seconds=self.limits.git_timeout_seconds,
                on_wait=watch,
                stdout=listing,
            )
        self._check_listing(listing)

    def changes(self, base: str, sha: str, most: int) -> list[Change] | None:
        """Every path that differs between two commits; None when they are more than ``most``.

        GitFailed when one of them is not here; RepositoryTooLarge when its directories are too deep.
        """
        trees = self._info([f"{base}^{{tree}}", f"{sha}^{{tree}}"])
        before, after = (None if each is None else each.oid for each in trees)
        if before is None or after is None:
            raise git.GitFailed("cat-file", 0, "a commit is missing")
        with _not_too_deep():
            return self._talks.changes.changes(before, after, most, self.on_wait)

    def sizes(self, oids: Sequence[str]) -> list[int | None]:
        """The sizes of blobs in bytes, in order, without reading contents; None for what is missing or no blob."""
        answers = self._info(oids)
        return [None if each is None or each.kind != b"blob" else each.size_bytes for each in answers]

    def _info(self, names: Sequence[str]) -> list[Answer | None]:
        try:
            return self._talks.info.info(names, self.on_wait)
        except Died:
            # Perhaps it was killed, while nobody asked.
            pass
        try:
            return self._talks.info.info(names, self.on_wait)
        except Died as died:
            raise died.failure from None

    def contents(self, oids: Sequence[str], on_wait: Callable[[], None]) -> Iterator[tuple[str, bytes | None]]:
        """The contents of blobs, in order; None for one that cannot be read. All are in memory together.

        One thread at a time, and none beside it for ``commit_id``, ``sizes`` and ``changes``.
        """
        left, suspect = oids, None
        while left:
            # git gives up at a damaged object; when it does so twice, it is not the machine's doing.
            asked = left[:1] if left[0] == suspect else left
            try:
                answers = self._talks.contents.contents(asked, on_wait)
            except Died as died:
                answers = died.answers
                if len(asked) == 1 and not answers:
                    answers = [None]
                elif len(answers) < len(asked):
                    suspect = asked[len(answers)]
            for oid, answer in zip(left, answers, strict=False):
                yield oid, None if answer is None or answer.kind != b"blob" else answer.content
            left = left[len(answers) :]

    def _check_listing(self, listing: IO[bytes]) -> None:
        if os.fstat(listing.fileno()).st_size > self.limits.max_listing_bytes:
            raise RepositoryTooLarge(
                f"expected a list of paths of at most {self.limits.max_listing_bytes} bytes, got a longer one"
            )

    @cached_property
    def _talks(self) -> _Talks:
        options: list[Option] = ["--batch-command"]
        if git.version() < _BATCH_COMMAND_VERSION:
            options = ["--batch-check", "--batch"]
        timeout = self.limits.git_timeout_seconds
        talks = [CatFile(option, self._environment, timeout) for option in options]
        return _Talks(talks[0], talks[-1], DiffTree(self._environment, timeout))

    @property
    def _environment(self) -> dict[str, str]:
        environment = git.environment(self.home) | {"GIT_DIR": str(self.directory)}
        if self.object_directory is not None:
            environment["GIT_OBJECT_DIRECTORY"] = str(self.object_directory)
        return environment


@contextmanager
def _not_too_deep() -> Iterator[None]:
    """Newer gits have a limit of their own."""
    try:
        yield
    except git.GitFailed as failure:
        if "tree depth" in failure.stderr:
            raise RepositoryTooLarge("expected directories that git can follow, got them nested too deep") from None
        raise


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
