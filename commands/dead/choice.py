"""Which dead jobs a command is to change: those named by their ids, or all that match."""

from __future__ import annotations

import shlex
from collections.abc import Callable
from dataclasses import dataclass, fields
from datetime import datetime
from typing import Any, TypeVar
from uuid import UUID

import click

from leasequeue import LeaseBroker
from leasequeue.admin import DeadFilter, DeadLetters

from ..bulk import confirm, counted, some
from ..failures import USAGE, CommandFailed
from ..output import print_json, print_table
from .filters import Given, any_given, filter_of, filter_options

Command = TypeVar("Command", bound=Callable[..., Any])

#: The options in which they are given again.
_OPTIONS = {"queue": "--queue", "actor": "--actor", "text": "--error", "cause": "--cause"}


def check_choice(jobs: tuple[UUID, ...], all_matching: bool, given: Given) -> None:
    """Raises CommandFailed unless it is clear which jobs are meant."""
    if bool(jobs) == all_matching:
        got = "both" if jobs else "neither"
        raise CommandFailed(f"expected the ids of dead jobs, or --all-matching with filters, got: {got}", USAGE)
    if jobs and any_given(given):
        raise CommandFailed("expected filters together with --all-matching only, got: filters and ids", USAGE)


@dataclass(frozen=True, slots=True)
class Chosen:
    """All jobs that match: how many there are, and how many of them are to be changed."""

    wanted: DeadFilter
    matching: int
    total: int


def choice_options(command: Command) -> Command:
    """Adds what chooses jobs, given to the command as jobs, all_matching, limit and those of the filters."""
    for decorate in (
        click.option("--limit", type=click.IntRange(1), help="So many at the most, those that died first."),
        filter_options,
        click.option("--all-matching", is_flag=True, help="All that the filters choose, instead of JOB."),
        click.argument("jobs", type=click.UUID, nargs=-1, metavar="[JOB]..."),
    ):
        command = decorate(command)
    return command


def change_named(
    letters: DeadLetters,
    jobs: tuple[UUID, ...],
    change: Callable[[list[str]], list[str]],
    said: str,
    key: str,
    *,
    dry_run: bool,
    as_json: bool,
) -> None:
    """Change the jobs that are named, and say so: ``said`` as in ``Put back``, ``key`` for their count in JSON."""
    ids = [str(job) for job in jobs]
    changed = [letter.message_id for letter in letters.letters(ids)] if dry_run else change(ids)
    if as_json:
        print_json({"dry_run": dry_run, "matching": len(changed), key: 0 if dry_run else len(changed)})
    else:
        what = counted(len(changed), "dead job")
        click.echo(f"It would be {what}." if dry_run else f"{said}: {what}.")
    _refuse_others(ids, changed, said.lower())


def choose_matching(
    broker: LeaseBroker,
    letters: DeadLetters,
    given: Given,
    doing: str,
    *,
    limit: int | None,
    dry_run: bool,
    yes: bool,
    as_json: bool,
) -> Chosen | None:
    """Count what matches and ask whether it is meant. None: it was a dry run, and has been shown."""
    wanted = letters.until_now(filter_of(broker, given))
    matching = letters.count(wanted)
    if dry_run:
        _show_dry_run(letters, wanted, matching, as_json)
        return None
    total = matching if limit is None else min(limit, matching)
    if total:
        confirm(f"{doing} {counted(total, 'dead job')}?", yes=yes)
    return Chosen(wanted, matching, total)


def _show_dry_run(letters: DeadLetters, wanted: DeadFilter, total: int, as_json: bool) -> None:
    """What would be changed: the causes with their counts, and how many there are in all."""
    causes = letters.causes(wanted)
    if as_json:
        document = [{"cause": each.cause, "reason": each.reason, "count": each.count} for each in causes]
        print_json({"dry_run": True, "matching": total, "causes": document})
        return
    if causes:
        rows = [[each.cause, f"{each.count:,}", each.reason, each.queue_name, each.error or ""] for each in causes]
        print_table(["Cause", "Dead", "Reason", "Queue", "Newest error"], rows, whole=["Cause"])
    click.echo(f"Matching: {counted(total, 'dead job')}. Nothing was changed.")


def again(command: str, wanted: DeadFilter, limit: int | None, rate: float | None = None) -> Callable[[int], str]:
    """Makes the command line that goes on behind so many jobs, and leaves alone what died since."""
    words = ["indexq", "dead", command, "--all-matching"]
    for each in fields(wanted):
        value = getattr(wanted, each.name)
        if each.name == "reasons":
            for reason in value or ():
                words += ["--reason", reason]
        elif isinstance(value, datetime):
            words += [f"--{each.name}", value.isoformat()]
        elif value is not None:
            words += [_OPTIONS[each.name], value]
    if rate is not None:
        words += ["--rate", f"{rate:g}"]

    def behind(done: int) -> str:
        return shlex.join(words if limit is None else [*words, "--limit", str(limit - done)])

    return behind


def _refuse_others(asked: list[str], changed: list[str], what: str) -> None:
    """Raises CommandFailed when some of the ids were not changed."""
    if others := sorted(set(asked) - set(changed)):
        raise CommandFailed(
            f"expected ids of dead jobs, {what} {len(changed):,}, but these are not dead: {some(others)}"
        )
