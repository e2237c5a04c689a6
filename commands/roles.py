"""``indexq roles``: who may do what in the schemas of the queue and of the index."""

from __future__ import annotations

import click

from indexing.queries import SCHEMA
from leasequeue import access
from settings import check_connection, load_settings

EPILOG = """\b
Examples:
  indexq roles
  indexq roles > roles.sql
  indexq roles --apply

\b
The roles cannot log in. Who logs in is a member of one:
  CREATE ROLE worker_1 LOGIN PASSWORD '...' IN ROLE indexq_worker;
  CREATE ROLE api      LOGIN PASSWORD '...' IN ROLE indexq_producer;
  CREATE ROLE probe    LOGIN PASSWORD '...' IN ROLE indexq_observer;

\b
Exit codes: 0 printed or applied; 1 the role in SUPABASE_DB_URL may not give these rights, or nothing was migrated
yet; 2 the command line or the settings are wrong; 3 the database is not available.
"""


@click.command(epilog=EPILOG)
@click.option("--apply", "applies", is_flag=True, help="Run it in SUPABASE_DB_URL instead of printing it.")
@click.option("--prefix", default=access.PREFIX, show_default=True, help="What the names of the roles begin with.")
def roles(applies: bool, prefix: str) -> None:
    """Print the SQL that makes the roles worker, producer and observer and gives them their rights.

    It also closes both schemas to everybody else. Run it as their owner, and again after an upgrade. Nothing outside of
    the queue's schema (QUEUE_SCHEMA) and `indexing` is touched.
    """
    settings = load_settings()
    schemas = [settings.queue_schema, SCHEMA]
    try:
        script = access.script(schemas, prefix=prefix)
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint="--prefix") from None
    if not applies:
        click.echo(script)
        return
    check_connection(settings.supabase_db_url)
    access.apply(settings.supabase_db_url, schemas, prefix=prefix)
    click.echo(
        f"{prefix}_worker, {prefix}_producer and {prefix}_observer have their rights in {' and '.join(schemas)}."
    )
