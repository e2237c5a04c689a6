"""The life of jobs as a small model, held against the real statements on a real database, step by step.

Hypothesis draws the steps: sends, claims, ends, late ends of lost claims, deaths, expiry, time that passes. After each
one every row must be as the model says.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, ClassVar
from uuid import uuid4

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    initialize,
    invariant,
    multiple,
    rule,
    run_state_machine_as_test,
)

from leasequeue.connection import Connection
from leasequeue.floors import START
from leasequeue.queries import Queries

QUERIES = Queries("dramatiq")
CRASH_LIMIT = 3
ENDS = ("done", "retry", "again", "dead", "hand back", "put back")


@dataclass
class Job:
    """What the model knows of a job."""

    state: str = "queued"
    due: bool = True
    owner: tuple[str, int] | None = None
    begun: bool = True
    starts: int = 0
    errors: int = 0
    crashes: int = 0
    reason: str | None = None

    def release(self, state: str, reason: str | None = None) -> None:
        self.state, self.owner, self.reason = state, None, reason


@dataclass(frozen=True)
class Claim:
    """What a worker believes that it holds."""

    message_id: str
    worker_id: str
    claim_no: int

    @property
    def fence(self) -> dict[str, Any]:
        return {"message_id": self.message_id, "worker_id": self.worker_id, "claim_no": self.claim_no}

    @property
    def fences(self) -> dict[str, Any]:
        return {"message_ids": [self.message_id], "worker_ids": [self.worker_id], "claim_nos": [self.claim_no]}


class Life(RuleBasedStateMachine):
    connection: ClassVar[Connection]

    claims = Bundle("claims")

    def ask(self, statement: str, parameters: dict[str, Any] | None = None) -> list[tuple[Any, ...]]:
        return self.connection.execute(statement, parameters, timeout=10)

    @initialize()
    def begin(self) -> None:
        self.ask("TRUNCATE dramatiq.queue, dramatiq.done, dramatiq.worker")
        self.jobs: dict[str, Job] = {}
        #: Two at a time: the dead are replaced, so that claims meet each other.
        self.living = [self.boot(), self.boot()]
        self.dead_workers: set[str] = set()
        self.claim_no = 0

    def boot(self) -> str:
        worker_id = str(uuid4())
        parameters = {"worker_id": worker_id, "host": "h", "pid": 1, "threads": 1, "queues": ["q"], "backend_pid": 0}
        self.ask(QUERIES["register"], parameters)
        return worker_id

    @rule(delayed=st.booleans(), number=st.integers(1, 4))
    def send(self, delayed: bool, number: int) -> None:
        for _ in range(number):
            message_id = str(uuid4())
            delay = "1 h" if delayed else "0 s"
            self.ask(
                QUERIES["enqueue_or_replace"],
                {
                    "message_id": message_id,
                    "queue_name": "q",
                    "message": "{}",
                    "delay": delay,
                    "expire_after": "1 d",
                    "errors": 0,
                },
            )
            self.jobs[message_id] = Job(due=not delayed)

    @rule(target=claims, place=st.integers(0, 1), limit=st.integers(1, 3), of_the_dead=st.booleans())
    def claim(self, place: int, limit: int, of_the_dead: bool) -> Any:
        worker_id = min(self.dead_workers) if of_the_dead and self.dead_workers else self.living[place]
        self.claim_no += 1
        held = [job for job in self.jobs.values() if job.owner is not None and job.owner[0] == worker_id]
        holds_suspect = any(job.crashes for job in held)
        rows = self.ask(
            QUERIES["claim"],
            {
                "worker_id": worker_id,
                "claim_no": self.claim_no,
                "queues": ["q"],
                "floors": [START],
                "limit": limit,
                "suspects": 0 if holds_suspect else 1,
            },
        )
        ready = [job for job in self.jobs.values() if job.state == "queued" and job.due]
        innocent = sum(not job.crashes for job in ready)
        suspects = 0 if holds_suspect else min(1, len(ready) - innocent)
        expected = 0 if worker_id in self.dead_workers else min(limit, innocent + suspects)
        assert len(rows) == expected
        for message_id, *_ in rows:
            job = self.jobs[message_id]
            assert job.state == "queued"
            assert job.due
            job.state, job.owner = "consumed", (worker_id, self.claim_no)
            job.starts += 1
            job.begun = job.crashes == 0
        assert sum(self.jobs[row[0]].crashes > 0 for row in rows) <= suspects
        return multiple(*(Claim(row[0], worker_id, self.claim_no) for row in rows))

    def is_ours(self, claim: Claim) -> bool:
        job = self.jobs[claim.message_id]
        return job.state == "consumed" and job.owner == (claim.worker_id, claim.claim_no)

    @rule(claim=claims)
    def begin_run(self, claim: Claim) -> None:
        answered = bool(self.ask(QUERIES["begin_suspect"], claim.fence))
        assert answered == self.is_ours(claim)
        if answered:
            self.jobs[claim.message_id].begun = True

    @rule(claim=claims, end=st.sampled_from(ENDS), twice=st.booleans())
    def end(self, claim: Claim, end: str, twice: bool) -> None:
        was_ours = self.is_ours(claim)
        assert bool(self.write_end(claim, end)) == was_ours
        if was_ours:
            self.expect_end(self.jobs[claim.message_id], end)
        if twice:  # an answer was lost: the same end again finds nothing to do
            assert not self.write_end(claim, end)

    @rule(place=st.integers(0, 1), late=st.sampled_from(ENDS))
    def claim_again_and_end_the_first_claim(self, place: int, late: str) -> None:
        """A worker whose claim was taken back and who has the same job again: the numbers tell the two apart."""
        for claim in self.claim(place, 1, of_the_dead=False).values:
            self.end(claim, "hand back", twice=False)
            self.claim(place, 3, of_the_dead=False)
            self.end(claim, late, twice=False)

    def write_end(self, claim: Claim, end: str) -> list[tuple[Any, ...]]:
        if end == "done":
            return self.ask(QUERIES["finish_done"], {**claim.fences, "results": None, "ttls": None, "keep": 60})
        if end == "hand back":
            return self.ask(QUERIES["hand_back"], claim.fences)
        if end == "put back":
            return self.ask(QUERIES["put_back"], {**claim.fence, "error": "e", "window": 600})
        again = {**claim.fence, "delay": 0, "message": None, "error": "e", "worker": "w"}
        if end == "retry":
            return self.ask(QUERIES["finish_retry"], again)
        if end == "again":
            return self.ask(QUERIES["finish_again"], again)
        dead = {
            **claim.fence,
            "reason": "permanent",
            "error": "e",
            "errors": 1,
            "result": None,
            "ttl": None,
            "worker": "w",
        }
        return self.ask(QUERIES["finish_dead"], dead)

    def expect_end(self, job: Job, end: str) -> None:
        job.release({"done": "done", "dead": "rejected"}.get(end, "queued"), "permanent" if end == "dead" else None)
        job.errors += end in ("retry", "dead")
        job.starts -= end in ("hand back", "put back")
        job.due = end != "put back"

    @rule(place=st.integers(0, 1))
    def die(self, place: int) -> None:
        worker_id, self.living[place] = self.living[place], self.boot()
        self.ask("UPDATE dramatiq.worker SET dead_at = now() WHERE worker_id = %(it)s", {"it": worker_id})
        self.dead_workers.add(worker_id)

    @rule(place=st.integers(0, 1), begins=st.booleans())
    def run_and_die(self, place: int, begins: bool) -> None:
        """What a job that kills its worker does, again and again."""
        for claim in self.claim(place, 1, of_the_dead=False).values:
            if begins:
                self.begin_run(claim)
        self.die(place)
        self.rescue()

    @rule()
    def rescue(self) -> None:
        dead = sorted(self.dead_workers)
        parameters = {"dead": dead, "workers": dead, "deaths": dead, "crash_limit": CRASH_LIMIT, "limit": 1000}
        rescued = self.ask(QUERIES["rescue"], {**parameters, "keyed": False})
        expected = {
            message_id: job
            for message_id, job in self.jobs.items()
            if job.state == "consumed" and job.owner is not None and job.owner[0] in self.dead_workers
        }
        assert {row[0] for row in rescued} == set(expected)
        for job in expected.values():
            job.crashes += job.begun
            over = job.crashes >= CRASH_LIMIT
            job.release("rejected" if over else "queued", "crashed" if over else None)

    @rule()
    def time_passes(self) -> None:
        self.ask("UPDATE dramatiq.queue SET available_at = now() - interval '1 s' WHERE state = 'queued'")
        for job in self.jobs.values():
            job.due = True

    @rule(data=st.data())
    def expire(self, data: st.DataObject) -> None:
        if not self.jobs:
            return
        chosen = data.draw(st.sets(st.sampled_from(sorted(self.jobs)), max_size=3))
        self.ask(
            "UPDATE dramatiq.queue SET expires_at = now() - interval '1 s' WHERE message_id = ANY (%(ids)s::uuid[])",
            {"ids": sorted(chosen)},
        )
        expired = {row[0] for row in self.ask(QUERIES["expire"], {"queues": ["q"], "limit": 1000})}
        assert expired == {m for m in chosen if self.jobs[m].state == "queued" and self.jobs[m].due}
        for message_id in expired:
            self.jobs[message_id].release("rejected", "expired")
        self.ask("UPDATE dramatiq.queue SET expires_at = now() + interval '1 d'")

    @invariant()
    def every_row_is_as_the_model_says(self) -> None:
        if not hasattr(self, "jobs"):
            return
        rows = self.ask(
            "SELECT message_id::text, state::text, starts, errors, crashes, reason, worker_id::text, claim_no "
            "FROM dramatiq.queue UNION ALL "
            "SELECT message_id::text, 'done', starts, errors, crashes, NULL, NULL, NULL FROM dramatiq.done"
        )
        found = {row[0]: row[1:] for row in rows}
        assert len(found) == len(rows), "a job is in two places"
        assert found == {
            message_id: (job.state, job.starts, job.errors, job.crashes, job.reason, *(job.owner or (None, None)))
            for message_id, job in self.jobs.items()
        }


@pytest.fixture
def connection(database: str) -> Iterator[Connection]:
    connection = Connection(database, "test model")
    yield connection
    connection.close()


def test_every_history_of_sends_claims_ends_and_deaths_leaves_the_rows_that_the_model_has(
    connection: Connection,
) -> None:
    Life.connection = connection
    run_state_machine_as_test(
        Life,
        settings=settings(
            max_examples=40,
            stateful_step_count=40,
            deadline=None,
            derandomize=True,
            suppress_health_check=[HealthCheck.too_slow],
        ),
    )
