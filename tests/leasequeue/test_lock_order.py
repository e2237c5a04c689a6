"""Everything that writes rows, at the same time and on the same rows: somebody may have to wait, nobody deadlocks."""

from __future__ import annotations

import json
import random
import threading
from collections.abc import Callable
from typing import Any
from uuid import uuid4

from sql_access import Sql
from waiting import let_pass

from leasequeue.connection import Connection
from leasequeue.errors import AlreadyQueued, DatabaseUnavailable
from leasequeue.floors import START
from leasequeue.queries import Queries

#: Jobs that all fight over, and seconds of the fight.
JOBS, SECONDS = 3_000, 4.0

#: Keys of the jobs that are sent meanwhile.
KEYS = 100

#: Statements after which a job waits again.
RETURNING = ("finish_retry", "hand_back", "rescue", "redrive")

WORKERS = [f"00000000-0000-0000-0000-00000000000{number}" for number in range(4)]


def fences_of(ids: list[str], worker_id: str, claim_no: int) -> dict[str, Any]:
    return {"message_ids": ids, "worker_ids": [worker_id] * len(ids), "claim_nos": [claim_no] * len(ids)}


def test_no_mix_of_claims_ends_rescues_and_housekeeping_deadlocks(database: str, sql: Sql) -> None:
    queries = Queries("dramatiq")
    sql("SET deadlock_timeout TO '100ms'")
    sql(
        "INSERT INTO dramatiq.worker (worker_id, host, pid, threads, queues) "
        "SELECT unnest(%s::uuid[]), 'h', 1, 1, '{q}'",
        WORKERS,
    )
    sql(
        "INSERT INTO dramatiq.queue (message_id, queue_name, state, message) "
        "SELECT gen_random_uuid(), 'q', 'queued', '{}' FROM generate_series(1, %s)",
        JOBS,
    )
    ids = [row[0] for row in sql("SELECT message_id::text FROM dramatiq.queue")]
    over = threading.Event()
    failures: list[str] = []
    done: list[int] = [0]

    def fight(acts: Callable[[Callable[..., list[tuple[Any, ...]]], random.Random], None], seed: int) -> None:
        connection = Connection(database, "test fight")
        chance = random.Random(seed)

        def ask(name: str, **parameters: Any) -> list[tuple[Any, ...]]:
            try:
                return connection.execute(queries[name], parameters, timeout=30)
            except AlreadyQueued as error:
                # A newer job with the key came at this moment: whoever returns a job asks again; nobody else meets it.
                if name not in RETURNING:
                    failures.append(f"{name}: {error}")
                return []
            except DatabaseUnavailable as error:
                failures.append(f"{name}: {error}")
                return []

        try:
            while not over.is_set():
                acts(ask, chance)
                done[0] += 1
        except Exception as error:  # noqa: BLE001  # a thread that ends early fights no more
            failures.append(repr(error))
        connection.close()

    def work(ask: Callable[..., list[tuple[Any, ...]]], chance: random.Random) -> None:
        worker_id, claim_no = chance.choice(WORKERS), chance.randrange(10**9)
        rows = ask(
            chance.choice(("claim", "claim_by_turn")),
            worker_id=worker_id,
            claim_no=claim_no,
            queues=["q"],
            floors=[START],
            turn_floors=[0],
            limit=1000,
            suspects=1,
        )
        ids = sorted(row[0] for row in rows)
        keyed = [row[0] for row in rows if row[7]]
        for message_id in chance.sample(ids, min(len(ids), 5)):
            fence = {"message_id": message_id, "worker_id": worker_id, "claim_no": claim_no}
            ask("finish_retry", **fence, delay=0, message=None, error="e", worker="w")
        ask("give_way", **fences_of(keyed, worker_id, claim_no), crashed=False, keep=60)
        ask("hand_back", **fences_of([each for each in ids if each not in keyed], worker_id, claim_no))
        for message_id in keyed:
            ask("hand_back", **fences_of([message_id], worker_id, claim_no))

    def rescue(ask: Callable[..., list[tuple[Any, ...]]], chance: random.Random) -> None:
        dead = chance.sample(WORKERS, 2)
        charged: dict[str, Any] = {"workers": dead, "deaths": dead, "crash_limit": 10**9}
        ask("rescue", dead=dead, **charged, keyed=False, limit=1000)
        ask("rescue", dead=dead, **charged, keyed=True, limit=1)
        for message_id, _, worker_id, claim_no in ask("superseded", dead=dead, limit=10):
            ask("give_way", **fences_of([message_id], worker_id, claim_no), crashed=True, keep=60)

    def send(ask: Callable[..., list[tuple[Any, ...]]], chance: random.Random) -> None:
        messages = [
            {
                "message_id": str(uuid4()),
                "queue_name": "q",
                "actor_name": "a",
                "options": {"key": f"k{number}", "fairness_key": chance.choice("xyz")},
            }
            for number in chance.sample(range(KEYS), 20)
        ]
        ask("place_many", messages=json.dumps(messages), delay="0 s", expire_after="1 d")

    def keep_house(ask: Callable[..., list[tuple[Any, ...]]], chance: random.Random) -> None:
        ask("expire", queues=["q"], limit=1000)
        ask("purge_dead", queue_name="q", keep=10**6, floor=None, limit=1000)
        ask("purge_done", floor=None, limit=1000)

    def operate(ask: Callable[..., list[tuple[Any, ...]]], chance: random.Random) -> None:
        some = chance.sample(ids, 50)
        ask("cancel", message_ids=some)
        ask("discard", message_ids=chance.sample(some, 25))
        ask("redrive", message_ids=chance.sample(some, 50), expire_after=None, max_ages="{}")
        ask("give_way", message_ids=some, worker_ids=[None] * 50, claim_nos=[None] * 50, crashed=False, keep=60)

    threads = [
        threading.Thread(target=fight, args=(acts, seed))
        for seed, acts in enumerate((work, work, work, rescue, rescue, keep_house, operate, operate, send, send))
    ]
    for thread in threads:
        thread.start()
    let_pass(SECONDS)
    over.set()
    for thread in threads:
        thread.join(60)

    assert failures == []
    assert done[0] > 20
    assert sql("SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()") == [(0,)]
    assert sql("SELECT count(*) FROM dramatiq.queue WHERE key IS NULL") == [(JOBS,)]
    assert sql("SELECT count(*) > 0 FROM dramatiq.done WHERE merged_into IS NOT NULL") == [(True,)]
