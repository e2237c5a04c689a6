"""``indexq schedule``: index a repository again and again."""

from __future__ import annotations

from contextlib import closing
from dataclasses import asdict
from datetime import datetime

import click

from indexing.jobs import add_repository
from leasequeue.admin import ScheduleFacts, Schedules
from leasequeue.admin.wording import short_time
from leasequeue.cron import CronError, next_tick

from .arguments import arguments
from .connected import connected
from .database import Database
from .failures import USAGE, CommandFailed
from .index import find_place
from .output import json_option, local_time, print_json, print_table, printable, text

EPILOG = """\b
Examples:
  indexq schedule add nightly '30 2 * * *' --time-zone Europe/Vienna -- index https://example.org/a/b.git
  indexq schedule list
  indexq schedule remove nightly

\b
Each tick is one job, whatever the number of workers; a worker sends it within a heartbeat. Ticks that were
missed, because no worker ran, are made up for by one job as soon as there is one.
"""

ADD_EPILOG = """\b
Examples:
  indexq schedule add nightly '30 2 * * *' -- index https://example.org/a/b.git
  indexq schedule add often '*/15 * * * MON-FRI' --time-zone Europe/Vienna -- index . --commit main

\b
CRON has five fields: minute, hour, day of the month, month, day of the week. Where the clock is put forward, a job
that would be due in the gap is due right behind it; where it is put back, it is due once. The same NAME again
replaces a schedule. Quote CRON: a shell expands *.

\b
Exit codes: 0 added or replaced; 2 CRON, the zone or the command behind -- cannot be read.
"""

LIST_EPILOG = """\b
Examples:
  indexq schedule list
  indexq schedule list --json

\b
Exit codes: 0, also when there is none.
"""

REMOVE_EPILOG = """\b
Examples:
  indexq schedule remove nightly
  indexq schedule remove nightly --json

\b
Jobs that were sent stay. Exit codes: 0 removed; 1 there is no such schedule.
"""


@click.group(epilog=EPILOG)
def schedule() -> None:
    """Send jobs periodically."""


@click.command("index", add_help_option=False)
@click.argument("path_or_url", type=text)
@click.option("--commit", type=text)
@click.option("--name", type=text)
def _index(path_or_url: str, commit: str | None, name: str | None) -> tuple[str, str | None, str | None]:
    return path_or_url, commit, name


@schedule.command(epilog=ADD_EPILOG)
@click.argument("name", type=text)
@click.argument("cron", type=text)
@click.argument("command", nargs=-1, required=True, type=text, metavar="-- index PATH_OR_URL [--commit REV]")
@click.option("--time-zone", type=text, default="UTC", show_default=True, help="Read CRON in this zone, an IANA name.")
@json_option
def add(name: str, cron: str, command: tuple[str, ...], time_zone: str, as_json: bool) -> None:
    """Index a repository at each tick of CRON."""
    place, commit, repository_name = _parse(command)
    try:
        next_tick(cron, time_zone, datetime.now().astimezone())
    except CronError as error:
        raise CommandFailed(str(error), USAGE) from None
    from actors import broker, index_on_schedule  # Here: importing it reads the settings.
    from broker import settings

    with closing(broker), Database(settings) as database:
        schedules = Schedules(broker)
        with database.transaction() as cursor:
            repository_id = add_repository(cursor, place, repository_name)
        message = index_on_schedule.message(repository_id=repository_id, commit_sha=commit)
        is_replaced = schedules.add(name, cron, message, time_zone=time_zone)
        (made,) = [each for each in schedules.all() if each.name == name]
    if as_json:
        print_json(asdict(made))
    else:
        told = "Replaced" if is_replaced else "Added"
        click.echo(f"{told} {name}: {printable(place)}, next at {local_time(made.next_at)}.")


def _parse(command: tuple[str, ...]) -> tuple[str, str | None, str | None]:
    verb, *rest = command
    if verb != "index":
        raise CommandFailed(f"expected `index PATH_OR_URL` behind --, got: {printable(verb)!r}", USAGE)
    try:
        with _index.make_context("index", list(rest)) as context:
            path_or_url, commit, name = _index.invoke(context)
    except click.UsageError as error:
        raise CommandFailed(
            f"expected `index PATH_OR_URL [--commit REV]` behind --: {error.format_message()}", USAGE
        ) from None
    return find_place(path_or_url), commit, name


@schedule.command("list", epilog=LIST_EPILOG)
@json_option
def list_schedules(as_json: bool) -> None:
    """Show the schedules, and when each is due next."""
    with connected() as broker:
        found = Schedules(broker).all()
        ((now,),) = broker.ask("now", {})
    if as_json:
        print_json({"schedules": [asdict(each) for each in found]})
    elif found:
        headings = ["Name", "Cron", "Zone", "Sends", "Next", "Last"]
        print_table(headings, [_line(each, now) for each in found], whole=["Name", "Cron"])
    else:
        click.echo("No schedule yet. Make one with: indexq schedule add", err=True)


def _line(facts: ScheduleFacts, now: datetime) -> list[str]:
    late = now - facts.next_at
    due = f"due since {short_time(late)}" if facts.next_at <= now else f"in {short_time(-late)}"
    last = "" if facts.last_at is None else f"{short_time(now - facts.last_at)} ago"
    sends = f"{facts.actor_name}({arguments(facts.args, facts.kwargs)})"
    return [facts.name, facts.cron, facts.time_zone, sends, due, last]


@schedule.command(epilog=REMOVE_EPILOG)
@click.argument("name", type=text)
@json_option
def remove(name: str, as_json: bool) -> None:
    """Send no more jobs of the schedule NAME."""
    with connected() as broker:
        if not Schedules(broker).remove(name):
            raise CommandFailed(f"expected the name of a schedule, got: {name!r}; see them with: indexq schedule list")
    if as_json:
        print_json({"name": name, "removed": True})
    else:
        click.echo(f"Removed {name}.")
