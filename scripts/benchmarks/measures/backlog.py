"""What does a claim cost, and how large is a worker, by the number of jobs that wait?"""

from __future__ import annotations

import statistics
import subprocess
import time
import uuid
from dataclasses import dataclass
from typing import Any

from leasequeue.connection import Connection
from leasequeue.queries import Queries

from ..contenders import LEASEQUEUE
from ..figures import Answer, Samples
from ..laboratory import Laboratory
from ..same_statement import QUEUE, SCHEMA, stored_message

#: A queue with few jobs, beside the one in which they pile up.
OTHER = "beside"
OTHER_WAITING = 5_000

#: Where a job is claimed while jobs pile up, and from which queue that is.
PLACES = {"claimed where they wait": QUEUE, "claimed from another queue": OTHER}

#: Of the goals: a claim at the largest backlog against the smallest, and pages that it touches.
COST_GROWTH = 1.2
BUFFERS = 50

#: Of the goals: what a worker may grow (MB).
GROWTH_MB = 10.0

#: Seconds that a job takes while memory is looked at.
SLEEP_SECONDS = 600.0

#: Jobs that the worker runs at once.
THREADS = 8

#: Seconds for a statement that makes millions of jobs.
FILL_SECONDS = 600.0

#: Plans looked at for each figure.
PLANS = 5

#: One microsecond apart, as a bulk send stores them.
FILL = f"""
INSERT INTO {SCHEMA}.queue (message_id, queue_name, state, message, available_at, expires_at)
SELECT gen_random_uuid(), %(queue_name)s, 'queued', %(message)s::jsonb,
       now() + %(delay)s * interval '1 second' - (%(count)s - place) * interval '1 microsecond',
       now() + interval '1 day'
  FROM generate_series(1, %(count)s) AS place
"""  # noqa: S608 - the schema is our own constant

#: A claim is only answered to a worker that is known.
REGISTER = f"""
INSERT INTO {SCHEMA}.worker (worker_id, host, pid, threads, queues) VALUES (%(worker_id)s, 'bench', 0, 1, %(queues)s)
"""  # noqa: S608


