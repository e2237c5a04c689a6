"""The one place that runs git: argv only, an environment of our own, a time limit, the whole process group killed.

A repository's own configuration can name commands that git would run. So git never runs inside somebody else's
repository: see ``objects`` and ``local``.
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from functools import lru_cache
from itertools import pairwise
from pathlib import Path
from typing import IO, Final

from indexing.errors import GitUnavailable, TransientIndexError
from indexing.location import mask

#: The oldest git that this was written for: it knows repositories of SHA-256.
OLDEST_VERSION: Final = (2, 31)

#: Longest time without a look at the caller's wishes, in seconds.
_WAKE_SECONDS: Final = 0.2

#: Seconds for ``git --version``, which touches nothing.
_VERSION_TIMEOUT_SECONDS: Final = 20.0

#: Longest error text kept of git's, in characters.
_MAX_ERROR: Final = 500

# What git may see of our environment. Everything else could change what it does: GIT_* most of all.
_KEPT_VARIABLES: Final = frozenset(
    {"PATH", "TMPDIR", "LD_LIBRARY_PATH", "SSH_AUTH_SOCK", "SSL_CERT_FILE", "SSL_CERT_DIR"}
    | {f"{scheme}_proxy" for scheme in ("http", "https", "no", "all")}
    | {f"{scheme}_PROXY" for scheme in ("HTTP", "HTTPS", "NO", "ALL")}
)

_CERTIFICATES: Final = {"SSL_CERT_FILE": "GIT_SSL_CAINFO", "SSL_CERT_DIR": "GIT_SSL_CAPATH"}


class GitFailed(TransientIndexError):
    """A git command ended with an error, and nobody knew better; ``stderr`` is its text, without credentials."""

    def __init__(self, command: str, exit_code: int, stderr: str) -> None:
        super().__init__(f"git {command}: exit code {exit_code}: {stderr}")
        self.stderr = stderr


def nothing_to_do() -> None:
    """The ``on_wait`` of callers that need none."""


def environment(home: Path, *, protocols: str = "none") -> dict[str, str]:
    """The variables git runs with. ``protocols``: those it may talk, such as ``https:ssh``; none by default."""
    kept = {name: value for name, value in os.environ.items() if name in _KEPT_VARIABLES}
    # Some builds of git know certificates by their own names for them only.
    trusted = {ours: os.environ[name] for name, ours in _CERTIFICATES.items() if name in os.environ}
    return (
        kept
        | trusted
        | {
            "HOME": str(home),
            "XDG_CONFIG_HOME": str(home),
            "LC_ALL": "C",
            "GIT_CONFIG_NOSYSTEM": "1",
            "GIT_CONFIG_GLOBAL": os.devnull,
            "GIT_ATTR_NOSYSTEM": "1",
            "GIT_TERMINAL_PROMPT": "0",
            "GIT_ASKPASS": "",
            "SSH_ASKPASS": "",
            "GIT_ALLOW_PROTOCOL": protocols,
            # Known to newer gits only; without any protocol there is nothing to fetch lazily with, either.
            "GIT_NO_LAZY_FETCH": "1",
            "GIT_OPTIONAL_LOCKS": "0",
        }
    )


def start(
    arguments: Sequence[str],
    *,
    environment: Mapping[str, str],
    stdin: IO[bytes] | int,
    stdout: IO[bytes] | int,
    stderr: IO[bytes] | int,
) -> subprocess.Popen[bytes]:
    """Start ``git ARGUMENTS`` as the leader of a process group. GitUnavailable."""
    try:
        return subprocess.Popen(  # noqa: S603 argv, no shell; refs and URLs stand behind --end-of-options or --
            ["git", *arguments],  # noqa: S607 the operator's PATH says which git
            env=dict(environment),
            stdin=stdin,
            stdout=stdout,
            stderr=stderr,
            cwd=environment["HOME"],
            start_new_session=True,
        )
    except OSError as error:
        raise GitUnavailable(f"expected git on the PATH, got {error.strerror}: install git") from error


def run(
    arguments: Sequence[str],
    *,
    environment: Mapping[str, str],
    timeout_seconds: float,
    on_wait: Callable[[], None] = nothing_to_do,
    stdin: IO[bytes] | int = subprocess.DEVNULL,
    stdout: IO[bytes] | int = subprocess.PIPE,
    secret: str | None = None,
) -> bytes:
    """Run ``git ARGUMENTS`` and return what it printed (nothing when ``stdout`` is a file).

    Calls ``on_wait`` several times a second; it may raise to stop. GitFailed, TransientIndexError after the time limit,
    GitUnavailable. Whatever happens, nothing it started is left. ``secret`` is kept out of errors.
    """
    process = start(arguments, environment=environment, stdin=stdin, stdout=stdout, stderr=subprocess.PIPE)
    deadline = time.monotonic() + timeout_seconds
    with process:
        try:
            while True:
                try:
                    output, errors = process.communicate(timeout=_WAKE_SECONDS)
                    break
                except subprocess.TimeoutExpired:
                    on_wait()
                    if time.monotonic() > deadline:
                        raise TransientIndexError(
                            f"expected git {command_of(arguments)} to end within {timeout_seconds:g} s, "
                            "and it was still running"
                        ) from None
        except BaseException:
            kill_group(process.pid)
            raise
    if process.returncode != 0:
        raise GitFailed(command_of(arguments), process.returncode, readable(errors, secret))
    return output or b""


def command_of(arguments: Sequence[str]) -> str:
    """What is behind the options of git itself; all of ours are ``-c NAME=VALUE``."""
    return next(each for before, each in pairwise(("", *arguments)) if "-c" not in (before, each))


def check_version() -> None:
    """GitUnavailable when git is absent or too old."""
    found = version()
    if found < OLDEST_VERSION:
        raise GitUnavailable(
            f"expected git {_dotted(OLDEST_VERSION)} or newer, got {_dotted(found)}: install a newer git"
        )


def version() -> tuple[int, ...]:
    """Of the git on the PATH, as far as its first two numbers. GitUnavailable when there is none."""
    return _version(os.environ.get("PATH", ""))


@lru_cache(maxsize=8)
def _version(_path: str) -> tuple[int, ...]:
    anywhere = environment(Path("/"))
    text = run(["--version"], environment=anywhere, timeout_seconds=_VERSION_TIMEOUT_SECONDS).decode()
    numbers = re.search(r"(\d+)\.(\d+)", text)
    if numbers is None:
        raise GitUnavailable(f"expected git --version to name a version, got {text.strip()!r}")
    return int(numbers[1]), int(numbers[2])


def _dotted(version: tuple[int, ...]) -> str:
    return ".".join(map(str, version))


def readable(stderr: bytes | None, secret: str | None = None) -> str:
    """What git wrote to stderr, without credentials and shortened from the front."""
    text = (stderr or b"").decode("utf-8", "replace").strip()
    if secret:
        text = text.replace(secret, "***")
    text = mask(text)
    return text if len(text) <= _MAX_ERROR else "..." + text[-_MAX_ERROR:]


def kill_group(group: int) -> None:
    """Kill what ``start`` started, which has not been waited for."""
    # Helpers (ssh, upload-pack) would outlive git. The leader has not been waited for, so the number is still ours.
    with suppress(ProcessLookupError):
        os.killpg(group, signal.SIGKILL)
