"""Actors for the fault tests, run by real ``dramatiq fault_actors`` processes.

Each run writes into a ledger on a connection of its own, so that what happened is known whatever dies: table
``ledger.run (job, started_at, ended_at, pid)``, times by ``clock_timestamp()``.
"""

from __future__ import annotations

import ctypes
import json
import os
import threading
import time

import dramatiq
import psycopg2

from leasequeue import LeaseBroker, Policy

URL = os.environ["FAULT_DATABASE_URL"]

broker = LeaseBroker(url=URL, policy=Policy(**json.loads(os.environ.get("FAULT_POLICY", "{}"))))
dramatiq.set_broker(broker)

LEDGER = """
CREATE SCHEMA ledger;
CREATE TABLE ledger.run (
  id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, job text NOT NULL, pid integer NOT NULL,
  started_at timestamptz NOT NULL DEFAULT clock_timestamp(), ended_at timestamptz)
"""


def write(statement: str, *values: object) -> object:
    """One statement, committed, on a connection of its own."""
    connection = psycopg2.connect(URL)
    try:
        with connection, connection.cursor() as cursor:
            cursor.execute(statement, values)
            row = cursor.fetchone() if cursor.description else None
            return row[0] if row else None
    finally:
        connection.close()


@dramatiq.actor
def work(job: str, seconds: float) -> None:
    """Take a while, in small steps that can be interrupted."""
    run = write("INSERT INTO ledger.run (job, pid) VALUES (%s, %s) RETURNING id", job, os.getpid())
    pause = threading.Event()
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        pause.wait(0.02)
    write("UPDATE ledger.run SET ended_at = clock_timestamp() WHERE id = %s", run)


@dramatiq.actor
def nothing() -> None:
    """The smallest job."""


@dramatiq.actor
def deaf(job: str, seconds: float) -> None:
    """Take a while in one call that nothing can interrupt."""
    run = write("INSERT INTO ledger.run (job, pid) VALUES (%s, %s) RETURNING id", job, os.getpid())
    ctypes.CDLL(None).usleep(int(seconds * 1e6))
    write("UPDATE ledger.run SET ended_at = clock_timestamp() WHERE id = %s", run)
