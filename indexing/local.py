"""A repository on this machine's disk, which may be hostile: its files are read, its configuration is not obeyed.

References are read here and not by git, because git would have to run inside the repository to do it.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import BinaryIO, Final

from indexing import git, objects
from indexing.errors import CommitNotFound, NotAGitRepository, RepositoryNotFound, UnsafeRepository
from indexing.limits import MIB, Limits
from indexing.objects import ObjectFormat, ObjectStore

#: Where a name is looked for, in git's own order.
_PLACES: Final = ("{}", "refs/{}", "refs/tags/{}", "refs/heads/{}", "refs/remotes/{}", "refs/remotes/{}/HEAD")

#: A reference to a reference to ...: git's own bound.
_MAX_SYMBOLIC: Final = 5

#: A file of one reference, in bytes.
_MAX_REFERENCE_BYTES: Final = 4096

#: How far into the configuration the object format is looked for, in bytes.
_MAX_CONFIG_BYTES: Final = 1 * MIB

#: The file of packed references, in bytes.
_MAX_PACKED_BYTES: Final = 256 * MIB

_OBJECT_ID: Final = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")
_SHORT_ID: Final = re.compile(r"[0-9a-fA-F]{4,64}")
# The rules of git check-ref-format that keep a name inside its directory and out of our options.
_BAD_REFERENCE: Final = re.compile(r"^[-/]|\.\.|(^|/)\.|//|[\x00-\x20\x7f~^:?*\[\\]|@\{|\.lock(/|$)|[/.]$")


@dataclass(frozen=True)
class LocalRepository:
    """A directory of git's. Its objects are read once it was checked that they are its own."""

    directory: Path
    home: Path
    limits: Limits
    on_wait: Callable[[], None]

    @cached_property
    def store(self) -> ObjectStore:
        """Its objects. UnsafeRepository when they would lead outside, RepositoryNotFound when they cannot be read."""
        _refuse_what_leads_outside(self.directory)
        return self._unchecked

    @cached_property
    def _unchecked(self) -> ObjectStore:
        return objects.create(
            self.home,
            self.limits,
            self.on_wait,
            object_directory=self.directory / "objects",
            object_format=_object_format(self.directory, self.home, self.limits),
        )

    def start(self) -> None:
        """Start what reads its objects, and check them. Raises what ``store`` does."""
        # It is asked nothing before they are checked, and takes as long to start.
        self._unchecked.start()
        _ = self.store

    def close(self) -> None:
        """End what reads its objects."""
        if "_unchecked" in self.__dict__:
            self._unchecked.close()

    def peek(self, name: str | None) -> str | None:
        """The full id of what a name stands for, without a look at any object; None when that does not tell it."""
        wanted = name or "HEAD"
        if _BAD_REFERENCE.search(wanted):
            return None
        reference = next(filter(None, (self._read(place.format(wanted)) for place in _PLACES)), None)
        return reference or (wanted if _OBJECT_ID.fullmatch(wanted) else None)

    def resolve(self, name: str | None) -> str:
        """The full id of the commit that a branch, tag, id or short id stands for; None: the head. CommitNotFound."""
        wanted = name or "HEAD"
        peeked = self.peek(name)
        found = None if peeked is None else self.store.commit_id(peeked)
        if found is None and _SHORT_ID.fullmatch(wanted):
            found = self.store.commit_id(wanted.lower())
        if found is None:
            if name is None:
                raise CommitNotFound("expected the repository's HEAD to be a commit, got none: is it empty?")
            raise CommitNotFound(
                f"expected an id, branch or tag of this repository, got {name!r}: it has no such commit"
            )
        return found

    def _read(self, reference: str, depth: int = 0) -> str | None:
        """The object id behind a full reference name; None when there is none."""
        if depth > _MAX_SYMBOLIC or _BAD_REFERENCE.search(reference):
            return None
        text = self._read_loose(reference)
        if text is None:
            return self._read_packed(reference)
        if text.startswith("ref:"):
            return self._read(text[4:].strip(), depth + 1)
        return text if _OBJECT_ID.fullmatch(text) else None

    def _read_loose(self, reference: str) -> str | None:
        path = self.directory / reference
        try:
            if not path.resolve().is_relative_to(self.directory):
                return None
            with _open_regular(path) as file:
                return file.read(_MAX_REFERENCE_BYTES).decode("utf-8", "replace").strip()
        except OSError:
            return None

    def _read_packed(self, reference: str) -> str | None:
        try:
            with _open_regular(self.directory / "packed-refs") as file:
                if os.fstat(file.fileno()).st_size > _MAX_PACKED_BYTES:
                    return None
                for line in file:
                    oid, _, name = line.decode("utf-8", "replace").rstrip("\n").partition(" ")
                    if name == reference and _OBJECT_ID.fullmatch(oid):
                        return oid
        except OSError:
            return None
        return None


