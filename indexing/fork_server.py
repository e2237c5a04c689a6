"""The process that parsers are forked from: it has loaded what they need, and never sees a source that is not ours.

Started as ``python -m indexing.fork_server LANGUAGE ...`` with a socket as its stdin. Until a new interpreter can parse
takes as long as a small commit takes in all; a fork of one that can takes a millisecond. A parser still serves one job
alone: whatever a file does to it, the next repository gets another one.

    parent -> server    {"fork": number, "limits": [...], "languages": [...]}, a line, and with it two descriptors:
                        where the parser reads batches, and where it writes answers
                        {"end": number}, a line
                        {"dismiss": number}, a line: the same, and nobody waits for it
    server -> parent    for each end a line, the number and the exit code

Two parsers are kept ready while no other one runs: to fork takes a fifth of a small commit, and so does the memory that
each parser has to itself once it has parsed something. Before it forks the first of them, the server parses all sources
of this package: a first index of some hundred files takes a twentieth less for it. Each of them parses a few as well.

It ends with its parent, and all parsers with it.
"""

from __future__ import annotations

import gc
import json
import os
import signal
import socket
import sys
from collections import deque
from contextlib import suppress
from select import select
from typing import Any, NamedTuple, NoReturn

from indexing import parser
from indexing.priority import Priority

#: How much is read of the socket at once, in bytes and in descriptors.
_READ_BYTES = 1 << 16
_READ_DESCRIPTORS = 64


#: Parsers that are kept ready, and so long no parser must have run before they are made, in seconds.
_SPARES = 2
_QUIET_SECONDS = 0.05

#: Sources that a parser parses while it waits: enough to have the memory that others will need.
_SPARE_WARM_FILES = 3


class _Spare(NamedTuple):
    """A parser that waits for its descriptors and limits."""

    pid: int
    socket: socket.socket


def main() -> None:
    """Serve until the parent closes its end. Arguments: the languages to load at once."""
    with socket.socket(fileno=os.dup(0)) as control:
        _Server(control).run(sys.argv[1:])


class _Server:
    def __init__(self, control: socket.socket) -> None:
        self._control = control
        self._parsers: dict[int, int] = {}
        self._descriptors: deque[int] = deque()
        self._loaded: set[str] = set()
        self._spares: deque[_Spare] = deque()
        self._is_warm = False

    def run(self, languages: list[str]) -> None:
        self._load(languages)
        unread = b""
        try:
            while received := self._receive():
                *lines, unread = (unread + received).split(b"\n")
                for line in lines:
                    self._answer(json.loads(line))
        finally:
            for pid in (*self._parsers.values(), *(spare.pid for spare in self._spares)):
                os.kill(pid, signal.SIGKILL)

    def _receive(self) -> bytes:
        # Not at once behind a parser: its job has something to store first.
        if not self._parsers and len(self._spares) < _SPARES and not select([self._control], [], [], _QUIET_SECONDS)[0]:
            self._warm_up()
            self._make_spares()
        try:
            received, descriptors, _flags, _address = socket.recv_fds(self._control, _READ_BYTES, _READ_DESCRIPTORS)
        except ConnectionError:
            return b""
        self._descriptors.extend(descriptors)
        return received

    def _answer(self, request: dict[str, Any]) -> None:
        if "fork" in request:
            if self._load(request["languages"]):
                # Each of them would have to load it once more.
                self._drop_spares()
            self._fork(request["fork"], request["limits"])
        elif "dismiss" in request:
            self._end(request["dismiss"])
        else:
            exit_code = self._end(request["end"])
            self._control.sendall(json.dumps([request["end"], exit_code]).encode() + b"\n")

    def _load(self, languages: list[str]) -> bool:
        """Load languages, unless they are; whether one was not. One that cannot be loaded is the parser's to report."""
        new = [language for language in languages if language not in self._loaded]
        for language in new:
            self._loaded.add(language)
            parser.preload(language)
            _share()
        return bool(new)

    def _warm_up(self) -> None:
        if not self._is_warm:
            self._is_warm = True
            parser.warm_up()
            _share()

    def _fork(self, number: int, limits: list[Any]) -> None:
        batches, answers = self._descriptors.popleft(), self._descriptors.popleft()
        try:
            while self._spares and number not in self._parsers:
                self._hand_over(self._spares.popleft(), number, limits, [batches, answers])
            if number not in self._parsers:
                self._hand_over(self._make_spare(is_urgent=True), number, limits, [batches, answers])
        except OSError:
            # Too many processes: the parent finds that its end is closed.
            pass
        finally:
            os.close(batches)
            os.close(answers)

    def _hand_over(self, spare: _Spare, number: int, limits: list[Any], descriptors: list[int]) -> None:
        try:
            with spare.socket:
                socket.send_fds(spare.socket, [json.dumps(limits).encode()], descriptors)
            self._parsers[number] = spare.pid
        except ConnectionError:
            # Somebody killed it while it waited.
            os.waitpid(spare.pid, 0)

    def _make_spares(self) -> None:
        # Too many processes: then there are none, and each parser is forked when it is asked for.
        with suppress(OSError):
            while len(self._spares) < _SPARES:
                self._spares.append(self._make_spare())

    def _drop_spares(self) -> None:
        while self._spares:
            spare = self._spares.popleft()
            spare.socket.close()
            os.kill(spare.pid, signal.SIGKILL)
            os.waitpid(spare.pid, 0)

    def _make_spare(self, *, is_urgent: bool = False) -> _Spare:
        ours, theirs = socket.socketpair()
        with theirs:
            pid = os.fork()
            if pid == 0:
                ours.close()
                self._become_parser(theirs, is_urgent=is_urgent)
            return _Spare(pid, ours)

    def _become_parser(self, control: socket.socket, *, is_urgent: bool) -> NoReturn:
        exit_code = 1
        try:
            self._control.close()
            # Other parsers' ends: held here they would never be closed.
            for spare in self._spares:
                spare.socket.close()
            for descriptor in self._descriptors:
                os.close(descriptor)
            os.setsid()
            # The server's end of its socket: only the server is to hear from the parent.
            os.close(0)
            os.open(os.devnull, os.O_RDONLY)
            priority = Priority()
            if not is_urgent:
                priority.settle()
                parser.warm_up(_SPARE_WARM_FILES)
            limits, descriptors, _flags, _address = socket.recv_fds(control, _READ_BYTES, 2)
            if not limits:
                os._exit(0)
            control.close()
            for descriptor, place in zip(descriptors, (0, 1), strict=True):
                os.dup2(descriptor, place)
                os.close(descriptor)
            parser.serve(priority, *json.loads(limits))
            exit_code = 0
        finally:
            # At once, whatever was raised: what is behind the fork is the server's.
            os._exit(exit_code)

    def _end(self, number: int) -> int | None:
        """It is not waited for before: until then its process id is nobody else's."""
        pid = self._parsers.pop(number, None)
        if pid is None:
            return None
        os.kill(pid, signal.SIGKILL)
        _, status = os.waitpid(pid, 0)
        return os.waitstatus_to_exitcode(status)


def _share() -> None:
    """What there is stays in memory that all parsers share: a collector would write to it."""
    gc.collect()
    gc.freeze()


if __name__ == "__main__":
    main()