def backlog(lab: Laboratory) -> list[Answer]:
    """One database whose backlog grows: at each step claims are timed and explained, and a worker is weighed."""
    times, buffers, memory = Samples("ms"), Samples("pages"), Samples("MB")
    offences: set[str] = set()
    with lab.database() as url:
        # Nobody looks at the table for statistics: a queue's are wrong by the time they are used.
        lab.query(url, f"ALTER TABLE {SCHEMA}.queue SET (autovacuum_enabled = off)")
        memory.add(LEASEQUEUE.name, "nothing", _worker_megabytes(lab, url, running=0))
        waiting = 0
        for step in lab.scale.backlogs:
            lab.say(f"{step:,} waiting")
            with Claims(url) as claims:
                claims.fill(QUEUE, step - waiting)
                if not waiting:
                    claims.fill(OTHER, OTHER_WAITING)
                lab.settle()
                for name, queue_name in PLACES.items():
                    for _ in range(lab.scale.rounds):
                        times.add(
                            name, f"{step:,}", claims.milliseconds(queue_name, lab.scale.claims // lab.scale.rounds)
                        )
                    plan = claims.plan(queue_name)
                    buffers.add(name, f"{step:,}", plan.buffers)
                    offences |= plan.offences
            waiting = step
            if step in lab.scale.memory_at:
                memory.add(LEASEQUEUE.name, f"{step:,} waiting", _worker_megabytes(lab, url, running=THREADS))
    return [_cost(lab, times, buffers, offences), _weight("memory", "waiting", memory)]


def delayed(lab: Laboratory) -> list[Answer]:
    """A worker's memory with many jobs that are not due yet."""
    memory = Samples("MB")
    with lab.database() as url:
        memory.add(LEASEQUEUE.name, "nothing", _worker_megabytes(lab, url, running=0))
        with Claims(url) as claims:
            claims.fill(QUEUE, lab.scale.delayed, delay=86_400)
        memory.add(LEASEQUEUE.name, f"{lab.scale.delayed:,} delayed", _worker_megabytes(lab, url, running=0))
    return [_weight("memory-delayed", "delayed", memory)]


def _cost(lab: Laboratory, times: Samples, buffers: Samples, offences: set[str]) -> Answer:
    answer = Answer("claim", "What does a claim of one job cost by the backlog?", times.figures(), picture="lines")
    least, most = (f"{step:,}" for step in (lab.scale.backlogs[0], lab.scale.backlogs[-1]))
    for name in PLACES:
        what = f"{name}: {most} waiting / {least}"
        answer.compare(what, answer.median(name, most), answer.median(name, least), COST_GROWTH, "at most")
    pages = buffers.figures()
    answer.figures += pages
    answer.expect("pages of a claim, the most", max(figure.high for figure in pages), BUFFERS, "at most")
    answer.expect("sequential scans and sorts in its plans", len(offences), 0, "at most")
    answer.notes += sorted(offences)
    return answer


def _weight(name: str, what: str, memory: Samples) -> Answer:
    answer = Answer(name, f"How much memory does a worker take while jobs are {what}?", memory.figures())
    empty, *others = answer.figures
    for figure in others:
        answer.expect(f"growth with {figure.setting}, MB", figure.median - empty.median, GROWTH_MB, "at most")
    return answer


def _worker_megabytes(lab: Laboratory, url: str, running: int) -> float:
    """The memory of a fresh worker process, once it runs so many jobs; they are given back afterwards."""
    tally = lab.tally()
    with lab.start(LEASEQUEUE, "work", url, threads=THREADS, sleep=SLEEP_SECONDS, tally=lab.tally_file) as worker:
        worker.wait_ready().ask("go")
        lab.wait_for(tally, running)
        time.sleep(lab.scale.calm_seconds)
        # Asked of ps: the system's own peak counts the process that started it as well.
        said = subprocess.run(["ps", "-o", "rss=", "-p", str(worker.pid)], capture_output=True, text=True, check=True)
    lab.query(
        url,
        f"UPDATE {SCHEMA}.queue SET state = 'queued', worker_id = NULL, claim_no = NULL WHERE state = 'consumed'",  # noqa: S608
    )
    return int(said.stdout) / 1024


@dataclass(frozen=True)
class Plan:
    """How Postgres ran a claim."""

    buffers: float
    offences: set[str]


class Claims:
    """Claims of one job on a session like the worker's own, by a worker that exists only as a row."""

    def __init__(self, url: str) -> None:
        self._queries = Queries(SCHEMA)
        self._connection = Connection(url, "bench claims")
        self._worker_id = str(uuid.uuid4())
        self._claim_no = 0
        self._execute(REGISTER, {"worker_id": self._worker_id, "queues": [QUEUE, OTHER]})

    def __enter__(self) -> Claims:
        return self

    def __exit__(self, *_: object) -> None:
        self._connection.close()

    def fill(self, queue_name: str, count: int, delay: float = 0.0) -> None:
        """Make jobs."""
        parameters = {"queue_name": queue_name, "message": stored_message(), "count": count, "delay": delay}
        self._execute(FILL, parameters)

    def milliseconds(self, queue_name: str, claims: int) -> float:
        """The median time of so many claims of one job."""
        samples = []
        floor = float("-inf")
        for _ in range(claims):
            parameters = self._parameters(queue_name, floor)
            started = time.perf_counter()
            rows = self._connection.execute(self._queries["claim"], parameters, timeout=10.0)
            samples.append(time.perf_counter() - started)
            if len(rows) != 1:
                raise RuntimeError(f"expected a claim of one job from {queue_name}, got: {len(rows)}")
            floor = rows[0][-1] - 0.001  # a worker too goes on where it was
        return 1000 * statistics.median(samples)

    def plan(self, queue_name: str) -> Plan:
        """How a claim from the very start of the queue is run; nothing is claimed."""
        *settings, claim = (part.strip() for part in self._queries["claim"].split(";"))
        explained = f"EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) {claim}"
        pages: list[int] = []
        offences: set[str] = set()
        for _ in range(PLANS):
            parameters = self._parameters(queue_name, float("-inf"))
            for statement in ("BEGIN", *settings):
                self._execute(statement)
            ((plan,),) = self._execute(explained, parameters)
            self._execute("ROLLBACK")
            root = plan[0]["Plan"]
            pages.append(root["Shared Hit Blocks"] + root["Shared Read Blocks"])
            offences |= _offences(root)
        return Plan(statistics.median(pages), offences)

    def _parameters(self, queue_name: str, floor: float) -> dict[str, Any]:
        self._claim_no += 1
        return {
            "worker_id": self._worker_id,
            "claim_no": self._claim_no,
            "queues": [queue_name],
            "floors": [floor],
            "suspects": 1,
            "limit": 1,
        }

    def _execute(self, statement: str, parameters: dict[str, Any] | None = None) -> list[tuple[Any, ...]]:
        return self._connection.execute(statement, parameters, timeout=FILL_SECONDS)


def _offences(node: dict[str, Any]) -> set[str]:
    """Steps of a plan whose cost grows with the table."""
    found = {f"{node['Node Type']} on {node.get('Relation Name', '?')}"} if _grows(node) else set()
    for child in node.get("Plans", []):
        found |= _offences(child)
    return found


def _grows(node: dict[str, Any]) -> bool:
    return node["Node Type"] in ("Seq Scan", "Sort", "Incremental Sort", "Bitmap Heap Scan")
