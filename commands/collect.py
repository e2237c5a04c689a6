"""``indexq collect``: free what no indexed commit refers to any more."""

from __future__ import annotations

from contextlib import closing

import click
import psycopg2

from indexing import upkeep
from leasequeue.connection import session_defaults, translate
from settings import load_settings

from .database import Database
from .output import json_option, print_json

EPILOG = """\b
Examples:
  indexq collect
  indexq collect --json

\b
Jobs do the same on their way, 5,000 contents a minute: this is for those who want the room now. It works in small
transactions beside running jobs, and leaves what a stopped job has parsed for two days, for its next run. Stopped
with Ctrl+C, what was removed is gone, and the same command goes on.

\b
Exit codes: 0 done, also when there was nothing; 130 interrupted.
"""


@click.command(epilog=EPILOG)
@json_option
def collect(as_json: bool) -> None:
    """Remove contents that no indexed commit refers to."""
    settings = load_settings()
    url = settings.supabase_db_url
    # Entered for what it does to every session of this process: it sees Ctrl+C, and a server that is silent.
    with Database(settings):
        try:
            with closing(psycopg2.connect(url, **session_defaults(url, "indexq command"))) as connection:
                removed = upkeep.collect(connection)
        except psycopg2.Error as error:
            raise translate(error) from None
    if as_json:
        print_json({"removed": removed})
    else:
        click.echo(f"Removed: {removed:,} contents.")
