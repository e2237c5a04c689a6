"""What each route answers in each state of the world, measured one after the other; the table in docs/health.md."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Callable
from contextlib import ExitStack, closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg2
from dramatiq.message import Message
from throwaway_postgres import ThrowawayPostgres
from waiting import wait_until

from leasequeue import migrations
from leasequeue.watchdog import EXIT_WEDGED

from .conftest import ROOT, ROUTES, House, Probe, stopped

DOCUMENT = ROOT / "docs" / "health.md"
BEGIN, END = "<!-- states: begin, made by tests/health/test_states.py -->", "<!-- states: end -->"


@dataclass
class Table:
    """The measured states, in order."""

    rows: list[tuple[str, tuple[int, ...], str]] = field(default_factory=list)

    def state(self, name: str, probe: Probe, expected: tuple[int, ...], *codes: str) -> None:
        """Wait until the four routes answer as expected, the strictest of them with these reasons, and note that."""
        seen: list[object] = []

        def as_expected() -> bool:
            _, body = probe.ask("live" if expected[0] == 503 else "health")
            seen.append((probe.codes(), tuple(each["code"] for each in body["reasons"])))
            return seen[-1] == (expected, codes)

        try:
            wait_until(as_expected, 15)
        except AssertionError:
            raise AssertionError(f"{name}: expected {expected} and {codes}, last: {seen[-3:]}") from None
        self.rows.append((name, expected, ", ".join(f"`{code}`" for code in codes)))

    def markdown(self) -> str:
        head = ["state", *(f"/{route}" for route in ROUTES), "reason"]
        rows = [head, ["---"] * len(head)]
        rows += [[name, *map(str, codes), reason] for name, codes, reason in self.rows]
        return "\n".join(" ".join(["|", " | ".join(row), "|"]) for row in rows)


def execute(url: str, *statements: str) -> None:
    with closing(psycopg2.connect(url)) as connection:
        connection.autocommit = True
        with connection.cursor() as cursor:
            for statement in statements:
                cursor.execute(statement)


def count(url: str, statement: str) -> int:
    """The number that a statement returns."""
    with closing(psycopg2.connect(url)) as connection, connection.cursor() as cursor:
        cursor.execute(statement)
        (row,) = cursor.fetchall()
        return int(row[0])


def put(url: str, actor: str, *arguments: Any, age: int = 0) -> None:
    """Send a job as if it had been ready for ``age`` seconds."""
    message: Message[Any] = Message("index-repo", actor, arguments, {}, {})
    with closing(psycopg2.connect(url)) as connection, connection, connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO dramatiq.queue (message_id, queue_name, state, message, available_at) "
            "VALUES (%s, 'index-repo', 'queued', %s, now() - %s * interval '1 s')",
            (message.message_id, json.dumps(message.asdict()), age),
        )


def wait_for_running(probe: Probe, jobs: int) -> None:
    wait_until(lambda: sum(p["running"] for p in probe.ask("live")[1]["processes"]) == jobs, 10, f"{jobs} running")


def pid_of(probe: Probe) -> int:
    (process,) = probe.ask("live")[1]["processes"]
    pid: int = process["pid"]
    return pid


def test_each_route_answers_right_in_every_state(
    house: House, throwaway_server: Callable[..., ThrowawayPostgres], tmp_path: Path
) -> None:
    server = throwaway_server(settings={"max_connections": "12", "superuser_reserved_connections": "0"})
    url, table, hang = server.url, Table(), tmp_path / "hang"
    good, bad, worst = (200, 200, 200, 200), (200, 503, 200, 503), (503, 503, 200, 503)
    probe = house.sidecar(url)

    table.state("schema missing, no worker", probe, (200, 503, 503, 503), "schema_missing", "no_worker")
    migrations.migrate(url, schema="dramatiq")
    table.state("no worker at all", probe, (200, 503, 503, 503), "no_worker")

    workers = house.workers(url)
    table.state("healthy: a worker, an empty queue", probe, good)
    put(url, "work", 600)
    wait_for_running(probe, 1)
    put(url, "work", 0, age=60)
    table.state("busy with one 10-minute job, others wait", probe, good)
    execute(url, "INSERT INTO dramatiq.migration (version, name) VALUES (99, 'of tomorrow')")
    table.state("schema newer", probe, bad, "schema_version")
    execute(url, "DELETE FROM dramatiq.migration WHERE version = 99")
    execute(url, "ALTER SYSTEM SET default_transaction_read_only TO on", "SELECT pg_reload_conf()")
    table.state("database read-only", probe, bad, "database_read_only")
    execute(url, "SET default_transaction_read_only TO off", "ALTER SYSTEM RESET default_transaction_read_only")
    execute(url, "SELECT pg_reload_conf()")
    table.state("... and writable again", probe, good)
    with stopped(server):
        table.state("database hanging", probe, bad, "database_unavailable")
    table.state("... and awake again", probe, good)
    server.stop(immediate=True)
    table.state("database stopped", probe, bad, "database_unavailable")
    server.start()
    table.state("... and started again", probe, good)
    wait_for_running(probe, 1)

    workers.send_signal(signal.SIGTERM)
    table.state("draining", probe, bad, "draining")
    workers.send_signal(signal.SIGKILL, group=True)
    table.state("... and all workers gone", probe, bad, "no_worker")
    execute(url, "TRUNCATE dramatiq.queue, dramatiq.worker")

    workers = house.workers(url)
    table.state("... and a new one there", probe, good)
    newcomer = house.sidecar(url)
    with ExitStack() as others:
        for _ in range(12):
            try:
                others.callback(psycopg2.connect(url).close)
            except psycopg2.OperationalError:
                break
        table.state("connection limit reached, asked on a session from before", probe, good)
        table.state("connection limit reached, asked for the first time", newcomer, bad, "database_unavailable")
    table.state("... and a connection free again", newcomer, good)

    pid = pid_of(probe)
    os.kill(pid, signal.SIGSTOP)
    table.state("worker process stopped by signal, a moment later", probe, bad, "not_claiming")
    table.state("... a minute later", probe, worst, "worker_wedged")
    os.kill(pid, signal.SIGCONT)
    table.state("... and continued", probe, good)
    workers.send_signal(signal.SIGKILL, group=True)

    workers = house.workers(url, threads=2, HEALTH_TEST_HANG=str(hang), DRAIN_SECONDS="2")
    wait_until(lambda: len(probe.ask("live")[1]["processes"]) == 1, 10, "the killed one is still there")
    put(url, "work", 600)
    wait_for_running(probe, 1)
    hang.touch()
    table.state("hung claim loop, a minute later", probe, worst, "worker_wedged")
    assert workers.process.wait(20) == EXIT_WEDGED
    assert "worker_wedged" in workers.said()
    with closing(psycopg2.connect(url)) as connection, connection.cursor() as cursor:
        cursor.execute("SELECT state::text, starts, errors, crashes FROM dramatiq.queue")
        assert cursor.fetchall() == [("queued", 0, 0, 0)]  # handed back, at no charge

    compare_with_document(table)


def test_a_queue_that_stands_still_is_found_although_its_workers_look_well(house: House, database: str) -> None:
    probe = house.sidecar(database, LOOP_STUCK_SECONDS="60")
    hang = house.directory / "hang"
    house.workers(database, HEALTH_TEST_HANG=str(hang), LOOP_STUCK_SECONDS="60")
    assert probe.codes() == (200, 200, 200, 200)
    hang.touch()
    put(database, "work", 0, age=60)
    wait_until(lambda: probe.codes() == (200, 200, 200, 503), 10, "nobody noticed")
    _, body = probe.ask("health")
    (reason,) = body["reasons"]
    assert reason["code"] == "stalled"
    assert "1 jobs wait in queue index-repo, the oldest for 6" in reason["text"]
    hang.unlink()
    wait_until(lambda: probe.codes() == (200, 200, 200, 200), 10, "it moves, and is not believed")


def compare_with_document(table: Table) -> None:
    """Hold the table in the documentation to what was measured; INDEXQ_WRITE_DOCS=1 writes it anew."""
    before, _, rest = DOCUMENT.read_text("utf-8").partition(BEGIN)
    shown, _, after = rest.partition(END)
    if os.environ.get("INDEXQ_WRITE_DOCS"):
        DOCUMENT.write_text(f"{before}{BEGIN}\n\n{table.markdown()}\n\n{END}{after}", "utf-8")
        return
    assert shown.strip() == table.markdown()
