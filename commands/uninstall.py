"""``indexq migrate --uninstall``: the way back. Part of :mod:`.migrate`."""

from __future__ import annotations

from dataclasses import asdict

import click

from indexing.queries import MIGRATIONS, SCHEMA
from leasequeue import limits
from leasequeue.removal import COUNT_LIMIT, Found, Removal
from settings import Settings

from .bulk import confirm
from .failures import CommandFailed
from .output import print_json


def uninstall(settings: Settings, url: str, *, lose_jobs: bool, dry_run: bool, yes: bool, as_json: bool) -> None:
    """Remove the schemas of queue, index and rate limits for good. Raises CommandFailed with what speaks against it."""
    others = {SCHEMA: MIGRATIONS, limits.schema_of(settings.queue_schema): limits.DIRECTORY}
    removal = Removal(url, settings.queue_schema, others, lease=settings.lease_seconds)
    found = removal.look()
    if not as_json:
        for line in _lines(found):
            click.echo(line)
    objections = found.objections(lose_jobs=lose_jobs)
    if objections:
        advice = [] if found.objections(lose_jobs=True) else ["or say --lose-jobs to remove everything all the same"]
        raise CommandFailed("\n".join(["nothing was removed", *objections, *advice]))
    if found.schemas and not dry_run:
        names = " and ".join(each.name for each in found.schemas)
        confirm(f"Remove {names} with everything in it for good?", yes=yes)
        found = removal.remove(lose_jobs=lose_jobs)
    if as_json:
        print_json(
            {"dry_run": dry_run, "removed": [] if dry_run else [each.name for each in found.schemas], **asdict(found)}
        )
    elif dry_run:
        click.echo("Nothing was removed.")
    else:
        click.echo("Removed." if found.schemas else "There is nothing to remove.")


def _lines(found: Found) -> list[str]:
    lines = [f"schema {each.name}, {each.bytes / 1024**2:,.1f} MB: {', '.join(each.tables)}" for each in found.schemas]
    if found.schemas:
        counts = (found.waiting, "waiting"), (found.running, "running"), (found.dead, "dead")
        jobs = ", ".join(f"{count:,}{' or more' if count >= COUNT_LIMIT else ''} {state}" for count, state in counts)
        lines.append(f"jobs: {jobs}; living workers: {found.workers}")
    return lines
