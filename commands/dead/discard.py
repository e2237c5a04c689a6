"""``indexq dead discard``: put dead jobs aside that nobody has to look at any more."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import click

from leasequeue.admin import DeadLetters, in_batches

from ..bulk import counted, dry_run_option, run_batches, yes_option
from ..connected import connected
from ..output import json_option, print_json
from .choice import again, ask_first, check_choice, refuse_others, show_dry_run
from .filters import filter_of, filter_options

EPILOG = """\b
Examples:
  indexq dead discard 4f6c0a52-7d0e-4f0b-9a53-0f8a5d1b2c3d
  indexq dead discard --all-matching --reason expired --until 2d --dry-run
  indexq dead discard --all-matching --cause 1f0c93a44be0d7a5 --yes

\b
Nothing is lost: a discarded job is no longer counted or listed, can be seen with --reason discarded and put
back until its retention is over. To remove jobs for good: indexq purge.

\b
Exit codes: 0 put aside; 1 an id is not that of a dead job; 130 interrupted.
"""


@click.command(epilog=EPILOG)
@click.argument("jobs", type=click.UUID, nargs=-1, metavar="[JOB]...")
@click.option("--all-matching", is_flag=True, help="All that the filters choose, instead of JOB.")
@filter_options
@click.option("--limit", type=click.IntRange(1), help="So many at the most, those that died first.")
@dry_run_option
@yes_option
@json_option
def discard(
    jobs: tuple[UUID, ...],
    all_matching: bool,
    limit: int | None,
    dry_run: bool,
    yes: bool,
    as_json: bool,
    **given: Any,
) -> None:
    """Put dead jobs aside: the JOBs named, or all that match."""
    check_choice(jobs, all_matching, given)
    with connected() as broker:
        letters = DeadLetters(broker)
        if jobs:
            _discard_these(letters, [str(job) for job in jobs], dry_run, as_json)
            return
        wanted = letters.until_now(filter_of(broker, given))
        matching = letters.count(wanted)
        if dry_run:
            show_dry_run(letters, wanted, matching, as_json)
            return
        total = matching if limit is None else min(limit, matching)
        if total:
            ask_first(total, "Discard", yes=yes)
        batches = in_batches(letters.walk(wanted), letters.discard, limit=total)
        changed = run_batches(batches, total, "discarding", again("discard", wanted, limit))
    if as_json:
        print_json({"dry_run": False, "matching": matching, "discarded": changed})
    else:
        click.echo(f"Discarded: {changed:,} of {counted(matching, 'matching dead job')}.")


def _discard_these(letters: DeadLetters, ids: list[str], dry_run: bool, as_json: bool) -> None:
    changed = [letter.message_id for letter in letters.letters(ids)] if dry_run else letters.discard(ids)
    if as_json:
        print_json({"dry_run": dry_run, "matching": len(changed), "discarded": 0 if dry_run else len(changed)})
    else:
        what = counted(len(changed), "dead job")
        click.echo(f"It would be {what}." if dry_run else f"Discarded: {what}.")
    refuse_others(ids, changed, "discarded")
