"""What 1, 2 and 4 worker processes make of one Postgres, and of one RabbitMQ beside it, on this machine.

    .venv/bin/python scripts/scale_out.py [--rounds N] [--quick]

Three questions, each asked of both in turns: how many jobs a second 1, 2 and 4 processes send, each confirmed to be on
disk; how many no-op jobs a second they run; how many jobs of 20 ms. RabbitMQ takes part where it is installed.
What came out, and what it means: docs/scale-out.md.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from benchmarks.contenders import LEASEQUEUE, Contender, Environments
from benchmarks.figures import Answer, Samples
from benchmarks.laboratory import Laboratory, own_server
from benchmarks.processes import ProgramFailed
from benchmarks.report import show
from benchmarks.scale import FULL
from postgres_programs import PostgresError
from rich.console import Console
from throwaway_rabbitmq import IS_INSTALLED, RabbitMQ

ROOT = Path(__file__).resolve().parent.parent
WORKPLACE = ROOT / ".local" / "scale-out"

RABBITMQ = Contender("RabbitMQ", "rabbitmq", None)

PROCESSES = (1, 2, 4)

#: Threads of a process, dramatiq's default.
THREADS = 8

#: Jobs of one measurement: sent by each process, no-ops, and of 20 ms for each process.
SENT, DRAINED, SLEPT = 2_000, 20_000, 1_500
SLEEP_SECONDS = 0.02


class Bench:
    """The measurements, and where each contender lives."""

    def __init__(self, lab: Laboratory, rabbit: RabbitMQ | None, share: float) -> None:
        self._lab = lab
        self._rabbit = rabbit
        self._share = share
        self.samples = {name: Samples("jobs/s") for name in ("sent", "no-op jobs", "jobs of 20 ms")}

    def round(self) -> None:
        """Everything once."""
        for contender in (LEASEQUEUE, RABBITMQ):
            if contender is RABBITMQ and self._rabbit is None:
                continue
            for processes in PROCESSES:
                self._add("sent", contender, processes, self._sent(contender, processes))
                self._add("no-op jobs", contender, processes, self._run(contender, processes, DRAINED))
                jobs = SLEPT * processes
                self._add("jobs of 20 ms", contender, processes, self._run(contender, processes, jobs, SLEEP_SECONDS))

    def _add(self, what: str, contender: Contender, processes: int, rate: float) -> None:
        self._lab.say(f"{contender.name}, {processes} processes, {what}: {rate:,.0f}/s")
        self.samples[what].add(contender.name, "1 process" if processes == 1 else f"{processes} processes", rate)

    def _sent(self, contender: Contender, processes: int) -> float:
        jobs = int(SENT * self._share)
        with self._place(contender) as url, ExitStack() as stack:
            senders = [
                stack.enter_context(self._lab.start(contender, "enqueue", url, jobs=jobs, callers=1))
                for _ in range(processes)
            ]
            for sender in senders:
                sender.wait_ready()
            self._lab.settle()
            started = time.monotonic()
            for sender in senders:
                sender.tell("go")
            ended = max(sender.answer()["ended"] for sender in senders)
        return float(processes * jobs / (ended - started))

    def _run(self, contender: Contender, processes: int, jobs: int, sleep: float = 0.0) -> float:
        jobs = int(jobs * self._share)
        with self._place(contender) as url:
            self._lab.put(contender, url, jobs)
            self._lab.settle()
            seconds, _ = self._lab.drain(contender, url, jobs, processes=processes, threads=THREADS, sleep=sleep)
        return jobs / seconds

    @contextmanager
    def _place(self, contender: Contender) -> Iterator[str]:
        """The URL of an empty queue."""
        if contender is LEASEQUEUE:
            with self._lab.database() as url:
                yield url
            return
        assert self._rabbit is not None
        with self._lab.start(contender, "install", self._rabbit.url) as process:
            process.wait_ready()
        yield self._rabbit.url


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rounds", type=int, default=3, help="measurements of everything (3)")
    parser.add_argument("--quick", action="store_true", help="a tenth of the jobs, one round: whether it works")
    arguments = parser.parse_args()
    console = Console()
    console.print(f"Load before: {os.getloadavg()[0]:.2f} on {os.cpu_count()} cores", style="dim")
    if not IS_INSTALLED:
        console.print("RabbitMQ is not installed and does not take part: apt-get install rabbitmq-server", style="red")
    try:
        with own_server(WORKPLACE / "postgres") as server, ExitStack() as stack:
            lab = Laboratory(
                server=server,
                scale=FULL,
                contenders=(LEASEQUEUE, RABBITMQ),
                environments=Environments(WORKPLACE / "venvs"),
                workplace=WORKPLACE,
                say=lambda what: console.print(f"  {what}", style="dim"),
            )
            rabbit = stack.enter_context(RabbitMQ()) if IS_INSTALLED else None
            bench = Bench(lab, rabbit, share=0.1 if arguments.quick else 1.0)
            for _ in range(1 if arguments.quick else arguments.rounds):
                bench.round()
    except (PostgresError, ProgramFailed) as error:
        console.print(str(error), style="red")
        return 1
    for what, samples in bench.samples.items():
        show(Answer(what, f"{what}: how many a second?", samples.figures()), console)
    return 0


if __name__ == "__main__":
    sys.exit(main())
