"""The fork server of parsers, but a content can say what is to go wrong: ``TRICK <what> [<argument>]`` on a line."""

from __future__ import annotations

import os
import re
import signal
import sys
import time
from pathlib import Path
from typing import NoReturn

from indexing import fork_server, parser
from indexing.found import Symbol
from indexing.frames import Parsed

_real_parse = parser.parse

#: What contents before have left behind.
_remembered: list[str] = []


def parse(language: str, content: bytes, seconds: float, max_symbols: int) -> Parsed:
    if not content.startswith(b"TRICK "):
        return _real_parse(language, content, seconds, max_symbols)
    first, _, rest = content.decode().partition("\n")
    _, trick, *arguments = first.split()
    if trick == "spin":
        # Never ends, and holds the interpreter's lock all the while, like a parser in an endless loop.
        re.fullmatch(r"(a+)+", "a" * 200 + "b")
    elif trick == "work":
        # A file that takes long, or any where others have the processor.
        while time.process_time() < float(arguments[0]):
            pass
        return _real_parse(language, rest.encode(), seconds, max_symbols)
    elif trick == "sleep":
        signal.pause()
    elif trick == "crash":
        _crash()
    elif trick == "crash-once":
        marker = Path(arguments[0])
        if not marker.exists():
            marker.touch()
            _crash()
        return _real_parse(language, rest.encode(), seconds, max_symbols)
    elif trick == "exhaust":
        return _exhaust(language, content, seconds, max_symbols)
    elif trick in ("remember", "recall"):
        _remembered.extend(["remembered"] * (trick == "remember"))
        return _real_parse(language, f"class {(_remembered or ['nothing'])[0]}: pass\n".encode(), seconds, max_symbols)
    elif trick == "babble":
        for descriptor in range(3, 20):
            try:
                os.write(descriptor, b"\xff" * 100)
            except OSError:
                continue
        signal.pause()
    raise AssertionError(trick)


class _Exhausting:
    """An extractor that wants more memory than there may be."""

    def extract(self, source: bytes, **_limits: float) -> list[Symbol]:
        return [Symbol("x", "y", 1, 1, "", None)] * (len(source) * 10**12)


def _exhaust(language: str, content: bytes, seconds: float, max_symbols: int) -> Parsed:
    real = parser._extractor
    parser._extractor = lambda _language: _Exhausting()  # type: ignore[assignment]
    try:
        return _real_parse(language, content, seconds, max_symbols)
    finally:
        parser._extractor = real


def _crash() -> NoReturn:
    os.kill(os.getpid(), signal.SIGSEGV)
    sys.exit(1)


class _Equal:
    """Gives way to nobody: on a busy machine the tests that wait for a trick would wait for a processor."""

    def settle(self) -> None:
        pass


if __name__ == "__main__":
    parser.parse = parse
    parser.Priority = _Equal  # type: ignore[attr-defined, assignment]
    fork_server.main()
