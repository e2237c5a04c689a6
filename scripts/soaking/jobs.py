"""The jobs of the soak, run by real ``dramatiq soaking.jobs`` processes. Each run is written into a ledger of its own.

``ledger.run``: one row a run, by ``clock_timestamp()``. A row without an outcome is a run whose process ended in it.
``ledger.death``: workers that were taken for dead, written in the transaction that did so: a log may lack it, since the
answer to that can be lost, and then another one rescues their jobs.
"""

from __future__ import annotations

import json
import os
import signal
import threading
import time

import dramatiq
import psycopg2
from dramatiq.middleware import Interrupt

from leasequeue import LeaseBroker, Policy, current_lease

URL = os.environ["SOAK_DATABASE_URL"]

LEDGER = """
CREATE SCHEMA ledger;
CREATE TABLE ledger.run (
  id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, message_id uuid NOT NULL, worker_id uuid NOT NULL,
  pid integer NOT NULL, started_at timestamptz NOT NULL DEFAULT clock_timestamp(), ended_at timestamptz, outcome text,
  key text, number integer);
CREATE INDEX ON ledger.run (message_id);
CREATE TABLE ledger.death (worker_id uuid NOT NULL, death text NOT NULL);
CREATE FUNCTION ledger.record_death() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  INSERT INTO ledger.death VALUES (NEW.worker_id, NEW.death);
  RETURN NULL;
END $$;
CREATE TRIGGER deaths AFTER INSERT OR UPDATE OF dead_at ON dramatiq.worker
  FOR EACH ROW WHEN (NEW.dead_at IS NOT NULL) EXECUTE FUNCTION ledger.record_death();
"""

broker = LeaseBroker(url=URL, policy=Policy(**json.loads(os.environ.get("SOAK_POLICY", "{}"))))
dramatiq.set_broker(broker)


def write(statement: str, *values: object) -> object:
    """One statement, committed, on a connection of its own; tried until the database takes it."""
    pause = threading.Event()
    while True:
        try:
            connection = psycopg2.connect(URL, connect_timeout=2)
            try:
                with connection, connection.cursor() as cursor:
                    cursor.execute("BEGIN READ WRITE")
                    cursor.execute(statement, values)
                    row = cursor.fetchone() if cursor.description else None
                    return row[0] if row else None
            finally:
                connection.close()
        except (psycopg2.OperationalError, psycopg2.InterfaceError):
            pause.wait(0.2)


class Recorded:
    """``with Recorded():`` writes a run into the ledger, and how it ended; for a push also which one it was."""

    def __init__(self, key: str | None = None, number: int | None = None) -> None:
        self._push = (key, number)

    def __enter__(self) -> None:
        lease = current_lease()
        assert lease is not None
        self._run = write(
            "INSERT INTO ledger.run (message_id, worker_id, pid, key, number) VALUES (%s, %s, %s, %s, %s) RETURNING id",
            lease.message_id,
            lease.worker_id,
            os.getpid(),
            *self._push,
        )

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, traceback: object) -> None:
        outcome = "done" if kind is None else "interrupted" if issubclass(kind, Interrupt) else "error"
        write("UPDATE ledger.run SET ended_at = clock_timestamp(), outcome = %s WHERE id = %s", outcome, self._run)


@dramatiq.actor
def work(seconds: float) -> None:
    """Take a while, in steps that can be interrupted."""
    with Recorded():
        pause = threading.Event()
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            pause.wait(0.05)


@dramatiq.actor
def fail(times: int) -> None:
    """Fail so many times, with an unreadable text, then succeed."""
    lease = current_lease()
    assert lease is not None
    with Recorded():
        if lease.errors < times:
            raise ValueError("bad \x00 text \ud800")


@dramatiq.actor(key=lambda key, number, seconds: key, fairness_key=lambda key, number, seconds: key)
def push(key: str, number: int, seconds: float) -> None:
    """Of a key one waits and one runs. Each seventh fails at first."""
    lease = current_lease()
    assert lease is not None
    with Recorded(key, number):
        threading.Event().wait(seconds)
        if number % 7 == 0 and not lease.errors:
            raise ValueError("a seventh one")


@dramatiq.actor
def kill() -> None:
    """End the process that runs this."""
    with Recorded():
        os.kill(os.getpid(), signal.SIGKILL)
