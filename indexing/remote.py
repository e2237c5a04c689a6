"""A repository on a server: the one commit is fetched, shallow, into a bare repository of our own, then read there."""

from __future__ import annotations

import re
import shlex
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from indexing import git, objects
from indexing.access import Access, Way
from indexing.cache import Cache, CachedRepository, size_of
from indexing.errors import (
    CommitNotFound,
    IndexingError,
    NotAGitRepository,
    RepositoryNotFound,
    RepositoryRefused,
    RepositoryTooLarge,
    TransientIndexError,
    UnsafeRepository,
)
from indexing.limits import Limits
from indexing.objects import ObjectFormat, ObjectStore

#: What git may talk to a server.
_PROTOCOLS: Final = "https:ssh"

#: No prompts, and no waiting for ever for a host that does not answer.
_SSH_COMMAND: Final = (
    "ssh",
    *("-o", "BatchMode=yes"),
    *("-o", "ConnectTimeout=30"),
    *("-o", "ServerAliveInterval=15"),
    *("-o", "ServerAliveCountMax=4"),
)

#: What the cache has, as far as the server needs to know.
_LAST_FETCHED: Final = "refs/indexq/last"

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


class Unreachable(TransientIndexError):
    """The network or the server, and nothing that we have, is the cause."""


# git says nothing but text about a failed transport (exit code 128 for all of it). Asked in this order; what none of
# them knows may pass, so it is transient.
_CAUSES: Final[Sequence[tuple[re.Pattern[str], type[IndexingError], str]]] = [
    (re.compile(pattern, re.IGNORECASE), error, meaning)
    for pattern, error, meaning in [
        (
            r"could not resolve host|failed to connect|connection (refused|reset|timed out)|timed? ?out"
            r"|network is unreachable|no route to|temporary failure|returned error: (429|5\d\d)"
            r"|early eof|unexpected disconnect|certificate verif|ssl certificate problem",
            Unreachable,
            "the server cannot be reached now",
        ),
        (
            r"couldn't find remote ref|not our ref|unadvertised object|remote ref .* not found",
            CommitNotFound,
            "the server has no such commit, branch or tag",
        ),
        (
            r"returned error: 3\d\d|unable to update url base from redirection",
            RepositoryRefused,
            "the server says that it has moved: use its new URL",
        ),
        (
            r"fsck error|fsckobjects",
            UnsafeRepository,
            "its objects are not what git allows",
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


class RemoteRepository:
    """A URL, and the place its objects are fetched into: the cache, or a directory that goes with the job."""

    def __init__(self, url: str, home: Path, limits: Limits, access: Access, on_wait: Callable[[], None]) -> None:
        self.url = url
        self._home = home
        self._limits = limits
        self._access = access
        self._on_wait = on_wait
        self._next_look = 0.0
        #: What is watched for its size.
        self._growing = home
        self._way: Way | None = None

    def start(self) -> None:
        """Nothing of it is needed before ``fetch``."""

    def close(self) -> None:
        """Nothing of it is open outside of ``fetch``."""

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

    @contextmanager
    def fetch(self, sha: str, *, afresh: bool = False) -> Iterator[ObjectStore]:
        """One commit and all its files, which stay while the block runs. ``afresh``: what the cache has is damaged.

        RepositoryTooLarge, CommitNotFound, TransientIndexError and others that ``translate`` knows.
        """
        if self._access.cache_directory is None:
            store = objects.create(self._home, self._limits, self._on_wait, object_format=_format_of(sha))
            self._fetch_into(store.directory, sha)
            with store:
                yield self._checked(store, sha)
            return
        cache = Cache(Path(self._access.cache_directory))
        with cache.use(self.url, self._on_wait, self._limits.fetch_timeout_seconds) as place:
            if afresh:
                place.discard()
            with place.fetching():
                was_there = self._fetch_into_cache(place, sha)
            if not was_there:
                cache.evict(self._access.cache_bytes)
            with ObjectStore(self._home, place.directory, None, self._limits, self._on_wait) as store:
                yield self._checked(store, sha)

    def _fetch_into_cache(self, place: CachedRepository, sha: str) -> bool:
        """Returns whether the commit was there before."""
        if place.exists:
            with ObjectStore(self._home, place.directory, None, self._limits, self._on_wait) as store:
                if store.commit_id(sha) == sha:
                    # Another job was here before; what is damaged is found when it is read.
                    return True
            try:
                self._fetch_into(place.directory, sha)
            except (TransientIndexError, UnsafeRepository) as trouble:
                # It may be the server's, or that of a cache in which a process was killed: the latter is cured.
                if isinstance(trouble, Unreachable):
                    raise
                place.discard()
            else:
                return False
        if not place.exists:
            place.discard()
            objects.write_repository(place.directory, _format_of(sha))
        self._fetch_into(place.directory, sha)
        return False

    def _fetch_into(self, directory: Path, sha: str) -> None:
        self._growing = directory
        # The reference tells the server, next time, what need not be sent again.
        arguments = ["fetch", "--quiet", "--depth=1", "--no-tags", "--no-write-fetch-head", "--force", "--"]
        self._talk([*arguments, self.url, f"{sha}:{_LAST_FETCHED}"], {"GIT_DIR": str(directory)})
        self._check_size()

    def _checked(self, store: ObjectStore, sha: str) -> ObjectStore:
        store.start()
        if store.commit_id(sha) is None:
            raise CommitNotFound(f"expected {sha} to be a commit of {self.url}, got something else")
        return store

    def _talk(self, arguments: Sequence[str], more: dict[str, str] | None = None) -> bytes:
        if self._way is None:
            self._way = self._access.to(self.url, self._on_wait)
        environment = {
            **git.environment(self._home, protocols=_PROTOCOLS),
            "GIT_SSH_COMMAND": shlex.join([*_SSH_COMMAND, *self._way.ssh_options]),
            **self._way.variables(self._home),
            **(more or {}),
        }
        try:
            return git.run(
                [*_HARDENED, *self._way.options, *arguments],
                environment=environment,
                timeout_seconds=self._limits.fetch_timeout_seconds,
                on_wait=self._watch,
                secret=self._way.token,
            )
        except git.GitFailed as failure:
            raise translate(failure, self.url) from None

    def _watch(self) -> None:
        self._on_wait()
        if time.monotonic() < self._next_look:
            return
        self._next_look = time.monotonic() + _SIZE_LOOK_SECONDS
        self._check_size()

    def _check_size(self) -> None:
        if size_of(self._growing) > self._limits.max_fetch_bytes:
            raise RepositoryTooLarge(
                f"expected the commit to take at most {self._limits.max_fetch_bytes} bytes, got more: fetch stopped"
            )


def translate(failure: git.GitFailed, url: str) -> IndexingError:
    """What a failed transport means for the job."""
    for pattern, error, meaning in _CAUSES:
        if pattern.search(failure.stderr):
            return error(f"{url}: {meaning} ({failure.stderr})")
    return TransientIndexError(f"{url}: git failed ({failure.stderr})")


def _format_of(sha: str) -> ObjectFormat:
    return "sha1" if len(sha) == 40 else "sha256"
