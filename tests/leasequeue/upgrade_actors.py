"""Actors of a worker that an upgrade meets; run with this release's leasequeue, or with an earlier one."""

from __future__ import annotations

import os
import threading
import time
from contextlib import closing

import dramatiq
import psycopg2

from leasequeue import LeaseBroker, Policy, migrations

URL = os.environ["DATABASE_URL"]
broker = LeaseBroker(url=URL, policy=Policy(poll_interval=0.1))
dramatiq.set_broker(broker)


def write(statement: str, *values: object) -> bool:
    """Run a statement; whether it gave a row."""
    with closing(psycopg2.connect(URL)) as connection, connection, connection.cursor() as cursor:
        cursor.execute(statement, values)
        return cursor.description is not None and cursor.fetchone() is not None


@dramatiq.actor
def remember(number: int, children: int = 0, fails: bool = False) -> None:
    """Note that it ran, and by which release; send others; fail the first time."""
    write("INSERT INTO public.ran (number, release) VALUES (%s, %s)", number, migrations.latest())
    for child in range(children):
        remember.send(number * 100 + child)
    if fails and not write("SELECT FROM public.ran WHERE number = %s OFFSET 1", number):
        raise dramatiq.errors.Retry("the first time it fails", delay=10)


@dramatiq.actor
def hold(number: int) -> None:
    """Run until somebody says that it may end."""
    write("INSERT INTO public.ran (number, release) VALUES (%s, %s)", number, migrations.latest())
    deadline = time.monotonic() + 60
    pause = threading.Event()
    while not write("SELECT FROM public.released WHERE number = %s", number) and time.monotonic() < deadline:
        pause.wait(0.05)
