"""The process that parsers are forked from: it has loaded what they need, and never sees a source.

Started as ``python -m indexing.fork_server LANGUAGE ...`` with a socket as its stdin. Until a new interpreter can parse
takes as long as a small commit takes in all; a fork of one that can takes a millisecond. A parser still serves one job
alone: whatever a file does to it, the next repository gets another one.

    parent -> server    {"fork": number, "limits": [...], "languages": [...]}, a line, and with it two descriptors:
                        where the parser reads batches, and where it writes answers
                        {"end": number}, a line
                        {"dismiss": number}, a line: the same, and nobody waits for it
    server -> parent    for each end a line, the number and the exit code

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
from typing import Any, NoReturn

from indexing import parser

#: How much is read of the socket at once, in bytes and in descriptors.
_READ_BYTES = 1 << 16
_READ_DESCRIPTORS = 64


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

    def run(self, languages: list[str]) -> None:
        self._load(languages)
        unread = b""
        try:
            while received := self._receive():
                *lines, unread = (unread + received).split(b"\n")
                for line in lines:
                    self._answer(json.loads(line))
        finally:
            for pid in self._parsers.values():
                os.kill(pid, signal.SIGKILL)

    def _receive(self) -> bytes:
        try:
            received, descriptors, _flags, _address = socket.recv_fds(self._control, _READ_BYTES, _READ_DESCRIPTORS)
        except ConnectionError:
            return b""
        self._descriptors.extend(descriptors)
        return received

    def _answer(self, request: dict[str, Any]) -> None:
        if "fork" in request:
            self._load(request["languages"])
            self._fork(request["fork"], request["limits"])
        elif "dismiss" in request:
            self._end(request["dismiss"])
        else:
            exit_code = self._end(request["end"])
            self._control.sendall(json.dumps([request["end"], exit_code]).encode() + b"\n")

    def _load(self, languages: list[str]) -> None:
        """Load languages, unless they are. One that cannot be loaded is the parser's to report."""
        for language in languages:
            if language not in self._loaded:
                self._loaded.add(language)
                parser.preload(language)
                # What is loaded stays in memory that all parsers share: a collector would write to it.
                gc.collect()
                gc.freeze()

    def _fork(self, number: int, limits: list[Any]) -> None:
        batches, answers = self._descriptors.popleft(), self._descriptors.popleft()
        try:
            pid = os.fork()
            if pid == 0:
                self._become_parser(batches, answers, limits)
            self._parsers[number] = pid
        except OSError:
            # Too many processes: the parent finds that its end is closed.
            pass
        finally:
            os.close(batches)
            os.close(answers)

    def _become_parser(self, batches: int, answers: int, limits: list[Any]) -> NoReturn:
        exit_code = 1
        try:
            self._control.close()
            # Other parsers' ends, of requests that came with this one: held here they would never be closed.
            for descriptor in self._descriptors:
                os.close(descriptor)
            os.setsid()
            os.dup2(batches, 0)
            os.dup2(answers, 1)
            os.close(batches)
            os.close(answers)
            parser.serve(*limits)
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


if __name__ == "__main__":
    main()
