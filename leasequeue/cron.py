"""When a periodic job is due: five cron fields, read in a time zone.

Where the clock is put forward, what would have been in the gap is due right behind it; where it is put back, a job of a
certain hour is due once, and one of every hour or minute goes on without a break.
"""

from __future__ import annotations

from datetime import UTC, datetime
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from cronsim import CronSim, CronSimError

#: Ticks that are counted before counting is given up: a figure for a log line.
COUNTED = 1_000


class CronError(ValueError):
    """An expression or a zone that cannot be read, or that never comes true."""


def zone_of(name: str) -> ZoneInfo:
    """A time zone by its IANA name, such as Europe/Vienna."""
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise CronError(f"expected a time zone by its IANA name, such as UTC or Europe/Vienna, got: {name!r}") from None


def next_tick(cron: str, time_zone: str, after: datetime) -> datetime:
    """The first moment behind ``after`` at which it is due, in UTC.

    Parameters:
      cron: minute, hour, day of the month, month, day of the week.
      after: with a time zone.

    Raises:
      CronError: it cannot be read, or is never due.
    """
    if len(cron.split()) != 5:
        raise _refused(cron, f"{len(cron.split())} fields")
    try:
        return next(CronSim(cron, after.astimezone(zone_of(time_zone)))).astimezone(UTC)
    except CronSimError as error:
        raise _refused(cron, str(error).lower()) from None
    except StopIteration:
        raise _refused(cron, "a day that never comes") from None


def ticks_between(cron: str, time_zone: str, first: datetime, last: datetime) -> int:
    """How many ticks there are from ``first``, which is one, to ``last``. Stops at :data:`COUNTED`."""
    count, tick = 1, first
    while count < COUNTED and (tick := next_tick(cron, time_zone, tick)) <= last:
        count += 1
    return count


def _refused(cron: str, got: str) -> CronError:
    return CronError(
        f"expected five cron fields (minute hour day month weekday), such as '30 2 * * *' or '*/15 * * * MON-FRI', "
        f"got: {cron!r} ({got})"
    )
