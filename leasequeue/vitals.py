"""The pulse of each worker process of a machine, told without a database in a small file that its process keeps true.

Times are of the machine's monotonic clock, which all its processes share and nobody sets.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from .fact_files import FactFile, read_facts

#: Seconds without a beat after which a process is not at work: stopped by a signal, or starved. It beats once a second.
SILENT_AFTER = 5.0

_SUFFIX = ".pulse"


@dataclass(frozen=True, slots=True)
class LoopPulse:
    """One background loop at the moment of reading."""

    #: Seconds since its last sign of life: a round ended, well or with an error that it survived, or a call in it did.
    tick_seconds: float
    #: Seconds since its last round ended well.
    good_seconds: float


@dataclass(frozen=True, slots=True)
class Pulse:
    """One living worker process at the moment of reading."""

    worker_id: str
    pid: int
    #: Of dramatiq's master.
    parent_pid: int
    #: Seconds since its last beat.
    beat_seconds: float
    draining: bool
    #: Why it cannot go on, in words, when it has found that out itself.
    wedged: str | None
    threads: int
    live_threads: int
    #: Jobs that run now, and those of them that are past their time limit.
    running: int
    stuck_jobs: int
    loops: Mapping[str, LoopPulse]
    #: Whether it claims jobs; one that was switched off stays idle.
    claiming: bool = True
    #: Whether notifications tell it of new jobs; None: not known yet.
    notified: bool | None = None

    def trouble(self, stuck_after: float) -> str | None:
        """Why this process has to be replaced, in words; None when it has not.

        Parameters:
          stuck_after: seconds that a loop, or the process as a whole, may go without a sign of life.
        """
        if self.wedged is not None:
            return self.wedged
        if self.beat_seconds > stuck_after:
            return f"it has given no sign of life for {self.beat_seconds:.0f} s"
        for name, loop in self.loops.items():
            if loop.tick_seconds > stuck_after:
                return f"its loop {name} has been stuck for {loop.tick_seconds:.0f} s"
        return None

    def state(self, stuck_after: float) -> str:
        """One of ``wedged`` (to be replaced), ``silent`` (not seen for a moment), ``draining`` and ``working``."""
        if self.trouble(stuck_after) is not None:
            return "wedged"
        if self.beat_seconds > SILENT_AFTER:
            return "silent"
        return "draining" if self.draining else "working"


#: What a file tells as it is.
_TOLD = frozenset(each.name for each in fields(Pulse)) - {"beat_seconds", "loops"}


class PulseFile(FactFile):
    """The file of one process, written by that process.

    It tells the fields of :class:`Pulse`, with moments (monotonic seconds) in place of ages.
    """

    def __init__(self, directory: Path) -> None:
        super().__init__(directory, _SUFFIX)


def read_pulses(directory: Path, parent_pid: int | None = None) -> list[Pulse]:
    """The living worker processes that beat in a directory, oldest first; of one master only when it is named.

    Removes what dead ones left. An unreadable directory has none.
    """
    found = [_pulse(facts) for facts in read_facts(directory, _SUFFIX, now=time.time())]
    pulses = [each for each in found if parent_pid in (None, each[1].parent_pid)]
    return [pulse for _, pulse in sorted(pulses, key=lambda each: (each[0], each[1].pid))]


def _pulse(facts: dict[str, Any]) -> tuple[float, Pulse]:
    now = time.monotonic()
    loops = {name: LoopPulse(now - tick, now - good) for name, (tick, good) in facts.pop("loops").items()}
    started, beat = facts.pop("started"), facts.pop("beat")
    known = {key: value for key, value in facts.items() if key in _TOLD}  # another release may tell more
    return started, Pulse(beat_seconds=now - beat, loops=loops, **known)
