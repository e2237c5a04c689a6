"""What the programs of all contenders have in common: arguments, lines on standard input and output, the tally.

    python -m benchmarks.programs.<name> install|put|enqueue|paced|feed|work --url URL [options]

A program prints `{"ready": true}` when it has made its connections, and waits for lines. Each line on standard input is
answered by one line of JSON: `go` by when the work began and ended (who works or feeds answers at once and goes on),
`status` by the processor time used so far, `stop` by what a worker has seen. The end of standard input ends a program.
"""

from __future__ import annotations

import argparse
import itertools
import json
import mmap
import os
import sys
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Callable
from pathlib import Path
from typing import Any

#: Counters in a tally: one for each thread that runs jobs, at most THREADS for each process.
PROCESSES = 4
THREADS = 32

#: Bytes of one counter.
COUNTER_BYTES = 8

#: What every job carries besides its time, so that a stored job has about the size of a small real one (300 bytes).
PADDING = "x" * 60

#: Its multiples never repeat and are spread evenly.
GOLDEN = 0.618034

#: Jobs that each caller sends before the clock starts: connections are made, caches are warm.
WARM_UP = 3


class Tally:
    """Jobs that ran, counted without a lock: each thread has a counter of its own, in a file that the reader maps."""

    def __init__(self, path: Path, process: int) -> None:
        with path.open("r+b") as file:
            self._counters = memoryview(mmap.mmap(file.fileno(), 0)).cast("q")
        self._next = process * THREADS
        self._lock = threading.Lock()
        self._mine = threading.local()

    def add(self) -> None:
        """One job more."""
        try:
            place = self._mine.place
        except AttributeError:
            with self._lock:
                place = self._mine.place = self._next
                self._next += 1
        self._counters[place] += 1

    def total(self) -> int:
        """Jobs run by all threads of all processes so far."""
        return sum(self._counters)

    @staticmethod
    def create(path: Path) -> None:
        """An empty tally."""
        path.write_bytes(bytes(PROCESSES * THREADS * COUNTER_BYTES))


class Program(ABC):
    """One contender. Subclasses say how it sends and how it works."""

    def __init__(self, options: argparse.Namespace) -> None:
        self.options = options
        self.url: str = options.url
        self._tally = Tally(options.tally, options.process) if options.tally else None
        self._waits: list[int] = []

    # What a contender says.

    @abstractmethod
    def install(self) -> None:
        """Make the tables in an empty database."""

    @abstractmethod
    def send(self, sent_at: int) -> None:
        """Send one job that carries a monotonic time in nanoseconds."""

    def send_many(self, count: int) -> None:
        """Send jobs by the fastest documented way. A contender without one sends them one by one."""
        self.send_from_callers(count, 1)

    def prepare(self) -> None:
        """What a program does before it is ready; by default connections are made by a few jobs of each caller."""
        if self.options.mode == "enqueue":
            self.send_from_callers(WARM_UP * self.options.callers, self.options.callers)

    @abstractmethod
    def work(self) -> None:
        """Begin to run jobs, each by calling `ran`, and return at once."""

    # What they share.

    def ran(self, sent_at: int) -> None:
        """The job: count it, and note how long it waited when it says when it was sent."""
        if self._tally is not None:
            self._tally.add()
        if sent_at:
            self._waits.append(time.monotonic_ns() - sent_at)
        if self.options.sleep:
            time.sleep(self.options.sleep)

    def send_from_callers(self, count: int, callers: int) -> None:
        """Send jobs from several threads, each the same number."""
        in_threads([lambda: self._send_some(count // callers)] * callers)

    def _send_some(self, count: int) -> None:
        for _ in range(count):
            self.send(0)

    def send_paced(self, count: int, pause: float) -> None:
        """Send jobs one by one, each after a pause."""
        for number in range(count):
            time.sleep(uneven(pause, number))
            self.send(time.monotonic_ns())

    def begin_to_feed(self, rate: float) -> None:
        """Send so many jobs a second until the process ends; what was late is made up for. Returns at once."""
        threading.Thread(target=self._feed, args=(rate,), daemon=True).start()

    def _feed(self, rate: float) -> None:
        started = time.monotonic()
        for number in itertools.count():
            time.sleep(max(0.0, started + number / rate - time.monotonic()))
            self.send(0)


def uneven(pause: float, number: int) -> float:
    """`pause` seconds and up to half as much again: in step with nothing that the contender does at intervals."""
    return pause * (1 + number * GOLDEN % 0.5)


def in_threads(calls: list[Callable[[], None]]) -> None:
    """Run calls side by side; a single one on the calling thread. The first error is raised."""
    if len(calls) == 1:
        calls[0]()
        return
    failures: list[BaseException] = []

    def guarded(call: Callable[[], None]) -> None:
        try:
            call()
        except BaseException as error:  # noqa: BLE001 - raised below, in the thread that can tell of it
            failures.append(error)

    threads = [threading.Thread(target=guarded, args=(call,)) for call in calls]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failures:
        raise failures[0]


def main(make: Callable[[argparse.Namespace], Program]) -> None:
    """Be the program of a contender, until told to stop or until nobody is there to tell."""
    options = _arguments()
    program = make(options)
    if options.mode == "install":
        program.install()
    program.prepare()
    _say({"ready": True})
    actions: dict[str, Callable[[], None]] = {
        "put": lambda: program.send_many(options.jobs),
        "enqueue": lambda: program.send_from_callers(options.jobs, options.callers),
        "paced": lambda: program.send_paced(options.jobs, options.pause),
        "feed": lambda: program.begin_to_feed(options.rate),
        "work": program.work,
    }
    for line in sys.stdin:
        match line.strip():
            case "go":
                started = time.monotonic()
                actions[options.mode]()
                _say({"started": started, "ended": time.monotonic()})
            case "status":
                _say({"cpu_seconds": time.process_time()})
            case "stop":
                _say({"waits_ns": program._waits, "cpu_seconds": time.process_time()})
                break
    # Nobody needs an orderly end: the database is dropped next. Threads of a worker would hold up an ordinary exit.
    os._exit(0)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    parser.add_argument("mode", choices=["install", "put", "enqueue", "paced", "feed", "work"])
    parser.add_argument("--url", required=True)
    parser.add_argument("--jobs", type=int, default=0)
    parser.add_argument("--callers", type=int, default=1, help="threads (or tasks) that send")
    parser.add_argument("--pause", type=float, default=0.0, help="seconds between two paced jobs")
    parser.add_argument("--rate", type=float, default=1.0, help="jobs a second to be fed")
    parser.add_argument("--threads", type=int, default=8, help="jobs that a worker runs at once")
    parser.add_argument("--queues", type=int, default=1, help="queues that a worker serves; jobs go to the first")
    parser.add_argument("--batch", type=int, default=0, help="jobs to take at once, where that is a setting")
    parser.add_argument("--sleep", type=float, default=0.0, help="seconds that each job takes")
    parser.add_argument("--tally", type=Path, help="file that counts jobs which ran")
    parser.add_argument("--process", type=int, default=0, help="which of several worker processes this is")
    return parser.parse_args()


def _say(answer: dict[str, Any]) -> None:
    print(json.dumps(answer), flush=True)
