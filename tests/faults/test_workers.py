"""Real workers on a real server: a start that cannot succeed, a long stretch of work, and a restart of everything."""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType

import psycopg2
from dramatiq.message import Message
from sql_access import Sql
from throwaway_postgres import ThrowawayPostgres
from waiting import wait_until

from leasequeue import LeaseBroker, migrations

from .conftest import Workers

StartWorkers = Callable[..., Workers]


def test_jobs_that_wait_survive_a_restart_of_everything(
    throwaway_server: Callable[..., ThrowawayPostgres],
    start_workers: StartWorkers,
    through_pooler: Callable[[str], str],
) -> None:
    server = throwaway_server(settings={"fsync": "on", "synchronous_commit": "on", "full_page_writes": "on"})
    migrations.migrate(server.url, schema="dramatiq")
    url = through_pooler(server.url)
    api = LeaseBroker(url=url)
    for _ in range(20):
        api.enqueue(Message("default", "nothing", (), {}, {}))
    api.close()

    server.stop(immediate=True)
    server.start()
    start_workers(url=url)

    connection = psycopg2.connect(server.url)
    try:
        connection.autocommit = True
        with connection.cursor() as cursor:

            def done() -> bool:
                cursor.execute("SELECT count(*) FROM dramatiq.done")
                return bool(cursor.fetchone() == (20,))

            wait_until(done, 20, "the jobs were not run")
    finally:
        connection.close()


def test_twenty_thousand_jobs_run_to_the_end_in_one_worker_without_a_pause(
    fault_actors: ModuleType, start_workers: StartWorkers, sql: Sql
) -> None:
    message = fault_actors.nothing.message()
    sql(
        "INSERT INTO dramatiq.queue (message_id, state, message) "
        "SELECT gen_random_uuid(), 'queued', %s FROM generate_series(1, 20000)",
        message.encode().decode(),
    )
    start_workers(processes=1, threads=8)
    wait_until(lambda: sql("SELECT count(*) FROM dramatiq.done") == [(20_000,)], 60, "not all were run")
    assert sql("SELECT count(*) FROM dramatiq.queue") == [(0,)]
    assert sql("SELECT max(starts) FROM dramatiq.done") == [(1,)]
    assert sql("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'") == [(0,)]


def test_a_worker_whose_database_is_away_says_so_and_exits_at_once(start_workers: StartWorkers) -> None:
    workers = start_workers(url="postgresql://user:sesame@127.0.0.1:1/none")
    assert workers.wait(10) == 3
    assert "The worker cannot start" in workers.text()
    assert "sesame" not in workers.text()
