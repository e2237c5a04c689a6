"""What real worker processes write: one form, the job on each line, no secret, and little of it in an outage."""

from __future__ import annotations

import json
import signal
from collections import Counter
from typing import Any
from urllib.parse import urlsplit

from ports import free_port
from throwaway_postgres import ThrowawayPostgres
from waiting import wait_until

from .conftest import House, Program
from .test_states import count, put

REPOSITORY_ID = "77aa0000-0000-4000-8000-000000000001"


def lines_of(program: Program) -> list[dict[str, Any]]:
    """The lines of the worker processes: the master itself loads nothing of this product."""
    return [json.loads(line) for line in program.said().splitlines() if line.startswith("{")]


def events_of(program: Program) -> Counter[str]:
    return Counter(line["event"] for line in lines_of(program))


def test_every_line_of_a_worker_is_json_with_its_job_and_without_secrets(
    house: House, queue_server: ThrowawayPostgres
) -> None:
    url = queue_server.url
    password = urlsplit(url).password
    assert password
    token = "pl4in-w0rds"
    workers = house.workers(
        url,
        LOG_FORMAT="json",
        INDEX_GIT_TOKENS=f"git.example={token}",
        RETRY_DELAY="1",
        RETRY_MAX_DELAY="1",
        RETRY_LIMIT="1",
    )
    put(url, "talk", REPOSITORY_ID, f"{url} {token}")
    wait_until(lambda: count(url, "SELECT count(*) FROM dramatiq.queue WHERE state = 'rejected'"), 20, "it is not dead")

    queue_server.stop(immediate=True)
    wait_until(lambda: len({line["loop"] for line in lines_of(workers) if line["event"] == "loop_failed"}) >= 2, 10)
    queue_server.start()
    wait_until(lambda: events_of(workers)["loop_recovered"] >= 2, 15, "no loop has recovered")
    workers.send_signal(signal.SIGTERM)
    assert workers.process.wait(20) == 0

    said = workers.said()
    assert password not in said
    assert token not in said
    assert "s3cr3t" not in said
    masters = [line for line in said.splitlines() if not line.startswith("{")]
    assert all("[dramatiq.MainProcess]" in line for line in masters), masters

    lines = lines_of(workers)
    assert all({"time", "level", "event", "logger", "pid"} <= line.keys() for line in lines)
    events = [line["event"] for line in lines]
    assert events.index("Job queue started") < events.index("job_started") < events.index("Job queue stopped")
    first = events.index("job_started")
    during = lines[first : first + events[first:].index("job_finished") + 1]
    assert {line["logger"] for line in during} >= {"indexq.jobs", "talkative", "dramatiq.worker.WorkerThread"}
    (job_id,) = {line["job_id"] for line in during}
    for line in during:
        assert (line["repository_id"], line["queue"], line["attempt"]) == (REPOSITORY_ID, "index-repo", 1)
        assert line["worker"]
    ends = [(line["job_id"], line["attempt"], line["outcome"]) for line in lines if line["event"] == "job_finished"]
    assert ends == [(job_id, 1, "retry"), (job_id, 2, "dead")]

    # In the outage: at most one line a second and loop.
    troubles = [line for line in lines if line["event"] == "loop_failed"]
    assert max(Counter((line["loop"], line["time"][:19]) for line in troubles).values()) == 1
    assert len(troubles) <= 6


def test_the_health_application_beside_the_workers_writes_in_the_same_form(house: House, database: str) -> None:
    workers = house.workers(database, LOG_FORMAT="json", HEALTH_PORT=str(free_port()))
    wait_until(lambda: events_of(workers)["health_serving"], 10, "it says nothing")
    assert events_of(workers)["Worker process is ready for action."] == 1
