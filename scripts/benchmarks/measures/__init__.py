"""The questions. Each module answers one or two, as `Answer`s of a `Laboratory`."""

from __future__ import annotations

from collections.abc import Callable

from ..figures import Answer
from ..laboratory import Laboratory
from .backlog import backlog, delayed
from .drain import drain
from .enqueue import bulk, enqueue
from .idle import idle
from .latency import latency
from .neighbour import neighbour
from .snapshot import snapshot

Measure = Callable[[Laboratory], list[Answer]]

#: By the name that the command line knows, in the order of a run.
MEASURES: dict[str, Measure] = {
    measure.__name__: measure
    for measure in (enqueue, bulk, drain, latency, snapshot, idle, neighbour, delayed, backlog)
}
