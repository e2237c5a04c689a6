"""The shape of the answers, requests that are none of the routes, and the application inside another one."""

from __future__ import annotations

import asyncio
import socket
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest
from jsonschema import Draft202012Validator
from ports import free_port
from sql_access import Sql
from starlette.applications import Starlette
from starlette.routing import Mount
from waiting import wait_until

from health import Checks, Scope, make_app
from health.app import openapi
from leasequeue import LeaseBroker, migrations

from .conftest import ANSWER, ROUTES, House, Probe

#: Probes at once: more than a process has threads for them.
PROBES = 60

ROWS = """
INSERT INTO dramatiq.worker (worker_id, host, pid, threads, queues, heartbeat_at) VALUES
  ('11111111-1111-4111-8111-111111111111', 'machine-7', 4711, 2, '{index-repo}', now()),
  ('22222222-2222-4222-8222-222222222222', 'machine-8', 4712, 2, '{index-repo}', now() - interval '1 hour');
INSERT INTO dramatiq.queue (message_id, queue_name, state, message, available_at, worker_id, claim_no, reason)
SELECT gen_random_uuid(), queue, state::dramatiq.state, '{}', now() + due * interval '1 s', worker::uuid, claim, why
  FROM (VALUES ('index-repo', 'queued', -90, NULL, NULL, NULL),
               ('index-repo', 'queued', -30, NULL, NULL, NULL),
               ('index-repo', 'queued', 600, NULL, NULL, NULL),
               ('index-repo', 'consumed', 0, '11111111-1111-4111-8111-111111111111', 1, NULL),
               ('index-repo', 'rejected', 0, NULL, NULL, 'expired'),
               ('other', 'rejected', 0, NULL, NULL, 'crashed'),
               ('orphan', 'queued', -90, NULL, NULL, NULL)) AS job (queue, state, due, worker, claim, why)
"""


def app_for(url: str, scope: Scope = Scope.QUEUE) -> Starlette:
    return make_app(Checks(LeaseBroker(url=url), scope=scope, stalled_after=60))


class Client:
    """Asks an application without a server. Each request has an event loop of its own."""

    def __init__(self, app: Starlette) -> None:
        self._app = app

    def request(self, method: str, path: str) -> httpx.Response:
        async def ask() -> httpx.Response:
            transport = httpx.ASGITransport(self._app, raise_app_exceptions=False)
            async with httpx.AsyncClient(transport=transport, base_url="http://api") as client:
                return await client.request(method, path)

        return asyncio.run(ask())

    def get(self, path: str) -> httpx.Response:
        return self.request("GET", path)

    def head(self, path: str) -> httpx.Response:
        return self.request("HEAD", path)


@pytest.fixture
def client(database: str) -> Client:
    """Of the application of an API, mounted below /queue."""
    return Client(Starlette(routes=[Mount("/queue", app_for(database))]))


def codes(findings: list[dict[str, str]]) -> list[str]:
    return [each["code"] for each in findings]


def test_jobs_are_counted_by_queue_and_only_living_workers_are_named(client: Client, sql: Sql) -> None:
    sql(ROWS)
    answer = client.get("/queue/health")
    body = answer.json()
    ANSWER.validate(body)
    assert (answer.status_code, body["status"], body["reasons"]) == (200, "ok", [])
    queue = body["queues"]["index-repo"]
    assert 90 <= queue.pop("oldest_ready_seconds") < 120
    assert queue == {"ready": 2, "scheduled": 1, "running": 1, "dead": 1}
    other = {"ready": 0, "scheduled": 0, "running": 0, "dead": 1, "oldest_ready_seconds": None}
    assert body["queues"]["other"] == other
    (worker,) = body["workers"]
    assert (worker["host"], worker["pid"], worker["threads"], worker["holds"]) == ("machine-7", 4711, 2, 1)
    assert body["schema"] == {"name": "dramatiq", "version": migrations.latest(), "expected": migrations.latest()}
    assert body["database"]["writable"] is True


