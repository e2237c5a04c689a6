"""One job first: whether what killed the others is gone."""

from __future__ import annotations

import threading
import time
from typing import Final

import click

from leasequeue import LeaseBroker
from leasequeue.admin import Admin, DeadFilter, DeadLetters, JobFacts

from ..failures import FAILED, CommandFailed

#: Seconds for the canary to succeed, when the command line does not say.
CANARY_SECONDS: Final = 600.0

#: Seconds between two looks at it.
LOOK_SECONDS: Final = 0.2


def prove(broker: LeaseBroker, letters: DeadLetters, wanted: DeadFilter, seconds: float) -> str:
    """Put the job back that died first, wait until it is done, and return its id.

    Raises:
      CommandFailed: it died again, its first run failed, or it was not done in time. No other job was touched.
    """
    for ids in letters.walk(wanted, page=1):
        if letters.redrive(ids):
            break
    else:
        raise CommandFailed("expected a dead job to begin with, but none matches any more")
    (canary,) = ids
    click.echo(f"Canary {canary} was put back; waiting for it.", err=True)
    admin = Admin(broker)
    deadline = time.monotonic() + seconds
    pause = threading.Event()
    while (failure := _failure(_job(admin, canary))) is None:
        if time.monotonic() >= deadline:
            raise _stopped(canary, f"was not done within {seconds:g} s; is a worker running? see: indexq workers")
        pause.wait(LOOK_SECONDS)
    if failure:
        raise _stopped(canary, failure)
    click.echo(f"Canary {canary} has succeeded.", err=True)
    return canary


def _job(admin: Admin, message_id: str) -> JobFacts | None:
    """The job, or the newer one with its key that takes its place: who gave way was not run, and proves nothing."""
    job = admin.job(message_id)
    while job is not None and job.merged_into is not None:
        job = admin.job(job.merged_into)
    return job


def _failure(job: JobFacts | None) -> str | None:
    """What went wrong; empty when all went well, None when that is not known yet."""
    if job is None:
        return "was removed by somebody"
    if job.state == "completed":
        return ""
    said = (job.error or "no error was recorded").partition("\n")[0]
    if job.state == "dead":
        return f"died again ({job.reason}): {said}"
    if job.errors or job.crashes:
        return f"failed again and will be retried: {said}"
    return None


def _stopped(canary: str, why: str) -> CommandFailed:
    return CommandFailed(f"canary {canary} {why}\nnothing else was put back", FAILED)
