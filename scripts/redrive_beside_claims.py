"""Measures what `indexq dead retry --all-matching` of 100,000 dead jobs costs: itself, and the workers beside it.

    .venv/bin/python scripts/redrive_beside_claims.py

A worker drains no-op jobs in turns, alone and beside a redrive of another queue. The first redrive is stopped with
Ctrl+C on its way and goes on by the command that it names. Starts a Postgres of its own, with fsync.
"""

from __future__ import annotations

import os
import re
import shlex
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT)]

import dramatiq  # noqa: E402
import psycopg2  # noqa: E402
from throwaway_postgres import ThrowawayPostgres  # noqa: E402

from leasequeue import LeaseBroker, migrations  # noqa: E402
from leasequeue.admin import Queues  # noqa: E402

#: Dead jobs, and jobs that the worker drains in one turn.
DEAD, DRAINED = 100_000, 20_000

#: Turns of each kind.
TURNS = 3

COMMAND = ["dead", "retry", "--all-matching", "--queue", "mended", "--yes"]

BURY = """
INSERT INTO dramatiq.queue (message_id, queue_name, state, mtime, message, reason, error, starts, errors)
SELECT id, 'mended', 'rejected', now() - n * interval '1 ms',
       jsonb_build_object('queue_name', 'mended', 'actor_name', 'work', 'args', jsonb_build_array(n),
                          'kwargs', '{}'::jsonb, 'options', '{}'::jsonb, 'message_id', id, 'message_timestamp', 0),
       'retries_exhausted',
       'TimeoutError: no answer from host-' || n || repeat(E'\n  File "somewhere.py", line 1', 30), 4, 4
  FROM (SELECT n, gen_random_uuid() AS id FROM generate_series(1, %s) AS n) AS numbered
"""


class Redrive:
    """One running command of an operator."""

    def __init__(self, url: str, directory: str, command: list[str]) -> None:
        environ = {**os.environ, "SUPABASE_DB_URL": url}
        self._started = time.monotonic()
        self._process = subprocess.Popen(
            [Path(sys.executable).with_name("indexq"), *command],
            env=environ,
            cwd=directory,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self.peak_memory = 0.0

    def is_running(self) -> bool:
        """Whether it is; looks at its memory (MB) on the way."""
        if self._process.poll() is not None:
            return False
        try:
            status = Path(f"/proc/{self._process.pid}/status").read_text()
        except OSError:
            return False
        if match := re.search(r"VmHWM:\s+(\d+) kB", status):
            self.peak_memory = max(self.peak_memory, int(match[1]) / 1024)
        return True

    def interrupt(self) -> None:
        """Ctrl+C."""
        self._process.send_signal(signal.SIGINT)

    def wait(self) -> tuple[int, str, float]:
        """Exit code, what it said, and the seconds it took."""
        while self.is_running():
            time.sleep(0.02)
        out, err = self._process.communicate(timeout=60)
        return self._process.returncode, out + err, time.monotonic() - self._started


class Laboratory:
    """A worker in this process, on one database."""

    def __init__(self, url: str) -> None:
        self.broker = LeaseBroker(url=url)
        self._actor = dramatiq.actor(lambda: None, broker=self.broker, actor_name="nothing")
        self._worker = dramatiq.Worker(self.broker, worker_threads=4)
        self._worker.start()
        self._url = url

    def ask(self, statement: str, *values: object) -> list[tuple[Any, ...]]:
        """One statement, committed."""
        with closing(psycopg2.connect(self._url)) as connection, connection, connection.cursor() as cursor:
            cursor.execute(statement, values)
            return cursor.fetchall() if cursor.description else []

    def drain(self, start: Callable[[], Redrive] | None = None) -> tuple[float, Redrive | None]:
        """Jobs a second of one turn: sent before, so that only claims, runs and their ends count."""
        queues = Queues(self.broker)
        queues.pause("default")
        self.broker.enqueue_many(self._actor.message() for _ in range(DRAINED))
        redrive = start() if start is not None else None
        if redrive is not None:
            self.wait_for_progress(redrive)
        started = time.monotonic()
        queues.resume("default")
        self.broker.join("default", timeout=120_000)
        seconds = time.monotonic() - started
        if redrive is not None and not redrive.is_running():
            raise SystemExit(
                f"expected the redrive to last longer than the {seconds:.1f} s of the turn: send fewer jobs"
            )
        return DRAINED / seconds, redrive

    def bury(self) -> None:
        """Have so many dead jobs and no others."""
        self.ask("DELETE FROM dramatiq.queue")
        self.ask(BURY, DEAD)
        self.ask("ANALYZE dramatiq.queue")

    def wait_for_progress(self, redrive: Redrive) -> None:
        """Until the redrive has put jobs back."""
        while not self.ask("SELECT 1 FROM dramatiq.queue WHERE redriven > 0 LIMIT 1"):
            if not redrive.is_running():
                raise SystemExit(f"expected a redrive, got: {redrive.wait()}")
            time.sleep(0.02)

    def check(self) -> None:
        """Raises SystemExit unless every job was put back once."""
        found = self.ask(
            "SELECT state::text, redriven, count(*) FROM dramatiq.queue WHERE queue_name = 'mended' GROUP BY 1, 2"
        )
        if found != [("queued", 1, DEAD)]:
            raise SystemExit(f"expected {DEAD:,} jobs to be put back once, got: {found}")

    def close(self) -> None:
        """End the worker."""
        self._worker.stop()
        self.broker.close()


def stop_and_go_on(laboratory: Laboratory, url: str, directory: str) -> str:
    """Ctrl+C in the middle, then the command that it names. Returns what was said."""
    laboratory.bury()
    redrive = Redrive(url, directory, COMMAND)
    laboratory.wait_for_progress(redrive)
    time.sleep(0.5)
    redrive.interrupt()
    code, said, _ = redrive.wait()
    if code != 130:
        raise SystemExit(f"expected exit code 130 of a redrive that was interrupted, got {code}: {said}")
    go_on = shlex.split(said.partition("go on with: indexq ")[2])
    code, also_said, _ = Redrive(url, directory, [*go_on, "--yes"]).wait()
    laboratory.check()
    return said + also_said


def main() -> None:
    """Measure, and print."""
    alone, beside, memory, seconds = [], [], [], []
    with (
        tempfile.TemporaryDirectory(prefix="indexq-redrive-") as directory,
        ThrowawayPostgres(settings={"fsync": "on", "full_page_writes": "on"}) as server,
    ):
        migrations.migrate(server.url, schema="dramatiq")
        laboratory = Laboratory(server.url)
        laboratory.drain()
        for _ in range(TURNS):
            laboratory.bury()
            rate, _ = laboratory.drain()
            alone.append(rate)
            rate, redrive = laboratory.drain(lambda: Redrive(server.url, directory, COMMAND))
            beside.append(rate)
            assert redrive is not None
            _, _, took = redrive.wait()
            laboratory.check()
            memory.append(redrive.peak_memory)
            seconds.append(took)
        said = stop_and_go_on(laboratory, server.url, directory)
        laboratory.close()
    print(said)
    for name, rates in (("alone", alone), ("beside a redrive", beside)):
        print(f"{name:18} {statistics.median(rates):7,.0f} jobs/s  ({', '.join(f'{each:,.0f}' for each in rates)})")
    print(f"redrive of {DEAD:,}: {statistics.median(seconds):.1f} s, {max(memory):.0f} MB of memory at its peak")


if __name__ == "__main__":
    main()