def test_dead_letters_and_a_queue_that_nobody_consumes_are_warnings(client: Client, sql: Sql) -> None:
    sql(ROWS)
    body = client.get("/queue/health").json()
    assert codes(body["warnings"]) == ["dead_letters", "dead_letters", "queue_not_consumed"]
    assert "queue orphan" in body["warnings"][2]["text"]
    assert client.get("/queue/ready").json()["warnings"] == []


def test_an_api_is_ready_while_any_worker_lives_that_is_not_draining(client: Client, sql: Sql) -> None:
    assert client.get("/queue/startup").status_code == 200
    assert codes(client.get("/queue/ready").json()["reasons"]) == ["no_worker"]


def test_an_api_is_not_ready_while_all_workers_drain(client: Client, sql: Sql) -> None:
    sql(ROWS)
    sql("UPDATE dramatiq.worker SET draining = true")
    assert codes(client.get("/queue/ready").json()["reasons"]) == ["draining"]
    assert client.get("/queue/live").status_code == 200


@pytest.mark.parametrize("route", ROUTES)
def test_head_answers_as_get_without_a_body(route: str, client: Client) -> None:
    head, get = client.head(f"/queue/{route}"), client.get(f"/queue/{route}")
    assert (head.status_code, head.content) == (get.status_code, b"")
    assert int(head.headers["content-length"]) > 100
    assert head.headers["cache-control"] == "no-store"


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("GET", "/queue/nowhere", 404, "not_found"),
        ("GET", "/queue/health/x", 404, "not_found"),
        ("POST", "/queue/health", 405, "method_not_allowed"),
        ("DELETE", "/queue/live", 405, "method_not_allowed"),
    ],
)
def test_what_is_no_route_is_refused_in_the_same_shape(
    method: str, path: str, status: int, code: str, client: Client
) -> None:
    answer = client.request(method, path)
    assert answer.status_code == status
    ANSWER.validate(answer.json())
    assert (answer.json()["status"], codes(answer.json()["reasons"])) == ("error", [code])
    assert answer.headers["cache-control"] == "no-store"
    if status == 405:
        assert answer.headers["allow"] in ("GET, HEAD", "HEAD, GET")


