"""A process of git that is asked again and again: to start git takes longer than most of its answers."""

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
from typing import IO, Final

from indexing import git
from indexing.errors import TransientIndexError

#: Longest time without a look at the caller's wishes, in seconds.
_WAKE_SECONDS: Final = 0.2

#: What the kernel keeps of answers that are not read yet, and how much is read at once, in bytes: each time, the other
#: threads of this process may have to be waited for.
_PIPE_BYTES: Final = 1 << 20

#: While so many answers are missing, what git writes is left to gather for so long, in seconds: it writes each one in
#: pieces, and to be woken for each of them takes more than to read it.
_MANY_ANSWERS: Final = 64
_GATHER_SECONDS: Final = 0.001


class Talk:
    """One process, started when it is first needed, and again after it has ended. For one thread at a time.

    ``arguments``, ``environment``: as for ``git.run``. ``timeout_seconds``: for the answers to one question.
    """

    def __init__(self, arguments: Sequence[str], environment: Mapping[str, str], timeout_seconds: float) -> None:
        self._arguments = arguments
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

    def ask(self, question: bytes, take: Callable[[bytearray], int], on_wait: Callable[[], None]) -> None:
        """Write a question, and read what git says to it.

        ``take`` is called with all that it has said and that was not taken, removes what is whole, and returns how many
        answers are missing. ``on_wait`` is called several times a second. Both may raise to stop: the process ends
        with that.

        GitFailed when git ends before it has answered all, TransientIndexError after the time limit, GitUnavailable.
        """
        self.start()
        try:
            self._ask(question, take, on_wait)
        except BaseException:
            # What it would say next is the answer to something else.
            self.close()
            raise

    def kill(self) -> None:
        """End the process, without waiting for that: ``close`` does."""
        if self._process is not None and self._process.returncode is None:
            git.kill_group(self._process.pid)

    def close(self) -> None:
        """End the process. It may be asked again."""
        self.kill()
        process, self._process = self._process, None
        if process is not None:
            with process:
                pass
        if self._errors is not None:
            self._errors.close()

    def _ask(self, question: bytes, take: Callable[[bytearray], int], on_wait: Callable[[], None]) -> None:
        assert self._process is not None
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        stdin, stdout = self._process.stdin.fileno(), self._process.stdout.fileno()
        unsent = memoryview(question)
        unread = bytearray()
        poll = select.poll()
        poll.register(stdin, select.POLLOUT)
        poll.register(stdout, select.POLLIN)
        began = looked = time.monotonic()
        missing = 1
        while missing > 0:
            ready = poll.poll(_WAKE_SECONDS * 1000)
            # By the clock: a git that is slow may have something to say all the time.
            now = time.monotonic()
            if now > looked + _WAKE_SECONDS:
                looked = now
                on_wait()
                if now > began + self._timeout_seconds:
                    raise TransientIndexError(
                        f"expected git {git.command_of(self._arguments)} to answer within {self._timeout_seconds:g} s, "
                        "and it did not"
                    )
            for descriptor, event in ready:
                if descriptor == stdin:
                    # A pipe that is closed is found out by reading.
                    with suppress(BrokenPipeError):
                        unsent = unsent[os.write(stdin, unsent) :]
                    if not unsent or event & (select.POLLERR | select.POLLHUP):
                        poll.unregister(stdin)
                    continue
                if missing > _MANY_ANSWERS:
                    time.sleep(_GATHER_SECONDS)
                received = os.read(stdout, _PIPE_BYTES)
                if not received:
                    raise self._failure(self._process)
                unread += received
                missing = take(unread)

    def _failure(self, process: subprocess.Popen[bytes]) -> git.GitFailed:
        assert self._errors is not None
        exit_code = process.wait()
        self._errors.seek(0)
        return git.GitFailed(git.command_of(self._arguments), exit_code, git.readable(self._errors.read()))
