"""The parent's side of parsing: a few parser processes, fed and watched by one thread.

A parser gets batches, one behind the other, and answers file by file in their order. So the first file without an
answer is the one to blame when it dies or hangs: that file gets a recorded skip, the parser is replaced, and the files
behind it go on.
"""

from __future__ import annotations

import os
import selectors
import signal
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice
from types import TracebackType
from typing import Final, NamedTuple

from indexing import forks, frames, skips
from indexing.errors import TransientIndexError
from indexing.frames import Rows
from indexing.limits import KIB, Limits
from indexing.parser import CANNOT_LOAD
from indexing.patience import Patience

#: A batch ends with the file that reaches one of these: small enough to share out evenly, large enough that the pipe
#: costs nothing.
_BATCH_FILES: Final = 16
_BATCH_BYTES: Final = 256 * KIB

#: A parser that was given so many bytes is replaced: its memory grows a little with each tree.
_WORN_BYTES: Final = 16 * 1024 * KIB

#: How much of that a file's bytes count where few files need a tree.
_WEAR: Final = {"python": 0.125}

#: A file of more bytes is not parsed beside another such one.
_LARGE_BYTES: Final = 192 * KIB

#: What a file takes beside what its bytes take, as bytes.
_FILE_BYTES: Final = 512

#: A parser with so many files before it gets more: it is not to wait while the parent reads or stores.
_AHEAD_FILES: Final = 32

#: While every parser has so many files before it, answers are left to gather for so long, in seconds: to be woken for
#: each of them takes more than to read it.
_BUSY_FILES: Final = 12
_GATHER_SECONDS: Final = 0.002

#: Pieces of batches written at once; systems allow 1024.
_PIECES: Final = 64

#: The same while a parser has not been given more than one batch takes, so that a few files go to all of them alike.
_FIRST_FILES: Final = 6
_FIRST_BYTES: Final = 32 * KIB

#: Bytes of answers read at once.
_READ_BYTES: Final = 64 * KIB

#: Longest time without a look at the caller's wishes, in seconds.
_WAKE_SECONDS: Final = 0.2

#: Times a file may kill its parser before it is to blame: the first time may be the machine's doing (out of memory).
_CRASHES_TO_BLAME: Final = 2


class Task(NamedTuple):
    """One content to parse in one language."""

    oid: str
    language: str
    content: bytes
    crashes: int = 0