def test_a_defect_is_a_500_that_says_nothing_of_itself(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(self: Checks) -> Any:
        raise RuntimeError("the secret is s3cret-word")

    monkeypatch.setattr(Checks, "live", broken)
    answer = client.get("/queue/live")
    assert answer.status_code == 500
    ANSWER.validate(answer.json())
    assert "s3cret" not in answer.text
    assert "RuntimeError" not in answer.text


def test_the_openapi_document_is_served_and_names_all_routes(client: Client) -> None:
    document = client.get("/queue/openapi.json").json()
    assert document == openapi()
    assert set(document["paths"]) == {f"/{route}" for route in (*ROUTES, "metrics", "metrics/queue")}
    for schema in document["components"]["schemas"].values():
        Draft202012Validator.check_schema(schema)


def test_more_probes_than_threads_are_all_answered_in_time_while_nobody_answers(house: House) -> None:
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen(128)
        url = f"postgresql://someone:s3cret-word@127.0.0.1:{silent.getsockname()[1]}/product"
        probe = house.sidecar(url)
        with ThreadPoolExecutor(PROBES) as probes:
            answers = list(probes.map(lambda _: probe.ask("health")[0], range(PROBES)))
    assert answers == [503] * PROBES


HANGING_NAME_SERVER = """
import sys, threading
import psycopg2
psycopg2.connect = lambda *args, **options: threading.Event().wait()
import uvicorn
uvicorn.run("health_app:app", port=int(sys.argv[1]), access_log=False)
"""


def test_a_name_server_that_hangs_delays_one_answer_and_then_none(house: House) -> None:
    probe = _sidecar_with_hanging_connect(house)
    assert probe.ask("ready")[0] == 503
    first, probe.slowest = probe.slowest, 0.0
    assert first > 1
    assert [probe.ask("ready")[0] for _ in range(20)] == [503] * 20
    assert probe.slowest < 0.5


def _sidecar_with_hanging_connect(house: House) -> Probe:
    url, port = "postgresql://someone:s3cret-word@db.example/product", free_port()
    program = house.run(["-c", HANGING_NAME_SERVER, str(port)], url)
    program.wait_to_say("Uvicorn running")
    return house.probe(url, port)


STALE = """
INSERT INTO dramatiq.worker (worker_id, host, pid, threads, queues, started_at, claimed_at, finished_at, loops) VALUES
  ('11111111-1111-4111-8111-111111111111', 'machine-7', 4711, 2, '{index-repo}', now() - interval '1 hour',
   now() - %(claimed)s * interval '1 s', now() - %(finished)s * interval '1 s', jsonb_build_object('claim', %(claim)s));
INSERT INTO dramatiq.queue (message_id, queue_name, state, message, available_at)
SELECT gen_random_uuid(), 'index-repo', 'queued', '{}', now() - interval '90 s';
INSERT INTO dramatiq.queue (message_id, queue_name, state, message, worker_id, claim_no, mtime)
SELECT gen_random_uuid(), 'index-repo', 'consumed', '{}', worker_id, 1, now() - %(running)s * interval '1 s'
  FROM dramatiq.worker WHERE %(running)s::integer IS NOT NULL
"""


@pytest.mark.parametrize(
    ("claimed", "finished", "claim", "running", "reasons"),
    [
        (90, 90, 1, None, ["stalled"]),
        (90, 10, 1, None, []),  # somebody finished something
        (10, 90, 1, None, []),  # somebody claimed something
        (600, 900, 1, 600, []),  # busy with a long job
        (600, 900, 40, 600, ["stalled"]),  # busy, and its claim loop is not well
        (7200, 7200, 1, 7200, ["stalled"]),  # a job that is past its time limit is no excuse
    ],
)
def test_the_queue_is_stalled_when_jobs_wait_and_nothing_moves(
    claimed: int, finished: int, claim: int, running: int | None, reasons: list[str], client: Client, sql: Sql
) -> None:
    numbers = {"claimed": claimed, "finished": finished, "claim": claim, "running": running}
    sql(STALE % {name: "NULL" if value is None else str(value) for name, value in numbers.items()})
    assert codes(client.get("/queue/health").json()["reasons"]) == reasons


def test_a_queue_that_an_operator_has_paused_is_not_stalled(client: Client, sql: Sql) -> None:
    sql(STALE % {"claimed": 90, "finished": 90, "claim": 1, "running": "NULL"})
    sql("INSERT INTO dramatiq.paused (queue_name) VALUES ('index-repo')")
    assert codes(client.get("/queue/health").json()["reasons"]) == []


def test_a_queue_whose_workers_are_all_switched_off_is_not_stalled_but_one_that_claims_and_does_not_is(
    client: Client, sql: Sql
) -> None:
    sql(STALE % {"claimed": 90, "finished": 90, "claim": 1, "running": "NULL"})
    sql('UPDATE dramatiq.worker SET loops = loops || \'{"claiming": false, "notified": false}\'')
    body = client.get("/queue/health").json()
    assert codes(body["reasons"]) == []
    assert codes(body["warnings"]) == ["queue_disabled", "polling"]
    assert "1 of 1 worker processes are paused by QUEUE_ENABLED" in body["warnings"][0]["text"]
    assert "find jobs by polling, within 2 s" in body["warnings"][1]["text"]

    sql(
        "INSERT INTO dramatiq.worker (worker_id, host, pid, threads, queues, started_at) "
        "VALUES (gen_random_uuid(), 'machine-8', 1, 1, '{index-repo}', now() - interval '1 hour')"
    )
    wait_until(lambda: codes(client.get("/queue/health").json()["reasons"]) == ["stalled"], 5, "it is not told")
