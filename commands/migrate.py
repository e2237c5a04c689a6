"""``indexq migrate``: the tables of the queue and of the index."""

from __future__ import annotations

import logging

import click

from indexing.queries import MIGRATIONS, SCHEMA
from leasequeue import migrations, pooling
from leasequeue.queries import Queries
from settings import Settings, check_connection, load_settings

from .bulk import dry_run_option, yes_option
from .output import json_option, print_json
from .uninstall import uninstall

EPILOG = """\b
Examples:
  indexq migrate
  indexq migrate --json
  indexq migrate --uninstall --dry-run

\b
--uninstall says what it would remove, and refuses while jobs wait or run, while workers live, and when something of
others stands on these schemas. Stop first what sends jobs: a send() that finds no schema makes it again.
"""


@click.command(epilog=EPILOG)
@click.option("--uninstall", "is_uninstall", is_flag=True, help="Remove all schemas of ours and all in them, for good.")
@click.option("--lose-jobs", is_flag=True, help="With --uninstall: also while jobs wait or run, and workers live.")
@dry_run_option
@yes_option
@json_option
def migrate(is_uninstall: bool, lose_jobs: bool, dry_run: bool, yes: bool, as_json: bool) -> None:
    """Create the tables in SUPABASE_DB_URL, or bring them up to date.

    Safe to repeat, and while workers run. Two schemas are touched: that of the queue (QUEUE_SCHEMA) and `indexing`.
    SUPABASE_DB_DIRECT_URL, where it is set, is the way; it must lead to the same database.
    """
    if (lose_jobs or dry_run or yes) and not is_uninstall:
        raise click.UsageError("--lose-jobs, --dry-run and --yes are for --uninstall: expected it, too")
    settings = load_settings()
    url = _reachable_url(settings)
    if is_uninstall:
        uninstall(settings, url, lose_jobs=lose_jobs, dry_run=dry_run, yes=yes, as_json=as_json)
        return
    done = []
    wanted = {settings.queue_schema: migrations.DIRECTORY, SCHEMA: MIGRATIONS}
    for schema, directory in wanted.items():
        run = migrations.migrate(url, schema=schema, directory=directory)
        version = migrations.latest(directory)
        done.append({"schema": schema, "version": version, "run": [each.path.stem for each in run]})
        if not as_json:
            names = ", ".join(each.path.stem for each in run)
            click.echo(f"{schema}: " + (f"ran {names}" if run else f"up to date (version {version})"))
    if as_json:
        print_json({"schemas": done})


def _reachable_url(settings: Settings) -> str:
    """The URL for migrations. Raises when a URL that was given cannot be used, or both lead to different databases."""
    check_connection(settings.supabase_db_url)
    direct_url = settings.supabase_db_direct_url or None
    if direct_url is not None:
        check_connection(direct_url, variable="SUPABASE_DB_DIRECT_URL")
    queries = Queries(settings.queue_schema)
    return pooling.url_for_migrations(settings.supabase_db_url, direct_url, queries, logging.getLogger("indexq"))
