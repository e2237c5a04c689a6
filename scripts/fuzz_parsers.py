"""Look for sources that harm a parser: that it never ends, dies of, or takes all memory for.

    python scripts/fuzz_parsers.py [--seconds 60] [--language python ...] [--seed 1] [--keep]

Takes the small sources of the tests, cuts and mixes them, and has each parsed as a job would, in child processes with
limits. What harms one is made as short as it can be and printed; with --keep it is written to
tests/indexing/harmful_sources/, where a test holds it. Run it when a parser's version changes.
"""

from __future__ import annotations

import argparse
import hashlib
import random
import re
import sys
import time
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from indexing import languages  # noqa: E402 the path comes first
from indexing.limits import Limits  # noqa: E402
from indexing.parsers import Parsers, Task  # noqa: E402

KEPT = ROOT / "tests" / "indexing" / "harmful_sources"

#: Far more than any of these short sources takes, in seconds; a find is looked at again with the second one.
LIMITS = Limits(parse_processes=2, parse_seconds=0.3, parse_kill_cpu_seconds=0.1, parse_silence_seconds=10)
CERTAIN = Limits(parse_processes=1, parse_seconds=2.0, parse_silence_seconds=20)

#: Longest source that is tried, in bytes, and how many are tried between two looks at the clock.
LONGEST = 400
ROUND = 400

#: What parsers stumble over.
_TOKENS = [
    *"(){}[]<>'\"`;:,.=+-*/\\|&^%$#@!?~ \n\t",
    "<<",
    ">>",
    "=>",
    "::",
    "...",
    "/*",
    "*/",
    "//",
    '"""',
    "${",
    "\x00",
]
_PIECE = re.compile(r"\w+|\s+|.", re.DOTALL)
_SOURCE = re.compile(r'^([A-Z]+) = """\\\n(.*?)^"""', re.DOTALL | re.MULTILINE)


def main() -> None:
    """Fuzz for the given time and print what was found; exit code 1 when something was."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--seconds", type=float, default=60.0, help="how long to look")
    options.add_argument("--language", action="append", help="only this one; may be given several times")
    options.add_argument("--seed", type=int, default=None, help="for the same sources again")
    options.add_argument("--keep", action="store_true", help="write finds where the tests hold them")
    given = options.parse_args()
    seeds = _seeds()
    wanted = given.language or [name for name in languages.LANGUAGES if name in seeds]
    draw = random.Random(given.seed)
    deadline = time.monotonic() + given.seconds
    tried, found = 0, 0
    while time.monotonic() < deadline:
        language = draw.choice(wanted)
        sources = [_mutate(draw, seeds[language]) for _ in range(ROUND)]
        for source, reason in _harmful(language, sources):
            found += 1
            shortest = _shorten(language, source, reason)
            print(f"{language}: {reason}: {shortest!r}", flush=True)
            if given.keep:
                _keep(language, shortest)
        tried += len(sources)
    print(f"{tried} sources tried in {', '.join(wanted)}; {found} harmful")
    sys.exit(1 if found else 0)


def _seeds() -> dict[str, list[str]]:
    """The sources of the tests, cut into pieces, by language."""
    seeds: dict[str, list[str]] = {}
    for path in (ROOT / "tests" / "indexing").glob("test_symbols*.py"):
        for name, source in _SOURCE.findall(path.read_text()):
            if name.lower() in languages.LANGUAGES:
                seeds[name.lower()] = _PIECE.findall(source)
    return seeds


def _mutate(draw: random.Random, pieces: list[str]) -> bytes:
    start = draw.randrange(len(pieces))
    source = pieces[start : start + draw.randrange(2, 60)]
    for _ in range(draw.randrange(1, 12)):
        at = draw.randrange(len(source) + 1)
        what = draw.randrange(4)
        if what == 0:
            source.insert(at, draw.choice(_TOKENS))
        elif what == 1 and source:
            del source[at : at + draw.randrange(1, 4)]
        elif what == 2:
            source[at:at] = source[max(0, at - draw.randrange(1, 6)) : at] * draw.randrange(1, 4)
        else:
            source.insert(at, draw.choice(pieces))
    return "".join(source).encode()[:LONGEST]


def _harmful(language: str, sources: list[bytes]) -> Iterator[tuple[bytes, str]]:
    tasks = [Task(str(number), language, source) for number, source in enumerate(sources)]
    with Parsers(LIMITS) as parsers:
        suspects = [(task.content, parsed.skip_reason) for task, parsed in parsers.parse(tasks, lambda: None)]
    for source, reason in suspects:
        if reason is not None and reason != "binary" and (certain := _reason(language, source)) is not None:
            yield source, certain


def _reason(language: str, source: bytes) -> str | None:
    """Why a source is skipped when it is given all the time of a real job."""
    with Parsers(CERTAIN) as parsers:
        ((_, parsed),) = parsers.parse([Task("0", language, source)], lambda: None)
    return parsed.skip_reason if parsed.skip_reason != "binary" else None


def _shorten(language: str, source: bytes, reason: str) -> bytes:
    """Leave out whatever does no harm, larger parts first."""
    size = len(source) // 2
    while size:
        at = 0
        while at < len(source):
            shorter = source[:at] + source[at + size :]
            if shorter and _reason(language, shorter) == reason:
                source = shorter
            else:
                at += size
        size //= 2
    return source


def _keep(language: str, source: bytes) -> None:
    KEPT.mkdir(exist_ok=True)
    (KEPT / f"{language}-{hashlib.sha256(source).hexdigest()[:12]}").write_bytes(source)


if __name__ == "__main__":
    main()
