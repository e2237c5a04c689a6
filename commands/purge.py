"""``indexq purge``: remove jobs for good."""

from __future__ import annotations

import click

from leasequeue.admin import COUNT_LIMIT, Jobs, Kind

from .bulk import confirm, dry_run_option, yes_option
from .connected import connected
from .failures import INTERRUPTED, CommandFailed
from .output import json_option, print_json, text

EPILOG = """\b
Examples:
  indexq purge index-repo --discarded
  indexq purge index-repo --waiting --dry-run
  indexq purge scratch --dead --yes --json

\b
Nothing brings them back: `indexq dead export` keeps a copy of dead jobs, `indexq cancel` and
`indexq dead discard` give jobs up without losing them. Running jobs are not touched. Stopped with Ctrl+C, what
was removed is gone, and the same command goes on.

\b
Exit codes: 0 removed; 2 it is not clear which; 130 interrupted.
"""


@click.command(epilog=EPILOG)
@click.argument("queue", type=text)
@click.option("--waiting", "kind", flag_value="waiting", help="Jobs that wait, ready or scheduled.")
@click.option("--dead", "kind", flag_value="dead", help="Dead jobs that were not put aside.")
@click.option("--discarded", "kind", flag_value="discarded", help="Dead jobs that were discarded or cancelled.")
@click.option("--completed", "kind", flag_value="completed", help="Completed jobs, with their results.")
@dry_run_option
@yes_option
@json_option
def purge(queue: str, kind: Kind | None, dry_run: bool, yes: bool, as_json: bool) -> None:
    """Remove jobs of QUEUE for good."""
    if kind is None:
        raise click.UsageError("expected one of --waiting, --dead, --discarded and --completed, got: none")
    with connected() as broker:
        admin = Jobs(broker)
        count = admin.count(queue, kind)
        shown = f"{count:,}" + (" or more" if count >= COUNT_LIMIT else "")
        removed = 0
        if count and not dry_run:
            confirm(f"Remove {shown} {kind} jobs of {queue} for good?", yes=yes)
            removed = _remove(admin, queue, kind)
    if as_json:
        print_json({"queue": queue, "kind": kind, "dry_run": dry_run, "matching": count, "removed": removed})
    elif dry_run:
        click.echo(f"It would be {shown} {kind} jobs of {queue}. Nothing was removed.")
    else:
        click.echo(f"Removed: {removed:,} {kind} jobs of {queue}.")


def _remove(admin: Jobs, queue: str, kind: Kind) -> int:
    removed = 0
    try:
        for count in admin.remove(queue, kind):
            removed += count
    except KeyboardInterrupt:
        raise CommandFailed(f"interrupted: {removed:,} jobs were removed", INTERRUPTED) from None
    return removed
