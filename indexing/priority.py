"""How a parser gives way to the programs that answer people, on a machine that both use."""

from __future__ import annotations

import errno
import os

#: How far parsers give way to other processes; 0 to 19 as `nice` counts.
NICENESS = 10

#: How far their session does: the least that the kernel knows. Linux shares a processor among sessions before it shares
#: it among the processes of one (sched(7), "The autogroup feature"): there a niceness alone says nothing to others.
SESSION_NICENESS = 19

_SESSION_FILE = "/proc/self/autogroup"


class Priority:
    """Of the calling process, which has a session of its own."""

    def __init__(self) -> None:
        os.nice(NICENESS)
        self._is_settled = False

    def settle(self) -> None:
        """Give way as a session too. To be called now and again: without root, one process in 0.1 s may do so."""
        if self._is_settled:
            return
        try:
            with open(_SESSION_FILE, "w") as file:  # noqa: PTH123 pathlib takes longer to load than this takes
                file.write(str(SESSION_NICENESS))
        except OSError as error:
            if error.errno == errno.EAGAIN:
                return
            # Not Linux, or a kernel that shares by something else, such as the groups of containers.
        self._is_settled = True
