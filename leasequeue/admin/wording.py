"""How the answers are put into words, for all who tell people of them."""

from __future__ import annotations

from datetime import timedelta


def short_time(span: timedelta | float) -> str:
    """A length of time, or seconds, in one or two units: ``0.4 s``, ``3 min 20 s``, ``5 h 3 min``, ``12 d 4 h``."""
    seconds = max(0.0, span.total_seconds() if isinstance(span, timedelta) else span)
    if seconds < 9.95:  # what is rounded to 10.0 is not below it
        return f"{seconds:.1f} s"
    minutes, whole = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    days, hours = divmod(hours, 24)
    if days:
        return f"{days} d {hours} h"
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min {whole} s" if minutes else f"{whole} s"
