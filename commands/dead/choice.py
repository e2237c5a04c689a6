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


@dataclass(frozen=True, slots=True)
class Chosen:
    """All jobs that match: how many there are, and how many of them are to be changed."""

    wanted: DeadFilter
    matching: int
    total: int


def choice_options(command: Command) -> Command:
    """Adds what chooses jobs, given to the command as jobs, all_matching, limit and those of the filters: see Asked."""
    for decorate in (
        click.option("--limit", type=click.IntRange(1), help="So many at the most, those that died first."),
        filter_options,
        click.option("--all-matching", is_flag=True, help="All that the filters choose, instead of JOB."),
        click.argument("jobs", type=click.UUID, nargs=-1, metavar="[JOB]..."),
    ):
        command = decorate(command)
    return command


@dataclass(frozen=True, slots=True)
class Change:
    """What a command does to dead jobs, and how it speaks of that."""

    change: Callable[[list[str]], list[str]]
    #: As in ``Put back 3 dead jobs?``, and in ``Put back: 3 dead jobs.``
    doing: str
    did: str
    #: Of the count in JSON.
    key: str


@dataclass(frozen=True, slots=True)
class Asked:
    """What a command was called with: the parameters that its options have in common."""

    jobs: tuple[UUID, ...]
    all_matching: bool
    limit: int | None
    dry_run: bool
    yes: bool
    as_json: bool
    given: Given

    @classmethod
    def checked(cls, **options: Any) -> Asked:
        """From click's parameters. Raises CommandFailed unless it is clear which jobs are meant."""
        common = {each.name: options.pop(each.name) for each in fields(cls) if each.name != "given"}
        asked = cls(**common, given=options)
        if bool(asked.jobs) == asked.all_matching:
            got = "both" if asked.jobs else "neither"
            raise CommandFailed(f"expected the ids of dead jobs, or --all-matching with filters, got: {got}", USAGE)
        if asked.jobs and any_given(asked.given):
            raise CommandFailed("expected filters together with --all-matching only, got: filters and ids", USAGE)
        return asked

    def choose(self, broker: LeaseBroker, letters: DeadLetters, change: Change) -> Chosen | None:
        """Count what matches and ask whether it is meant.

        None: there is nothing more to do. Jobs that were named have been changed, or it was a dry run, and was shown.
        """
        if self.jobs:
            self._change_named(letters, change)
            return None
        wanted = letters.until_now(filter_of(broker, self.given))
        matching = letters.count(wanted)
        if self.dry_run:
            _show_dry_run(letters, wanted, matching, self.as_json)
            return None
        total = matching if self.limit is None else min(self.limit, matching)
        if total:
            confirm(f"{change.doing} {counted(total, 'dead job')}?", yes=self.yes)
        return Chosen(wanted, matching, total)

    def _change_named(self, letters: DeadLetters, change: Change) -> None:
        ids = [str(job) for job in self.jobs]
        changed = [each.message_id for each in letters.letters(ids)] if self.dry_run else change.change(ids)
        if self.as_json:
            count = 0 if self.dry_run else len(changed)
            print_json({"dry_run": self.dry_run, "matching": len(changed), change.key: count})
        else:
            what = counted(len(changed), "dead job")
            click.echo(f"It would be {what}." if self.dry_run else f"{change.did}: {what}.")
        _refuse_others(ids, changed, change.did.lower())


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
