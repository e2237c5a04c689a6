"""For how long a parser may be silent: longer while it works, since it may be the machine that leaves it no time."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Final

#: A silent parser that works is waited for so many times as long as one that does not: it gives way to all others, and
#: on a busy machine a second of work takes it minutes. The kernel ends what works for too long.
_STARVED_TIMES: Final = 10

_TICKS_PER_SECOND: Final = os.sysconf("SC_CLK_TCK")


class Patience:
    """With one process, which is asked for something again and again."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self.renew()

    def renew(self) -> None:
        """It has answered, or is asked for the first time."""
        self._since = time.monotonic()
        self._next = self._since + self._seconds / 2
        #: CPU seconds at the last look; None: there was none.
        self._worked: float | None = None

    def is_over(self, pid: int | None) -> bool:
        """Whether it has been silent for too long. To be asked several times a second. ``pid``: when it is known."""
        now = time.monotonic()
        if now < self._next:
            return False
        worked = 0.0 if pid is None else _cpu_seconds(pid)
        if worked == self._worked or now > self._since + self._seconds * _STARVED_TIMES:
            return True
        self._worked, self._next = worked, now + self._seconds / 2
        return False


def _cpu_seconds(pid: int) -> float:
    """What a process has worked; 0 where nobody tells, or when it is gone."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0.0
    return (int(fields[11]) + int(fields[12])) / _TICKS_PER_SECOND
