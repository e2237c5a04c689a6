"""The parser process: reads batches on stdin, answers on stdout, ends when its parent does.

Forked from the fork server. A parse can hang for ever while it holds the interpreter's lock, take all memory, or crash:
so it happens here, where the kernel ends what does not end by itself and nothing else is lost.
"""

from __future__ import annotations

import gc
import os
import resource
import time
from collections.abc import Sequence
from contextlib import suppress
from functools import cache
from pathlib import Path

from indexing import frames, languages, skips
from indexing.extract import Extractor, OutOfTime, TooManySymbols
from indexing.found import Symbol
from indexing.frames import Parsed
from indexing.priority import Priority
from indexing.texts import as_utf8, line_count
from indexing.written import last_end

#: Exit code of a parser that cannot load a language: a wheel is missing or broken.
CANNOT_LOAD = 70

#: Objects made until the collector looks for cycles: rows have none, and a file has so many of them.
_GARBAGE_OBJECTS = 50_000

#: More than a source of ours has.
_OWN_SYMBOLS = 1000

#: How far into a JavaScript file its ``@flow`` comment is looked for, in bytes.
_FLOW_LOOK_BYTES = 1000


def serve(priority: Priority, seconds: float, kill_seconds: float, memory_bytes: int, max_symbols: int) -> None:
    """Answer batches until stdin ends. CPU seconds for a file, seconds more until the kernel ends us, bytes of address
    space, symbols of a file."""
    _limit(memory_bytes)
    gc.set_threshold(_GARBAGE_OBJECTS)
    # Answers get a descriptor of their own: what a library prints must not end up between them.
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    answers.write(frames.encode_ready(os.getpid()))
    answers.flush()
    batches = os.fdopen(0, "rb")
    limit = _TimeLimit()
    while (batch := frames.read(batches)) is not None:
        for language, content in frames.decode_batch(batch):
            priority.settle()
            _load(language)
            limit.arm(seconds + kill_seconds)
            answers.write(frames.encode_parsed(parse(language, content, seconds, max_symbols)))
            answers.flush()


def preload(language: str) -> None:
    """Load a language for all parsers that are forked from here, if that is possible."""
    # Whatever it is, the parser that needs the language says so.
    with suppress(Exception):
        _extractor(language)


def warm_up(most_files: int | None = None) -> None:
    """Parse some of our own sources, all of them by default: the interpreter gets faster at what comes again."""
    # Without them everything works as well.
    with suppress(Exception):
        for source in _own_sources()[:most_files]:
            frames.encode_parsed(parse("python", source, 1.0, _OWN_SYMBOLS))


@cache
def _own_sources() -> list[bytes]:
    return [each.read_bytes() for each in sorted(Path(__file__).parent.rglob("*.py"))]


def parse(language: str, content: bytes, seconds: float, max_symbols: int) -> Parsed:
    """What is in a file, or why it is skipped."""
    decoded = as_utf8(content)
    if decoded is None:
        return Parsed(None, skips.BINARY, ())
    source, shift = decoded
    if language == "javascript" and b"@flow" in source[:_FLOW_LOOK_BYTES]:
        # Types as in TypeScript, of which the grammar of JavaScript knows nothing.
        language = "tsx"
    extractor = _extractor(language)
    if extractor is None:
        return Parsed(line_count(source), None, ())
    try:
        symbols, imports = extractor.extract(source, seconds=seconds, max_symbols=max_symbols)
    except OutOfTime:
        return Parsed(line_count(source), skips.PARSE_TIMEOUT, ())
    except TooManySymbols:
        return Parsed(line_count(source), skips.TOO_MANY_SYMBOLS, ())
    except MemoryError:
        return Parsed(line_count(source), skips.PARSE_MEMORY, ())
    lines = _lines(source, symbols)
    if shift != 0:
        symbols = [_shifted(each, shift) for each in symbols]
    return Parsed(lines, None, symbols, imports)


def _lines(source: bytes, symbols: Sequence[Symbol]) -> int:
    """The last symbol knows how many lines end before its own end, so that few are counted."""
    if not symbols:
        return line_count(source)
    last_line, end = last_end(symbols)
    return last_line - 1 + line_count(source, end)


def _shifted(symbol: Symbol, shift: int | None) -> Symbol:
    if shift is None or symbol.first_byte is None or symbol.end_byte is None:
        return symbol._replace(first_byte=None, end_byte=None)
    return symbol._replace(first_byte=symbol.first_byte + shift, end_byte=symbol.end_byte + shift)


@cache
def _extractor(language: str) -> Extractor | None:
    grammatical = languages.load(language)
    return None if grammatical is None else Extractor(grammatical)


def _load(language: str) -> None:
    """Load a language when it is needed: ten take longer to load than most changes take to parse."""
    try:
        _extractor(language)
    except Exception:  # noqa: BLE001 whatever it is, it is the installation's fault and no file's
        import traceback  # Takes a fifth of the start, and is hardly ever needed.

        traceback.print_exc()
        # At once: an ordinary exit could look like a parser that a file has ended.
        os._exit(CANNOT_LOAD)


def _limit(memory_bytes: int) -> None:
    resource.setrlimit(resource.RLIMIT_AS, (memory_bytes, memory_bytes))
    # A crash is expected now and then: no core file, and no file at all, is to be written for it.
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))


class _TimeLimit:
    """Of this process's CPU time, kept by the kernel."""

    def __init__(self) -> None:
        self._armed = 0

    def arm(self, seconds: float) -> None:
        """From here on, the kernel ends this process after so many seconds (whole ones: at least)."""
        wanted = int(time.process_time() + seconds) + 1
        if wanted == self._armed:
            # Most files take no part of a second, and this is asked for each of them.
            return
        _soft, hard = resource.getrlimit(resource.RLIMIT_CPU)
        resource.setrlimit(resource.RLIMIT_CPU, (wanted if hard == resource.RLIM_INFINITY else min(wanted, hard), hard))
        self._armed = wanted
