"""What commands that change many jobs have in common: count, ask, go in batches, and say how to go on when stopped."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable
from contextlib import nullcontext
from typing import Any, Final, TypeVar

import click
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from leasequeue import DatabaseUnavailable
from leasequeue.admin import Batch

from .failures import INTERRUPTED, UNAVAILABLE, USAGE, CommandFailed
from .output import console

#: Ids shown when some could not be changed; the others are a count.
SHOWN: Final = 5

Command = TypeVar("Command", bound=Callable[..., Any])


def dry_run_option(command: Command) -> Command:
    """Adds ``--dry-run``."""
    return click.option("--dry-run", is_flag=True, help="Show what it would be, and change nothing.")(command)


def yes_option(command: Command) -> Command:
    """Adds ``--yes``."""
    return click.option("--yes", is_flag=True, help="Do not ask first. For scripts.")(command)


def confirm(question: str, *, yes: bool) -> None:
    """Ask whether to do it. Raises CommandFailed when nobody can be asked, or the answer is no."""
    if yes:
        return
    if not sys.stdin.isatty():
        raise CommandFailed(f"{question} Nobody can be asked here; say --yes to do it, --dry-run to look first", USAGE)
    if not click.confirm(question, err=True):
        raise CommandFailed("nothing was changed")


def run_batches(
    batches: Iterable[Batch], total: int, doing: str, go_on: Callable[[int], str], *, already: int = 0
) -> int:
    """Do the batches, showing how far it is at a terminal. Returns how many jobs were changed.

    Parameters:
      total: jobs that it will be.
      doing: what is done, as in ``redriving``.
      go_on: the command that goes on behind so many jobs.
      already: jobs changed before.

    Raises:
      CommandFailed: Ctrl+C, or the database went away; it says how many jobs were changed, and ``go_on``.
    """
    target = console(stderr=True)
    is_watched = target.is_terminal and not target.is_dumb_terminal
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    bar = Progress(*columns, console=target) if is_watched else None
    changed = already
    try:
        with bar or nullcontext():
            task = bar.add_task(doing, total=total, completed=already) if bar else None
            for batch in batches:
                changed += len(batch.changed)
                if bar is not None and task is not None:
                    bar.advance(task, batch.asked)
    except KeyboardInterrupt:
        raise _stopped(f"interrupted {doing}", changed, total, go_on, INTERRUPTED) from None
    except DatabaseUnavailable as error:
        why = f"the database is not available ({' '.join(str(error).split())}); stopped {doing}"
        raise _stopped(why, changed, total, go_on, UNAVAILABLE) from None
    return changed


def _stopped(why: str, changed: int, total: int, go_on: Callable[[int], str], exit_code: int) -> CommandFailed:
    return CommandFailed(f"{why}: at least {changed:,} of {total:,} done\ngo on with: {go_on(changed)}", exit_code)


def counted(number: int, what: str) -> str:
    """``1 dead job``, ``1,000 dead jobs``."""
    return f"{number:,} {what}" + ("" if number == 1 else "s")


def some(ids: list[str]) -> str:
    """A few ids, and how many more there are."""
    more = len(ids) - SHOWN
    return ", ".join(ids[:SHOWN]) + (f" and {more:,} more" if more > 0 else "")
