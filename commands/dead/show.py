"""``indexq dead show``: everything that is kept of one dead job."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Any
from uuid import UUID

import click

from leasequeue.admin import Admin, DeadLetter, DeadLetters

from ..attempts import attempt_line
from ..connected import connected
from ..failures import CommandFailed
from ..output import json_option, local_time, print_details, print_json

EPILOG = """\b
Examples:
  indexq dead show 4f6c0a52-7d0e-4f0b-9a53-0f8a5d1b2c3d
  indexq dead show 4f6c0a52-7d0e-4f0b-9a53-0f8a5d1b2c3d --json

\b
Exit codes: 0 shown; 1 there is no such job, or it is not dead.
"""


@click.command(epilog=EPILOG)
@click.argument("job", type=click.UUID)
@json_option
def show(job: UUID, as_json: bool) -> None:
    """Show arguments, runs and the last error of one dead JOB."""
    with connected() as broker:
        letter = DeadLetters(broker).get(str(job))
        facts = None if letter is not None else Admin(broker).job(str(job))
    if letter is None:
        found = "nothing" if facts is None else f"one that is {facts.state}"
        raise CommandFailed(
            f"expected the id of a dead job, got: {job}, which is {found}; see: indexq dead list --jobs"
        )
    if as_json:
        print_json(asdict(letter))
    else:
        print_details([(name, value) for name, value in _details(letter) if value])


def _details(letter: DeadLetter) -> list[tuple[str, str]]:
    return [
        ("Job", letter.message_id),
        ("Queue", letter.queue_name),
        *_sent_with(letter.message),
        ("Reason", letter.reason),
        ("Cause", letter.cause),
        ("Died", local_time(letter.died_at)),
        ("Sent", local_time(letter.enqueued_at)),
        ("Sent first", local_time(letter.first_enqueued_at) if letter.redriven else ""),
        ("Redriven", str(letter.redriven or "")),
        ("Starts", f"{letter.starts} ({letter.errors} ended in an error, {letter.crashes} with their worker)"),
        ("Earlier", "\n".join(map(attempt_line, letter.attempts))),
        ("Error", letter.error or ""),
    ]


def _sent_with(message: Any) -> list[tuple[str, str]]:
    if not isinstance(message, dict) or not isinstance(message.get("kwargs"), dict):
        return [("Message", json.dumps(message))]  # whatever it is: nobody could read it
    args = message.get("args")
    positional = list(map(json.dumps, args)) if isinstance(args, list) else []
    named = [f"{name} = {json.dumps(value)}" for name, value in message["kwargs"].items()]
    return [("Actor", str(message.get("actor_name") or "")), ("Arguments", "\n".join(positional + named))]