def open_repository(path: str, home: Path, limits: Limits, on_wait: Callable[[], None]) -> LocalRepository:
    """The repository at a path: a work tree's top or a bare repository.

    RepositoryNotFound, NotAGitRepository; UnsafeRepository when the path leads elsewhere.
    """
    directory = _git_directory(path)
    if (directory / "reftable").is_dir():
        raise NotAGitRepository(
            "expected references in files, got the reftable format: git refs migrate --ref-format=files"
        )
    return LocalRepository(directory, home, limits, on_wait)


def _git_directory(path: str) -> Path:
    top = Path(path)
    try:
        top = top.resolve(strict=True)
        inside = top / ".git"
        if inside.is_symlink() or inside.is_file():
            raise UnsafeRepository(
                f"expected {path} to hold its own .git directory, got a file or link that leads elsewhere "
                "(a linked worktree or a submodule): give the path of the main repository"
            )
        for candidate in (inside, top):
            if (candidate / "HEAD").is_file() and (candidate / "objects").is_dir():
                return candidate
    except FileNotFoundError as error:
        raise RepositoryNotFound(f"expected a repository at {path}, got nothing: no such directory here") from error
    except PermissionError as error:
        raise RepositoryNotFound(f"expected to read {path}, got permission denied: run as a user who may") from error
    except (OSError, RuntimeError) as error:
        raise RepositoryNotFound(f"expected a repository at {path}, got: {error}") from error
    raise NotAGitRepository(
        f"expected {path} to be the top of a git repository, got no .git directory in it and no bare repository"
    )


def _refuse_what_leads_outside(directory: Path) -> None:
    """git follows alternates, common directories and links to other repositories' objects: so refuse them."""
    for name, what in (
        ("commondir", "a linked worktree: give the path of the main repository"),
        (
            "objects/info/alternates",
            "objects borrowed from another repository: run git repack -a -d there, and remove it",
        ),
        ("objects/info/http-alternates", "objects borrowed from another repository: remove it"),
    ):
        if os.path.lexists(directory / name):
            raise UnsafeRepository(f"expected a repository on its own, got {name} ({what})")
    if (odd := _first_odd(directory / "objects")) is not None:
        raise UnsafeRepository(
            f"expected only files under objects/, got a link or device at {os.path.relpath(odd, directory)!r}"
        )
    if (directory / "objects").is_symlink():
        raise UnsafeRepository("expected objects/ to be a directory, got a link: it leads to another repository")


def _first_odd(directory: Path) -> str | None:
    """The first that is found below a directory and is neither a file nor a directory."""
    pending = [str(directory)]
    try:
        while pending:
            with os.scandir(pending.pop()) as entries:
                for entry in entries:
                    if entry.is_file(follow_symlinks=False):
                        continue
                    if not entry.is_dir(follow_symlinks=False):
                        return entry.path
                    pending.append(entry.path)
        return None
    except PermissionError as error:
        raise RepositoryNotFound(
            f"expected to read the objects of the repository, got permission denied at {error.filename!r}: "
            "run as a user who may"
        ) from error


def _object_format(directory: Path, home: Path, limits: Limits) -> ObjectFormat:
    """From the configuration, read as a file of values: without includes, and nothing in it is run."""
    try:
        with _open_regular(directory / "config") as config:
            # Most need no process to tell.
            if b"objectformat" not in config.read(_MAX_CONFIG_BYTES).lower():
                return "sha1"
    except OSError:
        return "sha1"
    try:
        found = git.run(
            ["config", "--file", str(directory / "config"), "--no-includes", "--get", "extensions.objectformat"],
            environment=git.environment(home),
            timeout_seconds=limits.git_timeout_seconds,
        )
    except git.GitFailed:
        return "sha1"
    return "sha256" if found.strip().lower() == b"sha256" else "sha1"


def _open_regular(path: Path) -> BinaryIO:
    """A plain file for reading; OSError for anything else: a pipe would block for ever."""
    file = os.fdopen(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC), "rb")
    if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
        file.close()
        raise FileNotFoundError(path)
    return file
