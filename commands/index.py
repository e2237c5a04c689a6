"""``indexq index``: hand a repository to the workers, and watch them."""

from __future__ import annotations

from contextlib import closing, suppress
from dataclasses import asdict
from pathlib import Path
from uuid import uuid4

import click

from indexing import location
from indexing.errors import RepositoryRefused
from indexing.jobs import JobRow, add_repository, get_job
from leasequeue import DatabaseUnavailable, QueueError
from leasequeue.admin.wording import short_time

from .database import Database
from .failures import FAILED, UNAVAILABLE, USAGE, CommandFailed
from .output import json_option, print_json, printable, short_sha, text
from .progress import display_for
from .waiting import StoppedWaiting, follow

EPILOG = """\b
Examples:
  indexq index .
  indexq index ~/src/project --commit v1.2 --wait
  indexq index https://example.org/team/project.git --name project
  indexq index git@example.org:team/project.git --wait --json

\b
Exit codes: 0 in the queue, or with --wait completed; 1 the job failed; 130 stopped waiting.
--wait goes on without a worker, after saying so: the job is run as soon as there is one.
"""


@click.command(epilog=EPILOG)
@click.argument("path_or_url", type=text)
@click.option("--commit", type=text, help="Commit id, branch or tag.  [default: head of the default branch]")
@click.option("--name", type=text, help="Name of a new repository.  [default: last part of the URL]")
@click.option("--wait", is_flag=True, help="Show progress until the job has ended. Ctrl+C leaves it in the queue.")
@json_option
def index(path_or_url: str, commit: str | None, name: str | None, wait: bool, as_json: bool) -> None:
    """Queue a job that indexes the repository at PATH_OR_URL.

    A directory of this machine has to be one of the workers' machines, too.
    """
    place = find_place(path_or_url)
    from broker import broker, settings  # Here: importing it reads the settings.

    with closing(broker), Database(settings) as database:
        job, merged = enqueue(database, place, name, commit)
        if not as_json:
            where = "in the queue, and takes the place of one that waited" if merged else "in the queue"
            click.echo(f"Job {job.id}: {printable(place)} at {printable(short_sha(commit))} is {where}.")
        if wait:
            with display_for(quiet=as_json) as display:
                try:
                    job = follow(database, broker, job, display)
                except StoppedWaiting as stopped:
                    if as_json:
                        print_json(asdict(stopped.job))
                    raise
    if as_json:
        print_json(asdict(job))
    elif job.status == "completed":
        click.echo(_summary(job))
    if job.status == "failed":
        raise CommandFailed(f"job {job.id} failed: {printable(job.error or '')}", FAILED)


def find_place(given: str) -> str:
    """The absolute path of a directory that is here (links in it stay links), or the URL of a repository elsewhere."""
    try:
        is_path = bool(given.strip()) and (":" not in given or Path(given).exists())
        place = location.parse(str(Path(given).absolute()) if is_path else given)
        path = Path(place.url)
        if place.kind == "local" and not path.is_dir():
            found = "a file" if path.exists() else "nothing"
            raise CommandFailed(
                f"expected a directory or the URL of a git repository, found {found} at {location.mask(place.url)!r}",
                USAGE,
            )
    except RepositoryRefused as error:
        raise CommandFailed(str(error), USAGE) from None
    except OSError as error:
        raise CommandFailed(f"expected a directory that can be read, got: {error.strerror}", USAGE) from None
    return place.url


def enqueue(database: Database, place: str, name: str | None, commit: str | None) -> tuple[JobRow, bool]:
    """Repository, job and message in one transaction; a worker is woken behind it.

    Returns the job, and whether it took the place of one that waited.
    """
    from actors import broker, enqueue_index_job  # Here: importing it reads the settings.

    job_id = str(uuid4())
    is_written = False
    try:
        with database.transaction() as cursor:
            repository_id = add_repository(cursor, place, name)
            message = enqueue_index_job(cursor, repository_id, commit, index_job_id=job_id)
            job = get_job(cursor, job_id)
            is_written = True
    except DatabaseUnavailable as error:
        if not is_written:
            raise
        raise CommandFailed(
            f"the database went away during the commit ({error}), so job {job_id} may be in the queue or not; "
            f"see with: indexq status {job_id}",
            UNAVAILABLE,
        ) from None
    # Committed: a bell that does not ring delays the job by one poll and is no failure.
    with suppress(DatabaseUnavailable, QueueError):
        broker.ring(message.queue_name)
    assert job is not None
    return job, bool(message.options.get("merged"))


def _summary(job: JobRow) -> str:
    stats = job.stats or {}
    took = f" in {short_time(job.finished_at - job.started_at)}" if job.finished_at and job.started_at else ""
    return (
        f"Completed: {stats.get('files_processed', job.files_done):,} files, {job.symbols:,} symbols, "
        f"{stats.get('files_skipped', 0):,} skipped{took} (commit {short_sha(job.resolved_sha)})."
    )
