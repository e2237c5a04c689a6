"""Measures this product's queue beside others, on a Postgres of its own, and prints what came out.

    .venv/bin/python scripts/bench.py [--quick] [--peers] [--only MEASURE ...] [--rounds N]
                                      [--json docs/benchmarks.json]

--json also draws a picture for each question into the directory "images" beside the file.

A ratio within one run means something, a figure by itself does not: all contenders take turns on one machine.
What each measure does is told in docs/benchmarks.md.
"""

from __future__ import annotations

import argparse
import dataclasses
import fcntl
import os
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmarks.contenders import OURS, PEERS, Contender, Environments, PeerUnavailable
from benchmarks.figures import Answer
from benchmarks.laboratory import Laboratory, own_server
from benchmarks.measures import MEASURES
from benchmarks.pgbench import PgbenchFailed
from benchmarks.processes import ProgramFailed
from benchmarks.report import as_json, say_goal, show, write_json
from benchmarks.scale import FULL, QUICK
from postgres_programs import PostgresError
from rich.console import Console

ROOT = Path(__file__).resolve().parent.parent

#: On the disk, like a production cluster: with its files in memory, fsync would cost nothing.
WORKPLACE = ROOT / ".local" / "bench"

#: Average load above which somebody else is at work on this machine.
QUIET_LOAD = 0.3


def main() -> int:
    arguments = _arguments()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # as an exception, so that server and programs are ended
    console = Console()
    scale = QUICK if arguments.quick else FULL
    if arguments.rounds:
        rounds = arguments.rounds
        scale = dataclasses.replace(scale, rounds=rounds, snapshot_rounds=min(rounds, scale.snapshot_rounds))
    load = os.getloadavg()[0]
    if load > QUIET_LOAD:
        console.print(f"The machine is not quiet (load {load:.2f}): expect ratios, not figures.", style="yellow")
    started = time.monotonic()
    try:
        with _alone(), own_server(WORKPLACE / "postgres") as server:
            environments = Environments(WORKPLACE / "venvs")
            lab = Laboratory(
                server=server,
                scale=scale,
                contenders=_contenders(environments, arguments.peers, console),
                environments=environments,
                workplace=WORKPLACE,
                say=lambda what: console.print(f"  {what}", style="dim"),
            )
            answers = _answers(lab, arguments.only or list(MEASURES), console)
            if arguments.json:
                write_json(as_json(answers, lab, load), arguments.json)
    except (PostgresError, BenchRuns) as error:
        console.print(str(error), style="red")
        return 1
    _summary(answers, console)
    if arguments.json:
        _draw(answers, arguments.json.parent / "images", console)
    console.print(f"{time.monotonic() - started:.0f} s", style="dim")
    return 0 if answers else 1


class BenchRuns(Exception):
    """Another run is under way."""


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="small counts: two minutes instead of seven")
    parser.add_argument("--peers", action="store_true", help="install and measure other queues on Postgres too")
    parser.add_argument("--only", nargs="+", choices=list(MEASURES), metavar="MEASURE", help=", ".join(MEASURES))
    parser.add_argument("--rounds", type=int, help="measurements of everything (3; with --quick 2)")
    parser.add_argument("--json", type=Path, help="write all figures to this file, and pictures beside it")
    arguments = parser.parse_args()
    if arguments.rounds is not None and arguments.rounds < 1:
        parser.error(f"expected --rounds to be at least 1, got: {arguments.rounds}")
    return arguments


@contextmanager
def _alone() -> Iterator[None]:
    """Two runs at once would measure each other."""
    WORKPLACE.mkdir(parents=True, exist_ok=True)
    with (WORKPLACE / "lock").open("a") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise BenchRuns(f"expected to run alone in {WORKPLACE}, but one runs already; wait for it") from None
        yield


def _contenders(environments: Environments, peers: bool, console: Console) -> tuple[Contender, ...]:
    taking_part = list(OURS)
    for peer in PEERS if peers else ():
        try:
            environments.python(peer)
        except PeerUnavailable as error:
            console.print(f"{peer.name} does not take part: {error}", style="bold red")
        else:
            taking_part.append(peer)
    return tuple(taking_part)


def _answers(lab: Laboratory, measures: list[str], console: Console) -> list[Answer]:
    answers: list[Answer] = []
    for name in measures:
        console.print(f"{name} ...", style="dim")
        try:
            found = MEASURES[name](lab)
        except (ProgramFailed, PgbenchFailed) as error:
            # One measure that fails shall not cost the figures of the others.
            console.print(f"{name} failed: {error}", style="bold red")
            continue
        for answer in found:
            show(answer, console)
        answers += found
    return answers


def _summary(answers: list[Answer], console: Console) -> None:
    console.rule("Goals")
    for answer in answers:
        for goal in answer.goals:
            say_goal(f"{answer.name:16}", goal, console)


def _draw(answers: list[Answer], directory: Path, console: Console) -> None:
    try:
        from benchmarks.pictures import draw
    except ImportError:
        how = "No pictures without matplotlib; to have them: pip install -c constraints.txt -e '.[bench]'"
        console.print(how, style="yellow", markup=False)
        return
    for answer in answers:
        draw(answer, directory)
    console.print(f"{len(answers)} pictures in {directory}")


if __name__ == "__main__":
    sys.exit(main())
