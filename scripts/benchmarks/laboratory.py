"""What every measure works with: a server, fresh databases, contenders, and programs that surely end."""

from __future__ import annotations

import itertools
import secrets
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg2
from embedded_postgres import EmbeddedPostgres
from postgres_programs import find_bin_directory

from .contenders import LEASEQUEUE, Contender, Environments
from .pgbench import Pgbench
from .processes import ANSWER_SECONDS, Process, ProgramFailed
from .programs.contract import Tally
from .scale import Scale

#: Seconds between two looks at the tally, and at the table once all jobs have run. Short beside what is measured.
LOOK_SECONDS = 0.002


@dataclass
class Laboratory:
    """One run."""

    server: EmbeddedPostgres
    scale: Scale
    contenders: tuple[Contender, ...]
    environments: Environments
    #: Where logs, tallies and scripts are put.
    workplace: Path
    #: Told what is being measured.
    say: Callable[[str], None]

    def __post_init__(self) -> None:
        self.workplace.mkdir(parents=True, exist_ok=True)
        self._names = (f"bench_{secrets.token_hex(3)}_{number}" for number in itertools.count())
        self.pgbench = Pgbench(self.server.bin_directory or find_bin_directory(), self.workplace)

    @contextmanager
    def excusing(self, contender: Contender) -> Iterator[None]:
        """A block that may fail without harm when it is about a peer: that costs its figure, and is said aloud."""
        try:
            yield
        except ProgramFailed as error:
            if not contender.packages:
                raise
            self.say(f"{contender.name} FAILED and is left out here: {error}")

    # Databases.

    def query(self, url: str, statement: str, parameters: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
        """Run one statement in a session of its own and return its rows."""
        with closing(psycopg2.connect(url)) as connection:
            connection.autocommit = True
            with connection.cursor() as cursor:
                cursor.execute(statement, parameters or None)
                return cursor.fetchall() if cursor.description else []

    @contextmanager
    def empty_database(self) -> Iterator[str]:
        """The URL of a database that exists for the length of a block."""
        name = next(self._names)
        self.query(self.server.url, f'CREATE DATABASE "{name}"')
        try:
            yield self.server.url_of(name)
        finally:
            self.query(self.server.url, f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')

    @contextmanager
    def database(self, contender: Contender = LEASEQUEUE) -> Iterator[str]:
        """The URL of a fresh database with the contender's tables; empty for one that has no database."""
        if contender.unfinished is None:
            yield ""
            return
        with self.empty_database() as url:
            with self.start(contender, "install", url) as process:
                process.wait_ready()
            yield url

    def settle(self) -> None:
        """Write to disk what earlier work left in memory, so that nobody else's measurement pays for it."""
        self.query(self.server.url, "CHECKPOINT")

    # Programs.

    def start(self, contender: Contender, mode: str, url: str, **options: object) -> Process:
        """Start a contender's program; `jobs=10` becomes `--jobs 10`."""
        arguments = ["--url", url]
        for name, value in options.items():
            arguments += [f"--{name}", str(value)]
        if mode == "work":
            arguments += contender.options
        log = self.workplace / f"{contender.program}.log"
        return Process(self.environments.python(contender), contender.program, mode, arguments, log)

    def tally(self) -> Tally:
        """An empty tally; its file is `tally_file`."""
        Tally.create(self.tally_file)
        return Tally(self.tally_file, 0)

    @property
    def tally_file(self) -> Path:
        return self.workplace / "tally"

    def put(self, contender: Contender, url: str, jobs: int) -> float:
        """Send jobs in bulk where there is such a thing; returns how many a second."""
        if contender.bulk:
            with self.start(contender, "put", url, jobs=jobs) as process:
                answer = process.wait_ready().ask("go")
        else:
            with self.start(contender, "enqueue", url, jobs=jobs, callers=8) as process:
                answer = process.wait_ready().ask("go")
        return float(jobs / (answer["ended"] - answer["started"]))

    def drain(
        self, contender: Contender, url: str, jobs: int, *, processes: int = 1, threads: int = 8, sleep: float = 0.0
    ) -> tuple[float, list[tuple[float, int]]]:
        """Run all jobs of a database, each of which takes ``sleep`` seconds.

        Returns the seconds from the word "go" until the last job ran and no job was left in the table, and the progress
        on the way as (seconds, jobs run).
        """
        tally = self.tally()
        with ExitStack() as stack:
            workers = [
                stack.enter_context(
                    self.start(
                        contender,
                        "work",
                        url,
                        jobs=jobs,
                        threads=threads,
                        tally=self.tally_file,
                        process=number,
                        sleep=sleep,
                    )
                )
                for number in range(processes)
            ]
            for worker in workers:
                worker.wait_ready()
            started = time.monotonic()
            for worker in workers:
                worker.tell("go")
            progress = self._watch(tally, jobs, started)
            if contender.unfinished is not None:
                self._wait_empty(contender, url, started)
            seconds = time.monotonic() - started
        return seconds, progress

    def wait_for(self, tally: Tally, jobs: int) -> None:
        """Wait until so many jobs have run."""
        self._watch(tally, jobs, time.monotonic())

    def _watch(self, tally: Tally, jobs: int, started: float) -> list[tuple[float, int]]:
        progress = [(0.0, 0)]
        while progress[-1][1] < jobs:
            time.sleep(LOOK_SECONDS)
            now = time.monotonic() - started
            progress.append((now, tally.total()))
            if now > ANSWER_SECONDS:
                raise ProgramFailed(f"only {progress[-1][1]} of {jobs} jobs ran within {ANSWER_SECONDS:g} s")
        return progress

    def _wait_empty(self, contender: Contender, url: str, started: float) -> None:
        assert contender.unfinished is not None
        with closing(psycopg2.connect(url)) as connection, connection.cursor() as cursor:
            connection.autocommit = True
            while True:
                cursor.execute(contender.unfinished)
                row = cursor.fetchone()
                if row is not None and not row[0]:
                    return
                if time.monotonic() - started > ANSWER_SECONDS:
                    raise ProgramFailed(f"{contender.name} left jobs in its table after all had run")
                time.sleep(LOOK_SECONDS)


@contextmanager
def own_server(directory: Path) -> Iterator[EmbeddedPostgres]:
    """A server with default settings, fsync on, on the disk below `directory`; gone with its files afterwards."""
    server = EmbeddedPostgres(directory, port=0)
    try:
        server.start()
        yield server
    finally:
        server.stop(immediate=True)
        shutil.rmtree(directory, ignore_errors=True)
