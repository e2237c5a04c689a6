"""The options by which dead jobs are chosen, the same for every command that chooses some."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any, TypeVar

import click

from leasequeue import LeaseBroker
from leasequeue.admin import DeadFilter

from ..output import text
from ..times import moment, resolved

Command = TypeVar("Command", bound=Callable[..., Any])

_OPTIONS = (
    click.option("--queue", type=text, help="Of this queue."),
    click.option("--actor", type=text, help="Of this actor."),
    click.option("--reason", type=text, multiple=True, help="Given up for this reason. Several: any of them."),
    click.option("--cause", type=text, help="Died of this, as `indexq dead list` names it."),
    click.option("--since", type=moment, help="Died at this time or later, or at most so long ago: 15m, 2h, 3d."),
    click.option("--until", type=moment, help="Died at this time or earlier, or at least so long ago."),
    click.option("--error", type=text, help="With this text in the error or its traceback."),
)

#: What the options are called where a command takes them all.
Given = dict[str, Any]


def filter_options(command: Command) -> Command:
    """Adds the options, given to the command as queue, actor, reason, cause, since, until, error."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


def any_given(given: Given) -> bool:
    """Whether any of the options was used."""
    return any(given.values())


def filter_of(broker: LeaseBroker, given: Given) -> DeadFilter:
    """What the options ask for."""
    since: datetime | timedelta | None = given["since"]
    until: datetime | timedelta | None = given["until"]
    return DeadFilter(
        queue=given["queue"],
        actor=given["actor"],
        reasons=tuple(given["reason"]) or None,
        since=resolved(broker, since),
        until=resolved(broker, until),
        text=given["error"],
        cause=given["cause"],
    )
