"""Actors for the fault tests, run by real ``dramatiq fault_actors`` processes.

Each run writes into a ledger on a connection of its own, so that what happened is known whatever dies: table
``ledger.run (job, attempt, pid, started_at, ended_at)``, times by ``clock_timestamp()``.
"""

from __future__ import annotations

import ctypes
import json
import os
import signal
import threading
import time
from contextlib import suppress
from typing import Any

import dramatiq
import psycopg2
from dramatiq.middleware import Interrupt, Middleware

from leasequeue import LeaseBroker, Policy, current_lease

URL = os.environ["FAULT_DATABASE_URL"]

#: The ledger is written on the server itself also where the queue's own sessions go through something else.
LEDGER_URL = os.environ.get("FAULT_LEDGER_URL", URL)

LEDGER = """
CREATE SCHEMA ledger;
CREATE TABLE ledger.run (
  id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, job text NOT NULL, attempt integer NOT NULL, pid integer NOT NULL,
  started_at timestamptz NOT NULL DEFAULT clock_timestamp(), ended_at timestamptz);
CREATE TABLE ledger.suicide (job text PRIMARY KEY);
"""


def write(statement: str, *values: object) -> object:
    """One statement, committed, on a connection of its own; tried until the database is there."""
    while True:
        try:
            connection = psycopg2.connect(LEDGER_URL)
            try:
                with connection, connection.cursor() as cursor:
                    cursor.execute(statement, values)
                    row = cursor.fetchone() if cursor.description else None
                    return row[0] if row else None
            finally:
                connection.close()
        except (psycopg2.OperationalError, psycopg2.InterfaceError):
            threading.Event().wait(0.1)


class Suicide(Middleware):
    """Kills the process at a named point of a job's way, once for each job: option ``die_at``."""

    @property
    def actor_options(self) -> set[str]:
        return {"die_at"}

    def _die(self, point: str, message: Any) -> None:
        if message.options.get("die_at") == point and write(
            "INSERT INTO ledger.suicide VALUES (%s) ON CONFLICT DO NOTHING RETURNING job", message.message_id
        ):
            os.kill(os.getpid(), signal.SIGKILL)

    def before_process_message(self, broker: Any, message: Any) -> None:
        self._die("before the run", message)

    def after_process_message(self, broker: Any, message: Any, *, result: Any = None, exception: Any = None) -> None:
        self._die("after the run", message)

    def after_enqueue(self, broker: Any, message: Any, delay: int | None) -> None:
        if current_lease() is not None:
            self._die("at the retry", message)

    def after_ack(self, broker: Any, message: Any) -> None:
        self._die("at the ack", message)


class DeafWhenTold(Middleware):
    """At SIGUSR1 the main thread waits for ever, as it does for a lock that a dead master has taken along."""

    def after_process_boot(self, broker: Any) -> None:
        signal.signal(signal.SIGUSR1, lambda *_: threading.Event().wait())


broker = LeaseBroker(url=URL, policy=Policy(**json.loads(os.environ.get("FAULT_POLICY", "{}"))))
broker.add_middleware(Suicide())  # type: ignore[no-untyped-call]
broker.add_middleware(DeafWhenTold())  # type: ignore[no-untyped-call]
dramatiq.set_broker(broker)


def begin(job: str) -> object:
    """Write down that a run began; returns what :func:`end` wants to know."""
    lease = current_lease()
    assert lease is not None
    return write(
        "INSERT INTO ledger.run (job, attempt, pid) VALUES (%s, %s, %s) RETURNING id", job, lease.attempt, os.getpid()
    )


def end(run: object) -> None:
    """Write down that a run came to its end."""
    write("UPDATE ledger.run SET ended_at = clock_timestamp() WHERE id = %s", run)


@dramatiq.actor
def work(job: str, seconds: float) -> None:
    """Take a while, in small steps that can be interrupted."""
    run = begin(job)
    pause = threading.Event()
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        pause.wait(0.02)
    end(run)


@dramatiq.actor
def nothing() -> None:
    """The smallest job."""


@dramatiq.actor
def deaf(job: str, seconds: float) -> None:
    """Take a while in one call that nothing can interrupt."""
    run = begin(job)
    ctypes.CDLL(None).usleep(int(seconds * 1e6))
    end(run)


@dramatiq.actor
def stubborn(job: str, seconds: float) -> None:
    """Take a while and go on whatever interrupts it."""
    run = begin(job)
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        with suppress(Interrupt):
            threading.Event().wait(0.02)
    end(run)


@dramatiq.actor
def burn(job: str, seconds: float) -> None:
    """Keep the interpreter busy."""
    run = begin(job)
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        pass
    end(run)


@dramatiq.actor
def fail(job: str) -> None:
    """End in an error."""
    end(begin(job))
    raise ValueError(f"{job} fails")


@dramatiq.actor
def kill(job: str, how: str) -> None:
    """End the process that runs this."""
    begin(job)
    if how == "a signal":
        os.kill(os.getpid(), signal.SIGKILL)
    elif how == "a bad address":
        ctypes.string_at(0)
    elif how == "an exit":
        os._exit(7)
    elif how == "an abort":
        os.abort()