class Parsers:
    """Up to ``limits.parse_processes`` parser processes, started when there is work. Use as a context manager: all are
    ended behind it, and others are started when it is used again.

    ``command`` replaces the fork server in tests.
    """

    def __init__(self, limits: Limits, *, command: Sequence[str] = forks.COMMAND) -> None:
        self._limits = limits
        self._command = command
        self._running: list[_Parser] = []
        # One descriptor, which goes with this object.
        self._selector = selectors.DefaultSelector()

    def __enter__(self) -> Parsers:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        for parser in list(self._running):
            self._dismiss(parser)

    def start(self, languages: Sequence[str]) -> None:
        """Start parsers for files of these languages, so that they are ready when the files are."""
        while len(self._running) < min(self._limits.parse_processes, len(languages)):
            self._start(languages)

    def parse(self, tasks: Iterable[Task], on_wait: Callable[[], None]) -> Iterator[tuple[Task, Rows]]:
        """Parse all tasks; answers come as they are ready, in no order.

        Takes tasks as parsers become free, never more than some batches. Calls ``on_wait`` several times a second; it
        may raise to stop. TransientIndexError when no parser can be kept alive.
        """
        source = iter(tasks)
        again: deque[Task] = deque()
        exhausted = False
        while True:
            while (again and self._has_room(0)) or (not exhausted and self._has_room(_AHEAD_FILES)):
                # A file that killed a parser goes alone: if another dies, it is clear of what.
                batch = [again.popleft()] if again and self._has_room(0) else _batch(source, is_first=self._is_new)
                exhausted = exhausted or not batch
                if batch:
                    self._taker_of(batch).send(batch)
            if exhausted and not again and not any(parser.tasks for parser in self._running):
                return
            on_wait()
            yield from self._collect(again)

    @property
    def _is_new(self) -> bool:
        """Whether there is a parser that was given little so far, or is not there yet."""
        return len(self._running) < self._limits.parse_processes or any(
            each.given_bytes < _BATCH_BYTES for each in self._running
        )

    def _has_room(self, most_tasks: int) -> bool:
        """Whether a parser has no more tasks than these, or another one may be started."""
        return len(self._running) < self._limits.parse_processes or any(
            len(each.tasks) <= most_tasks and not each.is_worn for each in self._running
        )

    def _taker_of(self, batch: Sequence[Task]) -> _Parser:
        """The least busy, but large files one behind the other: a tree takes 100 times its source."""
        if _has_large(batch):
            for parser in self._running:
                if _has_large(parser.tasks) and not parser.is_worn:
                    return parser
        return self._least_busy(batch)

    def _least_busy(self, batch: Sequence[Task]) -> _Parser:
        """The one with the least to do; a new one while all are busy and one may be started, and not before."""
        fresh = [each for each in self._running if not each.is_worn]
        least = min(fresh, key=lambda each: each.waiting_bytes, default=None)
        if least is not None and (not least.tasks or len(self._running) >= self._limits.parse_processes):
            return least
        return self._start([task.language for task in batch])

    def _start(self, languages: Iterable[str]) -> _Parser:
        fork = forks.fork_parser(self._limits, list(dict.fromkeys(languages)), self._command)
        parser = _Parser(fork, self._limits)
        self._running.append(parser)
        self._selector.register(parser.stdout, selectors.EVENT_READ, parser)
        return parser

    def _collect(self, again: deque[Task]) -> Iterator[tuple[Task, Rows]]:
        """Move bytes, and hand out what was answered."""
        if self._running and all(parser.is_busy for parser in self._running):
            time.sleep(_GATHER_SECONDS)
        for parser in self._running:
            self._watch_writing(parser)
        for key, _events in self._selector.select(_WAKE_SECONDS):
            parser = key.data
            if parser not in self._running:
                continue
            if key.fd == parser.stdin:
                parser.write()
                continue
            answers, alive = parser.read()
            yield from answers
            if not alive:
                yield from self._bury(parser, again)
            elif parser.is_worn and not parser.tasks:
                self._dismiss(parser)
        for parser in [each for each in self._running if each.tasks and each.patience.is_over(each.pid)]:
            parser.silent = True
            yield from self._bury(parser, again)

    def _watch_writing(self, parser: _Parser) -> None:
        if parser.unsent and not parser.is_watched:
            self._selector.register(parser.stdin, selectors.EVENT_WRITE, parser)
        elif not parser.unsent and parser.is_watched:
            self._selector.unregister(parser.stdin)
        parser.is_watched = bool(parser.unsent)

    def _bury(self, parser: _Parser, again: deque[Task]) -> Iterator[tuple[Task, Rows]]:
        """A parser died or hangs: blame the file it was at, and have the others parsed by the next one."""
        self._leave(parser)
        parser.end()
        if parser.pid is None:
            raise TransientIndexError(
                f"expected a parser process to start, got exit code {parser.exit_code} of {' '.join(self._command)}: "
                "is it runnable, and is there memory left?"
            )
        if parser.exit_code == CANNOT_LOAD and parser.tasks:
            raise TransientIndexError(
                f"expected a parser for {parser.tasks[0].language}, and it could not be loaded: "
                "install this project's dependencies again"
            )
        if not parser.tasks:
            return
        guilty = parser.tasks.popleft()
        again.extend(parser.tasks)
        if parser.silent or parser.exit_code == -signal.SIGXCPU:
            yield guilty, Rows(None, skips.PARSE_TIMEOUT)
        elif guilty.crashes + 1 >= _CRASHES_TO_BLAME:
            yield guilty, Rows(None, skips.PARSE_CRASHED)
        else:
            again.appendleft(Task(guilty.oid, guilty.language, guilty.content, guilty.crashes + 1))

    def _dismiss(self, parser: _Parser) -> None:
        self._leave(parser)
        parser.dismiss()

    def _leave(self, parser: _Parser) -> None:
        """Watch it no more."""
        self._running.remove(parser)
        for descriptor in (parser.stdin, parser.stdout):
            if descriptor in self._selector.get_map():
                self._selector.unregister(descriptor)


