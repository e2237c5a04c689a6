"""``indexq pause`` and ``resume``: have a queue's jobs wait, and go on."""

from __future__ import annotations

import click

from leasequeue.admin import Queues

from .connected import connected
from .output import json_option, print_json, text

PAUSE_EPILOG = """\b
Examples:
  indexq pause index-repo
  indexq pause index-repo --json

\b
Workers start none of its jobs from their next look on, within a second; what runs goes on to its end. Jobs
are still accepted. It holds until `indexq resume`, whatever is restarted. Jobs that expire meanwhile are dead.

\b
Exit codes: 0 paused, also when it was before.
"""

RESUME_EPILOG = """\b
Examples:
  indexq resume index-repo
  indexq resume index-repo --json

\b
Exit codes: 0 not paused any more, also when it never was.
"""


@click.command(epilog=PAUSE_EPILOG)
@click.argument("queue", type=text)
@json_option
def pause(queue: str, as_json: bool) -> None:
    """Start no more jobs of QUEUE."""
    with connected() as broker:
        admin = Queues(broker)
        is_known = queue in {each.facts.name for each in admin.report()}
        is_new = admin.pause(queue)
    if as_json:
        print_json({"queue": queue, "paused": True, "changed": is_new})
    else:
        click.echo(f"{queue} is paused." if is_new else f"{queue} was paused before.")
    if not is_known:
        click.echo(f"indexq: no job and no worker has a queue {queue!r}; see them with: indexq queues", err=True)


@click.command(epilog=RESUME_EPILOG)
@click.argument("queue", type=text)
@json_option
def resume(queue: str, as_json: bool) -> None:
    """Start jobs of QUEUE again."""
    with connected() as broker:
        was_paused = Queues(broker).resume(queue)
    if as_json:
        print_json({"queue": queue, "paused": False, "changed": was_paused})
    else:
        click.echo(f"{queue} goes on." if was_paused else f"{queue} was not paused.")
