"""Does a worker slow down while somebody's old snapshot keeps vacuum away?"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator
from contextlib import closing, contextmanager
from itertools import pairwise

import psycopg2

from ..contenders import LEASEQUEUE, PGQUEUER_BATCH
from ..figures import Answer, Samples
from ..laboratory import Laboratory

#: Parts into which the jobs are divided.
PARTS = 6

#: Of the goal: the last part against the first.
LAST_TO_FIRST = 0.8


def snapshot(lab: Laboratory) -> list[Answer]:
    """The rate of each sixth of many jobs, with an idle REPEATABLE READ transaction open and without."""
    samples = Samples("jobs/s")
    contenders = [contender for contender in lab.contenders if contender in (LEASEQUEUE, PGQUEUER_BATCH)]
    for _ in range(lab.scale.snapshot_rounds):
        for contender in contenders:
            for held in (False, True):
                with lab.excusing(contender), lab.database(contender) as url:
                    lab.put(contender, url, lab.scale.behind_snapshot)
                    lab.settle()
                    with _held_snapshot(url if held else None):
                        _, progress = lab.drain(contender, url, lab.scale.behind_snapshot)
                for part, rate in enumerate(rates(progress, lab.scale.behind_snapshot), 1):
                    name = f"{contender.name}, snapshot held" if held else contender.name
                    samples.add(name, f"sixth {part}", rate)
    answer = Answer("snapshot", "Does the rate hold while a snapshot is held?", samples.figures(), picture="lines")
    for contender in contenders:
        held_name = f"{contender.name}, snapshot held"
        first, last = answer.median(held_name, "sixth 1"), answer.median(held_name, f"sixth {PARTS}")
        if contender is LEASEQUEUE:
            answer.compare("leasequeue behind a snapshot, last sixth / first", last, first, LAST_TO_FIRST)
        elif first and last:
            answer.notes.append(f"{held_name}: last sixth / first = {last / first:.2f}")
    return [answer]


@contextmanager
def _held_snapshot(url: str | None) -> Iterator[None]:
    if url is None:
        yield
        return
    with closing(psycopg2.connect(url)) as connection, connection.cursor() as cursor:
        connection.set_session(isolation_level="REPEATABLE READ")
        cursor.execute("SELECT count(*) FROM pg_class")
        yield
        connection.rollback()


def rates(progress: list[tuple[float, int]], jobs: int) -> list[float]:
    """Jobs a second of each part, from looks at (seconds, jobs run)."""
    counts = [count for _, count in progress]
    times = []
    for part in range(PARTS + 1):
        wanted = jobs * part / PARTS
        after = bisect_left(counts, wanted)
        if after == 0:
            times.append(progress[0][0])
            continue
        (time_before, count_before), (time_after, count_after) = progress[after - 1], progress[after]
        share = (wanted - count_before) / (count_after - count_before)
        times.append(time_before + share * (time_after - time_before))
    return [jobs / PARTS / (later - earlier) for earlier, later in pairwise(times)]