class _Parser:
    """One parser process and the batch it is at."""

    def __init__(self, fork: forks.Fork, limits: Limits) -> None:
        self.stdin = fork.stdin
        self.stdout = fork.stdout
        self.tasks: deque[Task] = deque()
        #: Pieces of batches, as they are: contents are not copied once more.
        self.unsent: deque[memoryview] = deque()
        #: Whether it is waited for until it takes more of them.
        self.is_watched = False
        self.silent = False
        #: Once it has started: what happens from here on is a file's fault.
        self.pid: int | None = None
        #: How it ended, once it has.
        self.exit_code: int | None = None
        self.patience = Patience(limits.parse_silence_seconds)
        self._fork = fork
        #: Of all contents that it was given, and of those that it has not answered.
        self.given_bytes = self.waiting_bytes = 0
        self._worn_bytes = 0.0
        self._received = bytearray()
        #: For each read the same memory: to get and shrink some would take longer than to read.
        self._read_into = memoryview(bytearray(_READ_BYTES))

    @property
    def is_worn(self) -> bool:
        """Whether it has parsed so much that a new one takes less memory."""
        return self._worn_bytes > _WORN_BYTES

    @property
    def is_busy(self) -> bool:
        """Whether it needs nothing for a while: it has received much to do."""
        return len(self.tasks) > _BUSY_FILES and not self.unsent

    def send(self, batch: Sequence[Task]) -> None:
        if not self.tasks:
            self.patience.renew()
        self.tasks.extend(batch)
        size = sum(map(_size, batch))
        self.given_bytes += size
        self.waiting_bytes += size
        self._worn_bytes += sum(len(task.content) * _WEAR.get(task.language, 1.0) for task in batch)
        pieces = frames.encode_batch([(task.language, task.content) for task in batch])
        self.unsent.extend(map(memoryview, pieces))
        # At once: the next batch may have to be read from git before anything else is done.
        self.write()

    def write(self) -> None:
        try:
            written = os.writev(self.stdin, list(islice(self.unsent, _PIECES)))
        except BlockingIOError:
            return
        except BrokenPipeError:
            # It is dead; reading finds out, and knows how far it came.
            self.unsent.clear()
            return
        while self.unsent and written >= len(self.unsent[0]):
            written -= len(self.unsent.popleft())
        if written:
            self.unsent[0] = self.unsent[0][written:]

    def read(self) -> tuple[list[tuple[Task, Rows]], bool]:
        """The answers that are there, and whether the process can give more."""
        answers: list[tuple[Task, Rows]] = []
        try:
            length = os.readv(self.stdout, [self._read_into])
        except BlockingIOError:
            return answers, True
        self._received += self._read_into[:length]
        try:
            if self.pid is None and (body := frames.unpack(self._received)) is not None:
                self.pid = frames.decode_ready(body)
            while self.tasks and (body := frames.unpack(self._received)) is not None:
                answers.append((self.tasks[0], frames.decode_parsed(body)))
                self.waiting_bytes -= _size(self.tasks.popleft())
                self.patience.renew()
        except ValueError:
            return answers, False
        return answers, length > 0

    def end(self) -> None:
        """End it, and know how it did."""
        self.exit_code = self._fork.end()

    def dismiss(self) -> None:
        """End it without waiting for that."""
        self._fork.dismiss()


def _size(task: Task) -> int:
    return len(task.content) + _FILE_BYTES


def _has_large(tasks: Iterable[Task]) -> bool:
    return any(len(task.content) > _LARGE_BYTES for task in tasks)


def _batch(source: Iterator[Task], *, is_first: bool) -> list[Task]:
    batch: list[Task] = []
    size = 0
    most_files, most_bytes = (_FIRST_FILES, _FIRST_BYTES) if is_first else (_BATCH_FILES, _BATCH_BYTES)
    for task in source:
        batch.append(task)
        size += len(task.content)
        if len(batch) >= most_files or size >= most_bytes:
            break
    return batch
