"""What must hold when the dust has settled: the invariants, asked from the queue's tables and the actors' ledger."""

from __future__ import annotations

from collections.abc import Callable

from sql_access import Sql

RUNNING = "SELECT count(*) FROM ledger.run WHERE ended_at IS NULL"

DONE = "SELECT count(*) FROM dramatiq.done"

#: Two runs of one job at the same time. A run whose end is unknown ended with its process.
OVERLAPS = """
SELECT a.job, a.pid, b.pid FROM ledger.run AS a JOIN ledger.run AS b USING (job)
 WHERE a.id < b.id AND b.started_at < a.ended_at AND a.started_at < coalesce(b.ended_at, b.started_at)
"""


def has(sql: Sql, statement: str, number: int) -> Callable[[], bool]:
    """A fact to wait for: a statement that answers with this number."""
    return lambda: sql(statement) == [(number,)]


def check_invariants(sql: Sql, *, sent: int, retries: int = 3, crash_limit: int = 3, overlaps: int = 0) -> None:
    """No loss, no phantom, budgets kept, and no two runs of one job at a time but those that the test accounts for.

    sent: how many jobs were sent; all of them must be done, dead with a reason, or waiting. overlaps: pairs of runs at
    the same time that the test brought about by taking a worker out of action.
    """
    ((waiting, dead, running, unexplained),) = sql(
        "SELECT count(*) FILTER (WHERE state = 'queued'), count(*) FILTER (WHERE state = 'rejected'), "
        "count(*) FILTER (WHERE state = 'consumed'), count(*) FILTER (WHERE state = 'rejected' AND error IS NULL) "
        "FROM dramatiq.queue"
    )
    ((done,),) = sql(DONE)
    assert running == 0, "a job is held by somebody"  # I4
    assert done + dead + waiting == sent, "a job is lost, or was made twice"  # I1
    assert unexplained == 0, "a job is dead without a reason in words"
    too_many = (
        "SELECT count(*) FROM (SELECT errors, crashes FROM dramatiq.done UNION ALL "
        "SELECT errors, crashes FROM dramatiq.queue) AS job WHERE errors > %s OR crashes > %s"
    )
    assert sql(too_many, retries + 1, crash_limit) == [(0,)], "a budget was overdrawn"  # I3
    assert len(sql(OVERLAPS)) == overlaps, "a job ran twice at the same time"  # I2
