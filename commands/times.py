"""Moments on the command line: a time, or how long ago."""

from __future__ import annotations

import re
from datetime import datetime, timedelta
from typing import Final

import click

from leasequeue import LeaseBroker

_AGE: Final = re.compile(r"(\d+(?:\.\d+)?)\s*([smhd])")
_UNITS: Final = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}


def moment(value: str) -> datetime | timedelta:
    """The type of options like ``--since``: ``15m``, ``2h``, ``3d`` ago, or a time in ISO form.

    A time without a zone is one of this machine's. The function's name is what --help shows.
    """
    given = value.strip()
    try:
        if age := _AGE.fullmatch(given):
            return timedelta(**{_UNITS[age[2]]: float(age[1])})
        return datetime.fromisoformat(given).astimezone()
    except (ValueError, OverflowError):
        raise click.BadParameter(
            f"expected a time like 2026-01-31T12:30, or an age like 15m, 2h or 3d, got: {given!r}"
        ) from None


def resolved(broker: LeaseBroker, given: datetime | timedelta | None) -> datetime | None:
    """The moment that was meant, by the database's clock."""
    if not isinstance(given, timedelta):
        return given
    ((now,),) = broker.ask("now", {})
    try:
        ago: datetime = now - given
    except OverflowError:
        return datetime.min.replace(tzinfo=now.tzinfo)
    return ago
