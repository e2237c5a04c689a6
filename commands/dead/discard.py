"""``indexq dead discard``: put dead jobs aside that nobody has to look at any more."""

from __future__ import annotations

from typing import Any

import click

from leasequeue.admin import DeadLetters, in_batches

from ..bulk import counted, dry_run_option, run_batches, yes_option
from ..connected import connected
from ..output import json_option, print_json
from .choice import Asked, Change, again, choice_options

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
@choice_options
@dry_run_option
@yes_option
@json_option
def discard(**options: Any) -> None:
    """Put dead jobs aside: the JOBs named, or all that match."""
    asked = Asked.checked(**options)
    with connected() as broker:
        letters = DeadLetters(broker)
        chosen = asked.choose(broker, letters, Change(letters.discard, "Discard", "Discarded", "discarded"))
        if chosen is None:
            return
        batches = in_batches(letters.walk(chosen.wanted), letters.discard, limit=chosen.total)
        changed = run_batches(batches, chosen.total, "discarding", again("discard", chosen.wanted, asked.limit))
    if asked.as_json:
        print_json({"dry_run": False, "matching": chosen.matching, "discarded": changed})
    else:
        click.echo(f"Discarded: {changed:,} of {counted(chosen.matching, 'matching dead job')}.")
