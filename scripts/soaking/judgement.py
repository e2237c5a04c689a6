"""What the soak must show at its end: every job accounted for, every run after the first explained."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Any

Sql = Callable[..., list[tuple[Any, ...]]]

#: The commits of claims and completions do not wait for the disk: a server that is killed may lose its last ones.
LOST_BY_A_SERVER_CRASH = timedelta(seconds=2)


@dataclass
class Verdict:
    """The figures, and what is wrong: nothing, when the soak passed."""

    figures: dict[str, object] = field(default_factory=dict)
    wrong: list[str] = field(default_factory=list)
    #: The runs of the jobs in it.
    evidence: list[str] = field(default_factory=list)


def judge(
    sql: Sql,
    *,
    sent: set[str],
    killers: set[str],
    pushed: dict[str, int],
    server_kills: list[datetime],
) -> Verdict:
    """Compare what was sent with the queue's tables and the ledger.

    sent, killers: ids of all jobs, and of those that kill their worker. pushed: the newest push of each key.
    server_kills: when the server was killed.
    """
    verdict = Verdict()
    done = {row[0] for row in sql("SELECT message_id::text FROM dramatiq.done")}
    dead = {
        row[0]: row[1:]
        for row in sql("SELECT message_id::text, reason, error, crashes FROM dramatiq.queue WHERE state = 'rejected'")
    }
    held = [row[0] for row in sql("SELECT message_id::text FROM dramatiq.queue WHERE state = 'consumed'")]
    waiting = [row[0] for row in sql("SELECT message_id::text FROM dramatiq.queue WHERE state = 'queued'")]
    lost = sent - done - set(dead) - set(held) - set(waiting)
    _count(verdict, "jobs sent", len(sent))
    _count(verdict, "of these, jobs that kill their worker", len(killers))
    _count(verdict, "done", len(done & sent))
    for reason, number in sorted(Counter(reason for reason, _, _ in dead.values()).items()):
        _count(verdict, f"dead: {reason}", number)
    bystanders = sql(
        "SELECT count(*) FROM dramatiq.queue WHERE reason = 'crashed' AND message->>'actor_name' <> 'kill'"
    )
    # Three workers were killed while they ran it, which can happen to anybody.
    _count(verdict, "of the crashed, jobs that kill nobody", bystanders[0][0])
    _must_be_none(verdict, "lost", sorted(lost))
    _must_be_none(verdict, "stuck", held + waiting)
    _must_be_none(verdict, "both done and dead", sorted(done & set(dead)))
    _must_be_none(
        verdict, "dead without a reason", [job for job, (reason, error, _) in dead.items() if not reason or not error]
    )
    _must_be_none(
        verdict,
        "killers that are not dead after three crashes",
        [job for job in killers if dead.get(job, ("", "", 0))[0] != "crashed"],
    )
    _must_be_none(
        verdict,
        "over budget",
        [
            row[0]
            for row in sql(
                "SELECT message_id::text FROM dramatiq.done WHERE errors > 4 OR crashes > 2 "
                "UNION ALL SELECT message_id::text FROM dramatiq.queue WHERE errors > 4 OR crashes > 3"
            )
        ],
    )
    deaths: dict[str, str] = dict(sql("SELECT worker_id::text, death FROM ledger.death"))
    _explain(verdict, sql, server_kills, deaths)
    _check_keys(verdict, sql, pushed, server_kills, deaths)
    return verdict


def _check_keys(
    verdict: Verdict, sql: Sql, pushed: dict[str, int], server_kills: list[datetime], deaths: dict[str, str]
) -> None:
    """One run of a key at a time, and the newest push was run."""
    keys: dict[str, list[tuple[Any, ...]]] = {}
    rows = sql(
        "SELECT key, number, worker_id::text, started_at, ended_at FROM ledger.run WHERE key IS NOT NULL "
        "ORDER BY started_at"
    )
    for key, *run in rows:
        keys.setdefault(key, []).append(tuple(run))
    together = []
    for key, runs in keys.items():
        for (_, worker, began, ended), (_, _, started, _) in pairwise(runs):
            is_lost = worker in deaths or _claim_was_lost(began, server_kills)
            if ended is not None and started < ended and not is_lost:
                together.append(key)
    merged = sql("SELECT count(*) FROM dramatiq.done WHERE merged_into IS NOT NULL")[0][0]
    _count(verdict, "pushes that were run, by keys of which one runs at a time", len(rows))
    _count(verdict, "jobs that gave way to a newer one with their key", merged)
    _must_be_none(verdict, "two runs of a key at a time without a lost lease", together)
    _must_be_none(
        verdict,
        "keys whose newest push was not run",
        [key for key, number in pushed.items() if max((run[0] for run in keys.get(key, [])), default=0) < number],
    )


def _explain(verdict: Verdict, sql: Sql, server_kills: list[datetime], deaths: dict[str, str]) -> None:
    runs: dict[str, list[tuple[Any, ...]]] = {}
    rows = sql("SELECT message_id::text, worker_id::text, started_at, ended_at, outcome FROM ledger.run ORDER BY id")
    for message_id, *run in rows:
        runs.setdefault(message_id, []).append(tuple(run))
    why: Counter[str] = Counter()
    unexplained, overlaps = [], []
    for message_id, those in runs.items():
        for (worker, began, ended, outcome), (_, started, _, _) in pairwise(those):
            reason = _reason(worker, began, ended, outcome, server_kills, deaths)
            why[reason] += 1
            if reason == "unexplained":
                unexplained.append(message_id)
            is_lost = worker in deaths or _claim_was_lost(began, server_kills)
            if ended is not None and started < ended and not is_lost:
                overlaps.append(message_id)
    _count(verdict, "runs", len(rows))
    for reason, number in sorted(why.items()):
        _count(verdict, f"run again: {reason}", number)
    _must_be_none(verdict, "runs again that nothing explains", unexplained)
    _must_be_none(verdict, "overlaps without a lost lease", overlaps)
    for message_id in dict.fromkeys([*unexplained, *overlaps]):
        for worker, began, ended, outcome in runs[message_id]:
            verdict.evidence.append(f"{message_id} ran from {began} to {ended} in worker {worker}: {outcome}")


def _claim_was_lost(began: datetime, kills: list[datetime]) -> bool:
    return any(timedelta(0) <= kill - began <= LOST_BY_A_SERVER_CRASH for kill in kills)


def _reason(
    worker: str,
    began: datetime,
    ended: datetime | None,
    outcome: str | None,
    kills: list[datetime],
    deaths: dict[str, str],
) -> str:
    if outcome == "error":
        return "it had ended in an error"
    if outcome == "interrupted":
        return "a drain interrupted it"
    if worker in deaths:
        # Without the seconds that are in some.
        return f"its worker was taken for dead: {deaths[worker].partition(' for ')[0]}"
    if outcome is None:
        return "its process ended in it"
    assert ended is not None
    if any(ended <= kill + LOST_BY_A_SERVER_CRASH and kill <= ended + LOST_BY_A_SERVER_CRASH for kill in kills):
        return "a server crash lost its completion"
    if _claim_was_lost(began, kills):
        return "a server crash lost its claim"
    return "unexplained"


def _count(verdict: Verdict, what: str, number: int) -> None:
    verdict.figures[what] = number


def _must_be_none(verdict: Verdict, what: str, jobs: list[str]) -> None:
    verdict.figures[what] = len(jobs)
    if jobs:
        verdict.wrong.append(f"{what}: {', '.join(jobs[:5])}{' ...' if len(jobs) > 5 else ''}")
