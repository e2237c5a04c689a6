"""``indexq migrate``: the tables of the queue and of the index."""

from __future__ import annotations

from pathlib import Path

import click

import indexing.migrations
from indexing.queries import SCHEMA
from leasequeue import migrations
from settings import check_connection, load_settings

from .output import json_option, print_json

EPILOG = """\b
Examples:
  indexq migrate
  indexq migrate --json
"""


@click.command(epilog=EPILOG)
@json_option
def migrate(as_json: bool) -> None:
    """Create the tables in SUPABASE_DB_URL, or bring them up to date.

    Safe to repeat, and while workers run. Two schemas are touched: that of the queue (QUEUE_SCHEMA) and `indexing`.
    """
    settings = load_settings()
    check_connection(settings.supabase_db_url)
    done = []
    wanted = {settings.queue_schema: migrations.DIRECTORY, SCHEMA: Path(indexing.migrations.__path__[0])}
    for schema, directory in wanted.items():
        run = migrations.migrate(settings.supabase_db_url, schema=schema, directory=directory)
        version = migrations.latest(directory)
        done.append({"schema": schema, "version": version, "run": [each.path.stem for each in run]})
        if not as_json:
            names = ", ".join(each.path.stem for each in run)
            click.echo(f"{schema}: " + (f"ran {names}" if run else f"up to date (version {version})"))
    if as_json:
        print_json({"schemas": done})
