"""``indexq dead``: what died, of what, and putting it back."""

from __future__ import annotations

import click

from .discard import discard
from .listing import list_dead
from .retry import retry
from .show import show
from .transfer import export_dead, import_dead

EPILOG = """\b
Examples:
  indexq dead list
  indexq dead show 4f6c0a52-7d0e-4f0b-9a53-0f8a5d1b2c3d
  indexq dead retry --all-matching --cause 1f0c93a44be0d7a5 --canary
  indexq dead discard --all-matching --reason expired --since 2d

\b
A dead job is one that was given up, with the reason: retries_exhausted, permanent, expired, crashed,
unknown_actor, unreadable, rejected; or put aside by an operator: discarded, cancelled. It is kept for
DEAD_RETENTION_DAYS.
"""


@click.group(epilog=EPILOG)
def dead() -> None:
    """Find out what died and why, put it back, or put it aside."""


for command in (list_dead, show, retry, discard, export_dead, import_dead):
    dead.add_command(command)
