"""The example API as its callers meet it: a real server, a real worker, and a database that really goes away."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import httpx
import psycopg2
import pytest
from git_repositories import Repository
from ports import free_port
from processes import ROOT, Command
from sql_access import Sql
from throwaway_postgres import ThrowawayPostgres
from waiting import wait_until

#: Seconds for a worker or a server to start, and for a job to end.
SECONDS = 30

COUNTS = "SELECT (SELECT count(*) FROM indexing.index_jobs), (SELECT count(*) FROM dramatiq.queue)"


@contextmanager
def serving(database: str, directory: Path, **environ: str) -> Iterator[httpx.Client]:
    """A client of the API, which serves from a process of its own."""
    port = free_port()
    command: list[str | bytes | Path] = [sys.executable, "-m", "uvicorn", "--app-dir", str(ROOT)]
    command += ["examples.api.app:app", "--port", str(port), "--no-access-log"]
    server = Command(command, {"SUPABASE_DB_URL": database, **environ}, directory)
    try:
        server.wait_to_say("Uvicorn running", SECONDS)
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=SECONDS) as client:
            yield client
    finally:
        server.process.terminate()
        server.wait()
        server.remove()


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    return Repository.make(tmp_path / "code" / "shapes", {"a.py": "class A:\n    def b(self): ...\n", "c.txt": "x\n"})


@pytest.fixture
def api(database: str, tmp_path: Path) -> Iterator[httpx.Client]:
    with serving(database, tmp_path, INDEX_LOCAL_DIRECTORIES=str(tmp_path / "code")) as client:
        yield client


def test_an_order_is_answered_at_once_and_its_link_tells_how_it_goes(
    api: httpx.Client, repository: Repository, database: str, sql: Sql, tmp_path: Path
) -> None:
    taken = api.post("/index", json={"repository": repository.url, "commit": "main"})
    assert taken.status_code == 202
    link = taken.json()["links"]["job"]
    assert (taken.headers["location"], link) == (link, f"/jobs/{taken.json()['job_id']}")
    assert sql(COUNTS) == [(1, 1)]

    waiting = api.get(link)
    assert (waiting.status_code, waiting.headers["cache-control"]) == (200, "no-store")
    assert (waiting.json()["status"], waiting.json()["commit"]) == ("pending", "main")

    sql("UPDATE indexing.index_jobs SET status = 'processing', phase = 'parse', files_total = 4, files_done = 1")
    assert api.get(link).json()["progress"] == {
        "phase": "parse",
        "files_done": 1,
        "files_total": 4,
        "bytes_done": 0,
        "share": 0.25,
        "rest_seconds": None,
    }

    command: list[str | bytes | Path] = [sys.executable, "-m", "dramatiq", "actors", "-p", "1", "-t", "1"]
    worker = Command(command, {"SUPABASE_DB_URL": database, "INDEX_PARALLELISM": "1"}, tmp_path)
    try:
        done = wait_until(lambda: ended(api, link), SECONDS, "the job to end")
    finally:
        worker.process.terminate()
        worker.wait()
        worker.remove()
    assert done is not None
    assert (done["status"], done["commit"], done["error"]) == ("completed", repository.head, None)
    assert (done["progress"]["share"], done["result"]["symbols_extracted"]) == (1.0, 2)


def ended(api: httpx.Client, link: str) -> dict[str, Any] | None:
    job: dict[str, Any] = api.get(link).json()
    return job if job["status"] in ("completed", "failed") else None


REFUSED: list[tuple[bytes, int, str]] = [
    (b"", 400, "JSON"),
    (b"repository=x", 400, "JSON"),
    (b"[" * 10_000, 400, "JSON"),
    (b'["https://example.org/a"]', 400, "got: list"),
    (b"{}", 422, '{"repository": "https://HOST/PATH"'),
    (b'{"repository": 7}', 422, "repository to be a text"),
    (b'{"repository": "https://example.org/\\ud800"}', 422, "printable"),
    (b'{"repository": "https://example.org/a", "commit": "a\\u0000"}', 422, "commit to be a text of 1 to 255"),
    (b'{"repository": "https://example.org/a", "branch": "main"}', 422, "got also: branch"),
    (b'{"repository": "ftp://example.org/a"}', 422, "the scheme 'ftp'"),
    (b'{"repository": "https://me:s3cr3t@example.org/a"}', 422, "without user name and password"),
    (b'{"repository": "/etc"}', 422, "INDEX_LOCAL_DIRECTORIES"),
    (b'{"repository": "' + b"a" * 20_000 + b'"}', 413, "at most 16384 bytes"),
]


def test_what_is_no_order_is_refused_in_clear_words_and_writes_nothing(
    api: httpx.Client, repository: Repository, sql: Sql
) -> None:
    outside = json.dumps({"repository": f"{repository.path.parent}/../elsewhere"}).encode()
    for body, status, words in [*REFUSED, (outside, 422, "INDEX_LOCAL_DIRECTORIES")]:
        answer = api.post("/index", content=body)
        message = answer.json()["error"]["message"]
        assert (answer.status_code, words in message) == (status, True), f"{body[:80]!r}: {answer.text}"
        assert "s3cr3t" not in answer.text
    assert sql(COUNTS) == [(0, 0)]


def test_an_order_that_gave_way_to_a_newer_one_leads_to_it(api: httpx.Client, repository: Repository, sql: Sql) -> None:
    older, newer = (api.post("/index", json={"repository": repository.url}).json()["links"]["job"] for _ in range(2))
    assert sql(COUNTS) == [(2, 1)]
    merged = api.get(older).json()
    assert (merged["status"], merged["links"]) == ("merged", {"job": newer})
    assert "links" not in api.get(newer).json()


def test_what_is_not_there_is_said_in_json(api: httpx.Client) -> None:
    unknown = api.get("/jobs/00000000-0000-0000-0000-000000000000")
    assert (unknown.status_code, "no job has this id" in unknown.json()["error"]["message"]) == (404, True)
    assert "GET /jobs" in api.get("/jobs/7").json()["error"]["message"]
    wrong = api.get("/index")
    assert (wrong.status_code, wrong.headers["allow"]) == (405, "POST")


def test_a_database_that_is_away_or_hangs_is_503_and_the_next_order_is_taken_when_it_is_back(
    throwaway_server: Callable[..., ThrowawayPostgres], tmp_path: Path
) -> None:
    server = throwaway_server()
    migrate_all(server.url)
    order = {"repository": "https://example.org/team/project.git"}
    with serving(server.url, tmp_path) as api:
        link = api.post("/index", json=order).json()["links"]["job"]

        server.stop(immediate=True)
        for answer in (api.post("/index", json=order), api.get(link), api.post("/index", json=order)):
            assert (answer.status_code, answer.headers["retry-after"]) == (503, "5")
            assert answer.json()["error"]["message"] == "the database is not available; try again in 5 s"
        assert api.post("/index", json={}).status_code == 422

        server.start()
        assert api.get(link).status_code == 200

        with closing(psycopg2.connect(server.url)) as other, other.cursor() as cursor:
            cursor.execute("LOCK TABLE indexing.index_jobs")
            assert api.post("/index", json=order).status_code == 503
        assert api.post("/index", json=order).status_code == 202
        with closing(psycopg2.connect(server.url)) as other, other.cursor() as cursor:
            cursor.execute(COUNTS)
            assert cursor.fetchall() == [(2, 1)]  # the second has taken the place of the first


def test_a_restart_of_the_database_costs_one_request_however_many_sessions_there_were(
    throwaway_server: Callable[..., ThrowawayPostgres], tmp_path: Path
) -> None:
    server = throwaway_server()
    migrate_all(server.url)
    order = {"repository": "https://example.org/team/project.git"}
    with serving(server.url, tmp_path) as api, ThreadPoolExecutor(4) as callers:
        with closing(psycopg2.connect(server.url)) as other, other.cursor() as cursor:
            cursor.execute("LOCK TABLE indexing.index_jobs")
            orders = [callers.submit(api.post, "/index", json=order) for _ in range(4)]
            wait_until(lambda: sessions_of_the_api(cursor) == 4, 1.5, "each order to have a session")
        assert [each.result().status_code for each in orders] == [202] * 4

        server.stop(immediate=True)
        server.start()
        codes = [api.post("/index", json=order).status_code for _ in range(4)]
        assert codes == [503, 202, 202, 202]


def sessions_of_the_api(cursor: Any) -> int:
    cursor.execute("SELECT pg_stat_clear_snapshot()")
    cursor.execute("SELECT count(*) FROM pg_stat_activity WHERE application_name = 'indexq api' AND state <> 'idle'")
    (count,) = cursor.fetchone()
    return int(count)


def migrate_all(url: str) -> None:
    from leasequeue.migrations import migrate

    migrate(url, schema="dramatiq")
    migrate(url, schema="indexing", directory=ROOT / "indexing" / "migrations")
