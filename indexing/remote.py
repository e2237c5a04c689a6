"""A repository on a server: the one commit is fetched, shallow, into a bare repository of our own, then read there."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from indexing import git, objects
from indexing.errors import (
    CommitNotFound,
    IndexingError,
    NotAGitRepository,
    RepositoryNotFound,
    RepositoryRefused,
    RepositoryTooLarge,
    TransientIndexError,
)
from indexing.limits import Limits
from indexing.objects import ObjectFormat, ObjectStore

#: What git may talk to a server.
_PROTOCOLS: Final = "https:ssh"

#: No prompts, and no waiting for ever for a host that does not answer.
_SSH_COMMAND: Final = "ssh -o BatchMode=yes -o ConnectTimeout=30 -o ServerAliveInterval=15 -o ServerAliveCountMax=4"

_HARDENED: Final = (
    *("-c", "core.hooksPath=/dev/null"),
    *("-c", "core.fsmonitor=false"),
    *("-c", "credential.helper="),
    *("-c", "transfer.fsckObjects=true"),
    *("-c", "fetch.recurseSubmodules=false"),
    *("-c", "gc.auto=0"),
    *("-c", "maintenance.auto=false"),
    # A server that sends less than 1,000 bytes/s for 60 s has stopped.
    *("-c", "http.lowSpeedLimit=1000"),
    *("-c", "http.lowSpeedTime=60"),
)

_FULL_ID: Final = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")

#: Seconds between two looks at how much was fetched.
_SIZE_LOOK_SECONDS: Final = 1.0

# git says nothing but text about a failed transport (exit code 128 for all of it). Asked in this order; what none of
# them knows may pass, so it is transient.
_CAUSES: Final[Sequence[tuple[re.Pattern[str], type[IndexingError], str]]] = [
    (re.compile(pattern, re.IGNORECASE), error, meaning)
    for pattern, error, meaning in [
        (
            r"could not resolve host|failed to connect|connection (refused|reset|timed out)|timed? ?out"
            r"|network is unreachable|no route to|temporary failure|returned error: (429|5\d\d)"
            r"|early eof|unexpected disconnect",
            TransientIndexError,
            "the server cannot be reached now",
        ),
        (
            r"couldn't find remote ref|not our ref|unadvertised object|remote ref .* not found",
            CommitNotFound,
            "the server has no such commit, branch or tag",
        ),
        (
            r"host key verification failed|permission denied|authentication failed|could not read (username|password)"
            r"|returned error: (401|403)|access denied|transport '.*' not allowed",
            RepositoryRefused,
            "the server or our own rules refuse it",
        ),
        (
            r"repository .* not found|repository not found|does not exist|returned error: 404|no such file",
            RepositoryNotFound,
            "there is no such repository, or it is not for us to see",
        ),
        (
            r"does not appear to be a git repository|not valid: is this a git repository|not a git repository",
            NotAGitRepository,
            "there is no git repository at that URL",
        ),
    ]
]


@dataclass
class RemoteRepository:
    """A URL, and the place its objects are fetched into."""

    url: str
    home: Path
    limits: Limits
    on_wait: Callable[[], None]
    _next_look: float = field(default=0.0, init=False)

    def peek(self, name: str | None) -> str | None:
        """The full id that a name is, if it is one."""
        return name if name is not None and _FULL_ID.fullmatch(name) else None

    def resolve(self, name: str | None) -> str:
        """The full id of the commit that a branch, tag or full id stands for; None: the head. CommitNotFound.

        A short id cannot be looked up on a server.
        """
        if name is not None and _FULL_ID.fullmatch(name):
            return name
        wanted = name or "HEAD"
        listed = self._talk(["ls-remote", "--quiet", "--", self.url, wanted, f"{wanted}^{{}}"])
        ids = {
            reference: oid
            for oid, _, reference in (line.partition("\t") for line in listed.decode("utf-8", "replace").splitlines())
        }
        for place in (wanted, f"refs/{wanted}", f"refs/tags/{wanted}", f"refs/heads/{wanted}"):
            # Behind ^{} stands the commit of an annotated tag.
            found = ids.get(place + "^{}") or ids.get(place)
            if found is not None:
                return found
        raise CommitNotFound(
            f"expected a branch, tag or full id of {self.url}, got {name!r}: the server does not list it"
        )

    def fetch(self, sha: str) -> ObjectStore:
        """Fetch one commit and all its files. RepositoryTooLarge, CommitNotFound, TransientIndexError."""
        object_format: ObjectFormat = "sha1" if len(sha) == 40 else "sha256"
        store = objects.create(self.home, self.limits, self.on_wait, object_format=object_format)
        arguments = ["fetch", "--quiet", "--depth=1", "--no-tags", "--no-write-fetch-head", "--", self.url, sha]
        self._talk(arguments, {"GIT_DIR": str(store.directory)})
        self._check_size()
        if store.commit_id(sha) is None:
            raise CommitNotFound(f"expected {sha} to be a commit of {self.url}, got something else")
        return store

    def _talk(self, arguments: Sequence[str], more: dict[str, str] | None = None) -> bytes:
        environment = (
            git.environment(self.home, protocols=_PROTOCOLS) | {"GIT_SSH_COMMAND": _SSH_COMMAND} | (more or {})
        )
        try:
            return git.run(
                [*_HARDENED, *arguments],
                environment=environment,
                timeout_seconds=self.limits.fetch_timeout_seconds,
                on_wait=self._watch,
            )
        except git.GitFailed as failure:
            raise translate(failure, self.url) from failure

    def _watch(self) -> None:
        self.on_wait()
        if time.monotonic() < self._next_look:
            return
        self._next_look = time.monotonic() + _SIZE_LOOK_SECONDS
        self._check_size()

    def _check_size(self) -> None:
        if _size_of(self.home) > self.limits.max_fetch_bytes:
            raise RepositoryTooLarge(
                f"expected the commit to take at most {self.limits.max_fetch_bytes} bytes, got more: fetch stopped"
            )


def translate(failure: git.GitFailed, url: str) -> IndexingError:
    """What a failed transport means for the job."""
    for pattern, error, meaning in _CAUSES:
        if pattern.search(failure.stderr):
            return error(f"{url}: {meaning} ({failure.stderr})")
    return TransientIndexError(f"{url}: git failed ({failure.stderr})")


def _size_of(directory: Path) -> int:
    size = 0
    for parent, _directories, files in os.walk(directory):
        for name in files:
            try:
                size += (Path(parent) / name).lstat().st_size
            except FileNotFoundError:
                # git renames its temporary files.
                continue
    return size
