"""``indexq``: the group, and the one place where failures become exit codes."""

from __future__ import annotations

import importlib
from typing import Any

import click

#: Where each command is. Loaded when it is called for; ``indexq --help`` loads all, and none of them reads a setting.
COMMANDS = {
    "index": "commands.index",
    "status": "commands.status",
    "symbols": "commands.symbols",
    "outline": "commands.outline",
    "dependents": "commands.dependents",
    "queues": "commands.queues",
    "jobs": "commands.jobs",
    "workers": "commands.workers",
    "dead": "commands.dead",
    "cancel": "commands.cancel",
    "pause": "commands.pause",
    "resume": "commands.pause",
    "purge": "commands.purge",
    "schedule": "commands.schedule",
    "collect": "commands.collect",
    "doctor": "commands.doctor",
    "migrate": "commands.migrate",
    "roles": "commands.roles",
}

EPILOG = """\b
Examples:
  indexq migrate
  indexq index . --wait
  indexq index https://example.org/team/project.git --commit v1.2
  indexq status
  indexq symbols LeaseBroker
  indexq queues
  indexq dead list

\b
Exit codes: 0 done, 1 it failed or was not found, 2 the command line or the settings are wrong,
3 the database is not available, 130 interrupted.

The database is the one in SUPABASE_DB_URL, from the environment or from .env in the working directory.
"""


class Commands(click.Group):
    """Loads commands late, and turns what they are expected to raise into one line and an exit code."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        module = COMMANDS.get(cmd_name)
        if module is None:
            return None
        command: click.Command = getattr(importlib.import_module(module), cmd_name)
        return command

    def invoke(self, ctx: click.Context) -> Any:
        # Late, too: they bring the database driver along.
        from leasequeue import DatabaseUnavailable, QueueError
        from settings import SettingsError

        from .failures import INTERRUPTED, CommandFailed, explain

        try:
            return super().invoke(ctx)
        except CommandFailed as error:
            failure = error
        except (SettingsError, DatabaseUnavailable, QueueError) as error:
            failure = explain(error)
        except KeyboardInterrupt:
            failure = CommandFailed("interrupted", INTERRUPTED)
        for line in str(failure).splitlines():
            click.echo(f"indexq: {line}", err=True)
        ctx.exit(failure.exit_code)


@click.group(cls=Commands, epilog=EPILOG, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="indexq", prog_name="indexq", message="%(prog)s %(version)s")
def main() -> None:
    """Index git repositories in the background, on nothing but Postgres."""
