"""Measures what an operator waits for when workers die or are deployed, with the policy that production has.

    .venv/bin/python scripts/reliability.py rescue             # 20 kills: seconds until the job runs again
    .venv/bin/python scripts/reliability.py rescue --pooler    # the same through pgbouncer in transaction mode
    .venv/bin/python scripts/reliability.py deploys            # 20 rolling restarts under load: errors, lateness

Starts a Postgres and workers of its own. docs/reliability.md has the figures.
"""

from __future__ import annotations

import argparse
import os
import random
import signal
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack, closing, suppress
from pathlib import Path
from types import ModuleType
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT)]

import psycopg2  # noqa: E402
from throwaway_pgbouncer import PROGRAM, Pooler  # noqa: E402
from throwaway_postgres import ThrowawayPostgres  # noqa: E402

from leasequeue import migrations  # noqa: E402

#: Kills, and how many workers die in one round of them.
KILLS, AT_ONCE = 20, 5

#: Restarts, jobs a second meanwhile, and seconds that a job takes.
DEPLOYS, RATE, JOB_SECONDS = 20, 50, 0.02

#: Seconds that anything may take before the measurement is given up.
PATIENCE = 120.0


#: When each job was rescued, by the database's clock, which is this machine's. A worker takes one suspect at a time, so
#: it is the rescue that counts and not the second start.
RESCUED = (
    "SELECT split_part(attempts -> 0 ->> 'worker', ' ', 2), "
    "extract(epoch FROM (attempts -> 0 ->> 'ended')::timestamptz)::float8 FROM dramatiq.queue WHERE crashes = 1"
)


