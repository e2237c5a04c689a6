"""Which job of the drill meets with what. Jobs are numbered from 1."""

from __future__ import annotations

JOBS = 1_000

#: The mirror that these read from is down, for a while.
UNREACHABLE = range(1, 201)

#: What these read is no text, and never will be.
UNREADABLE = range(201, 301)

#: These kill their worker.
DEADLY = range(301, 306)
