"""``git cat-file`` as a process that is asked again and again: to start git takes longer than most of its answers.

It also keeps what it has unpacked: contents are stored as differences from each other.
"""

from __future__ import annotations

import fcntl
import os
import select
import subprocess
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import IO, Final, Literal, NamedTuple

from indexing import git
from indexing.errors import TransientIndexError

#: Longest time without a look at the caller's wishes, in seconds.
_WAKE_SECONDS: Final = 0.2

#: What the kernel keeps of answers that are not read yet, and how much is read at once, in bytes: each time, the other
#: threads of this process may have to be waited for.
_PIPE_BYTES: Final = 1 << 20

#: While so many answers are missing, what git writes is left to gather for so long, in seconds: it writes each one in
#: pieces, and to be woken for each of them takes more than to read it.
_MANY_ANSWERS: Final = 16
_GATHER_SECONDS: Final = 0.001

#: However large a repository is, so much of its packs is in memory, and of what it has unpacked for later.
_LITTLE_MEMORY: Final = (
    *("-c", "core.packedGitWindowSize=1m"),
    *("-c", "core.packedGitLimit=16m"),
    *("-c", "core.deltaBaseCacheLimit=16m"),
)

#: An id, a type and a size are far below this, in bytes.
_MAX_HEAD_BYTES: Final = 512


Option = Literal["--batch-command", "--batch", "--batch-check"]


class Answer(NamedTuple):
    """What git says of an object. ``content`` is empty where it was not asked for."""

    oid: str
    kind: bytes
    size_bytes: int
    content: bytes = b""


class Died(Exception):
    """git has ended before it had answered all; ``answers`` are the ones it gave, ``failure`` says why it ended."""

    def __init__(self, answers: list[Answer | None], failure: git.GitFailed) -> None:
        super().__init__(str(failure))
        self.answers = answers
        self.failure = failure


class CatFile:
    """One process, started when it is first needed, and again after it has ended. For one thread at a time.

    ``option``: ``--batch-command`` for all questions; for a git that does not know it ``--batch`` for contents and
    ``--batch-check`` for the others. ``environment``: as for ``git.run``. ``timeout_seconds``: for all answers to one
    question.
    """

    def __init__(self, option: Option, environment: Mapping[str, str], timeout_seconds: float) -> None:
        self._arguments = (*_LITTLE_MEMORY, "cat-file", option)
        self._has_commands = option == "--batch-command"
        self._environment = environment
        self._timeout_seconds = timeout_seconds
        self._process: subprocess.Popen[bytes] | None = None
        self._errors: IO[bytes] | None = None

    def start(self) -> None:
        """Start the process, so that it is ready when it is asked. GitUnavailable."""
        if self._process is not None:
            return
        if self._errors is not None:
            self._errors.close()
        self._errors = tempfile.TemporaryFile(dir=Path(self._environment["HOME"]))  # noqa: SIM115 it stays open
        self._process = git.start(
            self._arguments,
            environment=self._environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
        )
        for pipe in (self._process.stdin, self._process.stdout):
            assert pipe is not None
            os.set_blocking(pipe.fileno(), False)
        if hasattr(fcntl, "F_SETPIPE_SZ") and self._process.stdout is not None:
            # The kernel may allow less, which costs only time.
            with suppress(OSError):
                fcntl.fcntl(self._process.stdout, fcntl.F_SETPIPE_SZ, _PIPE_BYTES)

    def ask(
        self, names: Sequence[str], on_wait: Callable[[], None], *, what: Literal["info", "contents"]
    ) -> list[Answer | None]:
        """An answer for each name, in order; None for what is not there. All are in memory together.

        Calls ``on_wait`` several times a second; it may raise to stop. Died, TransientIndexError after the time limit,
        GitUnavailable.
        """
        if not names:
            return []
        self.start()
        try:
            return self._ask(names, on_wait, what)
        except BaseException:
            # What it would say next is the answer to something else.
            self.close()
            raise

    def close(self) -> None:
        """End the process. It may be asked again."""
        process, self._process = self._process, None
        if process is not None:
            with process:
                if process.returncode is None:
                    git.kill_group(process.pid)
        if self._errors is not None:
            self._errors.close()

    def _ask(
        self, names: Sequence[str], on_wait: Callable[[], None], what: Literal["info", "contents"]
    ) -> list[Answer | None]:
        assert self._process is not None
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        stdin, stdout = self._process.stdin.fileno(), self._process.stdout.fileno()
        command = f"{what} " if self._has_commands else ""
        unsent = memoryview("".join([f"{command}{name}\n" for name in names]).encode())
        answers: list[Answer | None] = []
        unread = bytearray()
        poll = select.poll()
        poll.register(stdin, select.POLLOUT)
        poll.register(stdout, select.POLLIN)
        began = looked = time.monotonic()
        while len(answers) < len(names):
            ready = poll.poll(_WAKE_SECONDS * 1000)
            # By the clock: a git that is slow may have something to say all the time.
            now = time.monotonic()
            if now > looked + _WAKE_SECONDS:
                looked = now
                on_wait()
                if now > began + self._timeout_seconds:
                    raise TransientIndexError(
                        f"expected git cat-file to answer within {self._timeout_seconds:g} s, and it did not"
                    )
            for descriptor, event in ready:
                if descriptor == stdin:
                    # A pipe that is closed is found out by reading.
                    with suppress(BrokenPipeError):
                        unsent = unsent[os.write(stdin, unsent) :]
                    if not unsent or event & (select.POLLERR | select.POLLHUP):
                        poll.unregister(stdin)
                    continue
                if len(names) - len(answers) > _MANY_ANSWERS:
                    time.sleep(_GATHER_SECONDS)
                received = os.read(stdout, _PIPE_BYTES)
                if not received:
                    raise Died(answers, self._failure(self._process))
                unread += received
                _take(unread, answers, has_contents=what == "contents")
        return answers

    def _failure(self, process: subprocess.Popen[bytes]) -> git.GitFailed:
        assert self._errors is not None
        exit_code = process.wait()
        self._errors.seek(0)
        return git.GitFailed("cat-file", exit_code, git.readable(self._errors.read()))


def _take(unread: bytearray, answers: list[Answer | None], *, has_contents: bool) -> None:
    """Take the answers that are whole: ``ID TYPE SIZE``, a line end, the content, a line end."""
    at = 0
    with memoryview(unread) as view:
        while (line_end := unread.find(b"\n", at, at + _MAX_HEAD_BYTES)) >= 0:
            head = view[at:line_end].tobytes().split(b" ")
            if len(head) != 3:
                # Missing, ambiguous, or nothing that can be read.
                answers.append(None)
                at = line_end + 1
                continue
            start, size = line_end + 1, int(head[2])
            end = start + size if has_contents else start
            if has_contents and end >= len(unread):
                break
            answers.append(Answer(head[0].decode(), head[1], size, view[start:end].tobytes()))
            at = end + has_contents
    del unread[:at]
