"""``indexq dead retry``: put dead jobs back to work."""

from __future__ import annotations

from typing import Any

import click

from leasequeue.admin import DeadLetters, in_batches

from ..bulk import counted, dry_run_option, run_batches, yes_option
from ..connected import connected
from ..output import json_option, print_json
from .canary import CANARY_SECONDS, prove
from .choice import Asked, Change, again, choice_options

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
@choice_options
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
def retry(rate: float | None, canary: bool, canary_seconds: float, **options: Any) -> None:
    """Put dead jobs back to work: the JOBs named, or all that match."""
    asked = Asked.checked(**options)
    with connected() as broker:
        letters = DeadLetters(broker)
        chosen = asked.choose(broker, letters, Change(letters.redrive, "Put back", "Put back", "retried"))
        if chosen is None:
            return
        wanted, total = chosen.wanted, chosen.total
        changed, canary_id = 0, None
        if canary and total:
            canary_id = prove(broker, letters, wanted, canary_seconds)
            changed = 1
        if total > changed:
            batches = in_batches(letters.walk(wanted), letters.redrive, limit=total - changed, rate=rate)
            go_on = again("retry", wanted, asked.limit, rate)
            changed = run_batches(batches, total, "putting back", go_on, already=changed)
    if asked.as_json:
        print_json({"dry_run": False, "matching": chosen.matching, "retried": changed, "canary": canary_id})
    else:
        click.echo(f"Put back: {changed:,} of {counted(chosen.matching, 'matching dead job')}.")
