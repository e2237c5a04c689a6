"""``indexq dead retry``: put dead jobs back to work."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import click

from leasequeue.admin import DeadLetters, in_batches

from ..bulk import counted, dry_run_option, run_batches, yes_option
from ..connected import connected
from ..output import json_option, print_json
from .canary import CANARY_SECONDS, prove
from .choice import again, ask_first, check_choice, refuse_others, show_dry_run
from .filters import filter_of, filter_options

EPILOG = """\b
Examples:
  indexq dead retry 4f6c0a52-7d0e-4f0b-9a53-0f8a5d1b2c3d
  indexq dead retry --all-matching --cause 1f0c93a44be0d7a5 --dry-run
  indexq dead retry --all-matching --cause 1f0c93a44be0d7a5 --canary
  indexq dead retry --all-matching --queue index-repo --since 2h --rate 50 --yes

\b
A job that is put back starts with fresh budgets of errors, crashes and time, and keeps its history.
It goes in batches: stopped with Ctrl+C, it says how to go on. What dies meanwhile is left dead.

\b
Exit codes: 0 put back; 1 an id is not that of a dead job, or the canary did not succeed; 130 interrupted.
"""


@click.command(epilog=EPILOG)
@click.argument("jobs", type=click.UUID, nargs=-1, metavar="[JOB]...")
@click.option("--all-matching", is_flag=True, help="All that the filters choose, instead of JOB.")
@filter_options
@click.option("--limit", type=click.IntRange(1), help="So many at the most, those that died first.")
@click.option("--rate", type=click.FloatRange(0, min_open=True), help="So many a second at the most.")
@click.option("--canary", is_flag=True, help="One first; the others only when it has succeeded.")
@click.option(
    "--canary-seconds",
    type=click.FloatRange(0, min_open=True),
    default=CANARY_SECONDS,
    show_default=True,
    help="Wait so long for the canary.",
)
@dry_run_option
@yes_option
@json_option
def retry(
    jobs: tuple[UUID, ...],
    all_matching: bool,
    limit: int | None,
    rate: float | None,
    canary: bool,
    canary_seconds: float,
    dry_run: bool,
    yes: bool,
    as_json: bool,
    **given: Any,
) -> None:
    """Put dead jobs back to work: the JOBs named, or all that match."""
    check_choice(jobs, all_matching, given)
    with connected() as broker:
        letters = DeadLetters(broker)
        if jobs:
            _retry_these(letters, [str(job) for job in jobs], dry_run, as_json)
            return
        wanted = letters.until_now(filter_of(broker, given))
        matching = letters.count(wanted)
        total = matching if limit is None else min(limit, matching)
        if dry_run:
            show_dry_run(letters, wanted, matching, as_json)
            return
        if total:
            ask_first(total, "Put back", yes=yes)
        changed, canary_id = 0, None
        if canary and total:
            canary_id = prove(broker, letters, wanted, canary_seconds)
            changed = 1
        if total > changed:
            batches = in_batches(letters.walk(wanted), letters.redrive, limit=total - changed, rate=rate)
            go_on = again("retry", wanted, limit, rate)
            changed = run_batches(batches, total, "putting back", go_on, already=changed)
    if as_json:
        print_json({"dry_run": False, "matching": matching, "retried": changed, "canary": canary_id})
    else:
        click.echo(f"Put back: {changed:,} of {counted(matching, 'matching dead job')}.")


def _retry_these(letters: DeadLetters, ids: list[str], dry_run: bool, as_json: bool) -> None:
    changed = [letter.message_id for letter in letters.letters(ids)] if dry_run else letters.redrive(ids)
    if as_json:
        print_json({"dry_run": dry_run, "matching": len(changed), "retried": 0 if dry_run else len(changed)})
    else:
        what = counted(len(changed), "dead job")
        click.echo(f"It would be {what}." if dry_run else f"Put back: {what}.")
    refuse_others(ids, changed, "put back")