class Laboratory:
    """A server, workers with the default policy, and a way to ask."""

    def __init__(self, stack: ExitStack, *, pooled: bool) -> None:
        self._server = stack.enter_context(ThrowawayPostgres(settings={"max_connections": "200"}))
        migrations.migrate(self._server.url, schema="dramatiq")
        self._url = self._server.url
        if pooled:
            self._url = stack.enter_context(Pooler(self._server.url)).url_of(self._server.url)
        self._log = Path(stack.enter_context(tempfile.TemporaryDirectory())) / "log"
        self._masters: list[subprocess.Popen[bytes]] = []
        stack.callback(self._end)
        os.environ.update(SOAK_DATABASE_URL=self._server.url)
        from soaking import jobs

        self.jobs: ModuleType = jobs
        jobs.write(jobs.LEDGER)

    def start(self, threads: int) -> subprocess.Popen[bytes]:
        """One master with one worker process; returns when that is registered."""
        before = self.ask("SELECT count(*) FROM dramatiq.worker WHERE dead_at IS NULL")[0][0]
        environment = {
            **os.environ,
            "SOAK_DATABASE_URL": self._url,
            "PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'scripts'}",
        }
        with self._log.open("ab") as output:
            master = subprocess.Popen(
                [sys.executable, "-m", "dramatiq", "soaking.jobs", "-p", "1", "-t", str(threads)],
                cwd=ROOT / "scripts",
                env=environment,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self._masters.append(master)
        self.wait(lambda: self.ask("SELECT count(*) FROM dramatiq.worker WHERE dead_at IS NULL")[0][0] > before)
        return master

    def ask(self, statement: str, *values: object) -> list[tuple[Any, ...]]:
        with closing(psycopg2.connect(self._server.url)) as connection, connection.cursor() as cursor:
            cursor.execute(statement, values)
            return cursor.fetchall()

    def wait(self, fact: Callable[[], bool]) -> None:
        deadline = time.monotonic() + PATIENCE
        while not fact():
            if time.monotonic() > deadline:
                sys.exit(f"expected an end within {PATIENCE:g} s; the workers said:\n{self._log.read_text()[-5000:]}")
            time.sleep(0.02)

    def forget(self) -> None:
        """Empty the queue: the next round begins with nothing."""
        with closing(psycopg2.connect(self._server.url)) as connection, connection.cursor() as cursor:
            cursor.execute("TRUNCATE dramatiq.queue, dramatiq.worker")
            connection.commit()

    def _end(self) -> None:
        self.jobs.broker.close()
        for master in self._masters:
            with suppress(ProcessLookupError):
                os.killpg(master.pid, signal.SIGKILL)
            master.wait(10)


def rescue(lab: Laboratory) -> None:
    """Kill workers in the middle of a job, each at a moment of its own; ask when its job can be claimed again."""
    chance = random.Random(0)
    seconds: list[float] = []
    while len(seconds) < KILLS:
        victims = {_worker_of(lab.start(threads=1)) for _ in range(AT_ONCE)}
        for _ in victims:
            lab.jobs.work.send(PATIENCE)
        lab.wait(lambda: lab.ask("SELECT count(*) FROM dramatiq.queue WHERE state = 'consumed'") == [(AT_ONCE,)])
        survivor = lab.start(threads=1)
        killed: dict[str, float] = {}
        for victim in victims:
            time.sleep(chance.uniform(0, 1.5))
            os.killpg(os.getpgid(victim), signal.SIGKILL)
            killed[str(victim)] = time.time()
        lab.wait(lambda: len(lab.ask(RESCUED)) == AT_ONCE)
        seconds += [at - killed[pid] for pid, at in lab.ask(RESCUED)]
        os.killpg(survivor.pid, signal.SIGKILL)
        lab.forget()
    print(f"{len(seconds)} kills, seconds until the job can be claimed again:")
    print(f"  least {min(seconds):.1f}, median {statistics.median(seconds):.1f}, most {max(seconds):.1f}")
    print("  " + " ".join(f"{each:.1f}" for each in sorted(seconds)))


def deploys(lab: Laboratory) -> None:
    """Replace one of two workers after the other while small jobs stream in."""
    pair = [lab.start(threads=3), lab.start(threads=3)]
    stop = threading.Event()
    sent = 0

    def send() -> None:
        nonlocal sent
        while not stop.wait(1 / RATE):
            lab.jobs.work.send(JOB_SECONDS)
            sent += 1

    load = threading.Thread(target=send)
    load.start()
    try:
        for number in range(DEPLOYS):
            old = pair[number % 2]
            pair[number % 2] = lab.start(threads=3)
            old.send_signal(signal.SIGTERM)
            code = old.wait(60)
            if code != 0:
                sys.exit(f"expected a drained worker to leave with 0, got: {code}")
    finally:
        stop.set()
        load.join()
    lab.wait(lambda: lab.ask("SELECT count(*) FROM dramatiq.done") == [(sent,)])
    ((errors, crashes, restarts, latest),) = lab.ask(
        "SELECT sum(errors), sum(crashes), count(*) FILTER (WHERE starts > 1), "
        "extract(epoch FROM max(started_at - enqueued_at))::float8 FROM dramatiq.done"
    )
    runs = lab.ask("SELECT count(*) FROM ledger.run")[0][0]
    print(
        f"{DEPLOYS} rolling restarts, {sent} jobs: errors {errors}, crashes {crashes}, jobs with two starts {restarts},"
    )
    print(f"  runs {runs}, the longest wait from send to start {latest:.2f} s")


def _worker_of(master: subprocess.Popen[bytes]) -> int:
    children = Path(f"/proc/{master.pid}/task/{master.pid}/children").read_text().split()
    return int(children[0])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["rescue", "deploys"])
    parser.add_argument("--pooler", action="store_true")
    arguments = parser.parse_args()
    if arguments.pooler and PROGRAM is None:
        sys.exit("expected pgbouncer to be installed, got: none on the PATH; install it (apt-get install pgbouncer)")
    with ExitStack() as stack:
        lab = Laboratory(stack, pooled=arguments.pooler)
        {"rescue": rescue, "deploys": deploys}[arguments.what](lab)


if __name__ == "__main__":
    main()
