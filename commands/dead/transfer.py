"""``indexq dead export`` and ``import``: dead jobs as lines of JSON, for safe keeping or for another database."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import IO, Any

import click

from leasequeue import MessageRefused
from leasequeue.admin import DeadLetters

from ..connected import connected
from ..failures import USAGE, CommandFailed
from ..output import json_option, print_json
from .filters import filter_of, filter_options

#: Lines that are stored by one statement.
LINES = 100

EXPORT_EPILOG = """\b
Examples:
  indexq dead export > dead.jsonl
  indexq dead export --cause 1f0c93a44be0d7a5 --output dead.jsonl
  indexq dead export --reason discarded | jq -r .message_id

\b
Nothing is changed. Exit codes: 0, also when nothing matches.
"""

IMPORT_EPILOG = """\b
Examples:
  indexq dead import dead.jsonl
  ssh other-host indexq dead export | indexq dead import - --json

\b
The jobs are dead again under their own ids, and their retention begins anew; `indexq dead retry` puts
them back to work. A job that is in the queue already is left as it is, so the command can be repeated.

\b
Exit codes: 0 imported; 2 a line is not one of an export: the hundreds of lines before it are stored.
"""


@click.command("export", epilog=EXPORT_EPILOG)
@filter_options
@click.option(
    "--output", type=click.File("w", encoding="utf-8", lazy=True), default="-", help="A file.  [default: stdout]"
)
def export_dead(output: IO[str], **given: Any) -> None:
    """Write dead jobs as JSON, one a line, oldest death first."""
    with connected() as broker:
        letters = DeadLetters(broker)
        for document in letters.export(filter_of(broker, given)):
            output.write(json.dumps(document) + "\n")


@click.command("import", epilog=IMPORT_EPILOG)
@click.argument("file", type=click.File("r", encoding="utf-8"))
@json_option
def import_dead(file: IO[str], as_json: bool) -> None:
    """Store dead jobs from FILE, as `indexq dead export` writes it; - is stdin."""
    read = stored = 0
    with connected() as broker:
        letters = DeadLetters(broker)
        for first, documents in _hundreds(file):
            try:
                stored += len(letters.restore(documents))
            except MessageRefused as error:
                raise CommandFailed(
                    f"expected dead jobs as `indexq dead export` writes them, got in lines {first} to "
                    f"{first + len(documents) - 1}: {error}",
                    USAGE,
                ) from None
            read += len(documents)
    if as_json:
        print_json({"read": read, "imported": stored, "already_there": read - stored})
    else:
        click.echo(f"{stored:,} of {read:,} dead jobs were imported; the others are there already.")


def _hundreds(file: IO[str]) -> Iterator[tuple[int, list[Any]]]:
    """The documents in lists that fit into a statement, each with the number of its first line."""
    first, documents = 1, []
    try:
        for number, line in enumerate(file, 1):
            if line.strip():
                documents.append(json.loads(line))
            if len(documents) == LINES:
                yield first, documents
                first, documents = number + 1, []
    except (ValueError, UnicodeDecodeError):
        raise CommandFailed(
            f"expected a JSON object in each line, got something else in line {first + len(documents)}", USAGE
        ) from None
    if documents:
        yield first, documents
