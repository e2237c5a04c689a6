"""Mixes all faults at random for a while, then accounts for every job and every run.

    .venv/bin/python scripts/soak.py [--minutes 15] [--seed N] [--workers 4]

Starts a Postgres and workers of its own, sends jobs of all kinds, and every few seconds kills, stops, cuts off, drains
or locks something, as the seed says. Then the faults end, and what was sent is compared with what became of it: nothing
lost, nothing stuck, and each run after a job's first one explained. Exit code 0 when that holds.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import sys
import tempfile
import threading
import time
from collections import Counter
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT)]

import psycopg2  # noqa: E402
from rich.console import Console  # noqa: E402
from rich.table import Table  # noqa: E402
from soaking.faults import Faults, Fleet  # noqa: E402
from soaking.judgement import judge  # noqa: E402
from throwaway_postgres import ThrowawayPostgres  # noqa: E402

from leasequeue import DatabaseUnavailable, migrations  # noqa: E402

#: As in production where it can be; times are shorter, so that more happens in fifteen minutes.
POLICY = {"heartbeat": 1.0, "lease": 5.0, "min_backoff": 0.5, "max_backoff": 2.0, "drain": 3.0, "time_limit": 300.0}

#: Seconds between the end of one fault and the next one.
PAUSE = (1.0, 6.0)

#: Keys that pushes have: few enough for one to wait, and to be replaced, while another one runs.
KEYS = 12

#: Seconds for the last jobs to end once the faults have.
SETTLE_SECONDS = 120.0


class Load:
    """Sends jobs of all kinds until it is stopped; remembers what is surely stored."""

    def __init__(self, jobs: Any, chance: random.Random) -> None:
        self._jobs = jobs
        self._chance = chance
        self._stopping = threading.Event()
        self.sent: set[str] = set()
        self.killers: set[str] = set()
        #: Of each key: the push that was surely stored last.
        self.pushed: dict[str, int] = {}
        self._pushes = 0
        self.not_sent = 0
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        last_killer = time.monotonic()
        while not self._stopping.wait(self._chance.expovariate(15)):
            killer = time.monotonic() - last_killer > 60
            if killer:
                last_killer = time.monotonic()
            message = self._jobs.kill.message() if killer else self._draw()
            try:
                message = self._jobs.broker.enqueue(message, delay=1000 if self._chance.random() < 0.1 else None)
            except DatabaseUnavailable:
                # It may be stored all the same: the verdict asks for it when it is.
                self.not_sent += 1
                continue
            self.sent.add(message.message_id)
            if message.actor_name == "push":
                self.pushed[message.args[0]] = message.args[1]
            if killer:
                self.killers.add(message.message_id)

    def _draw(self) -> Any:
        kind = self._chance.random()
        if kind < 0.2:
            self._pushes += 1
            key = f"k{self._chance.randrange(KEYS)}"
            return self._jobs.push.message(key, self._pushes, round(self._chance.expovariate(2), 3))
        if kind < 0.8:
            return self._jobs.work.message(round(self._chance.expovariate(10), 3))
        if kind < 0.85:
            return self._jobs.work.message(round(self._chance.uniform(2, 12), 1))
        return self._jobs.fail.message(self._chance.choice((1, 2, 3, 3, 9)))

    def stop(self) -> None:
        self._stopping.set()
        self._thread.join(60)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=15.0)
    parser.add_argument("--seed", type=int, default=None)
    parser.add_argument("--workers", type=int, default=4)
    arguments = parser.parse_args()
    seed = arguments.seed if arguments.seed is not None else random.SystemRandom().randrange(2**31)
    console = Console()
    console.print(f"seed {seed}, {arguments.minutes:g} minutes, {arguments.workers} workers of 3 threads")
    with ThrowawayPostgres(settings={"max_connections": "200"}) as server, tempfile.TemporaryDirectory() as directory:
        migrations.migrate(server.url, schema="dramatiq")
        verdict = _soak(server, Path(directory) / "log", seed, arguments.minutes * 60, arguments.workers, console)
    for line in verdict:
        console.print(line, style="red")
    return 1 if verdict else 0


def _soak(server: ThrowawayPostgres, log: Path, seed: int, seconds: float, workers: int, console: Console) -> list[str]:
    os.environ.update(SOAK_DATABASE_URL=server.url, SOAK_POLICY=json.dumps(POLICY))
    from soaking import jobs

    jobs.write(jobs.LEDGER)
    chance = random.Random(seed)
    environment = {**os.environ, "PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'scripts'}"}
    fleet = Fleet(workers, environment, log)
    load = Load(jobs, random.Random(seed + 1))
    faults = Faults(server, fleet, chance, POLICY["lease"])
    struck: Counter[str] = Counter()
    server_kills: list[datetime] = []
    pause = threading.Event()
    started = time.monotonic()
    while time.monotonic() - started < seconds:
        pause.wait(chance.uniform(*PAUSE))
        name = faults.draw()
        if name == "server killed and started":
            server_kills.append(datetime.now(UTC))
        faults.strike(name)
        struck[name] += 1
        console.print(f"{time.monotonic() - started:6.0f} s  {name}", style="dim")
    load.stop()
    settled = time.monotonic()
    while _unfinished(server) and time.monotonic() - settled < SETTLE_SECONDS:
        pause.wait(0.5)
    settled = time.monotonic() - settled
    fleet.stop()
    jobs.broker.close()

    def sql(statement: str) -> list[tuple[Any, ...]]:
        with closing(psycopg2.connect(server.url)) as connection, connection.cursor() as cursor:
            cursor.execute(statement)
            return cursor.fetchall()

    verdict = judge(sql, sent=load.sent, killers=load.killers, pushed=load.pushed, server_kills=server_kills)
    table = Table("what", "number", title=f"soak, seed {seed}, {seconds / 60:g} minutes")
    for name, number in sorted(struck.items()):
        table.add_row(f"fault: {name}", str(number))
    table.add_row("faults in all", str(sum(struck.values())))
    table.add_row("masters started", str(fleet.starts))
    table.add_row("sends that failed (in an outage)", str(load.not_sent))
    table.add_row("seconds to settle", f"{settled:.1f}")
    for what, figure in verdict.figures.items():
        table.add_row(what, str(figure))
    console.print(table)
    if verdict.wrong:
        kept = ROOT / ".local" / f"soak-{seed}.log"
        kept.parent.mkdir(exist_ok=True)
        kept.write_text(log.read_text(errors="replace"))
        verdict.wrong += [*verdict.evidence, f"what the workers said is in {kept}"]
    return verdict.wrong


def _unfinished(server: ThrowawayPostgres) -> bool:
    with closing(psycopg2.connect(server.url)) as connection, connection.cursor() as cursor:
        cursor.execute("SELECT EXISTS (SELECT FROM dramatiq.queue WHERE state <> 'rejected')")
        return cursor.fetchone() == (True,)


if __name__ == "__main__":
    sys.exit(main())
