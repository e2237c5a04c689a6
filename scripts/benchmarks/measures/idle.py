"""What does a worker cost that has nothing to do?"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

from ..contenders import LEASEQUEUE
from ..figures import Answer, Samples
from ..laboratory import Laboratory

#: Of the goals, for one process whatever the number of queues.
QUERIES_A_SECOND = 1.0
SESSIONS = 5
PROCESSOR_SHARE = 0.01


def idle(lab: Laboratory) -> list[Answer]:
    """Transactions, sessions and processor time of a worker process without jobs, by the number of its queues."""
    queries, sessions, processor = Samples("1/s"), Samples("sessions"), Samples("% of a core")
    with _no_autovacuum(lab):
        for queues in lab.scale.idle_queues:
            setting = f"{queues} queue{'s' if queues > 1 else ''}"
            with lab.database() as url, lab.start(LEASEQUEUE, "work", url, queues=queues) as worker:
                worker.wait_ready().ask("go")
                time.sleep(lab.scale.idle_after)
                cpu_before, commits_before, started = worker.ask("status"), _commits(lab, url), time.monotonic()
                time.sleep(lab.scale.idle_seconds)
                cpu_after, commits_after, ended = worker.ask("status"), _commits(lab, url), time.monotonic()
                seconds = ended - started
                cpu = cpu_after["cpu_seconds"] - cpu_before["cpu_seconds"]
                queries.add(LEASEQUEUE.name, setting, (commits_after - commits_before) / seconds)
                sessions.add(LEASEQUEUE.name, setting, _sessions(lab, url))
                processor.add(LEASEQUEUE.name, setting, 100 * cpu / seconds)
    answer = Answer(
        "idle",
        "What does an idle worker process cost?",
        [*queries.figures(), *sessions.figures(), *processor.figures()],
    )
    for figures, what, bound in (
        (queries.figures(), "queries a second", QUERIES_A_SECOND),
        (sessions.figures(), "sessions with the database", SESSIONS),
        (processor.figures(), "% of a core", 100 * PROCESSOR_SHARE),
    ):
        answer.expect(f"{what}, the most of all settings", max(figure.median for figure in figures), bound, "at most")
    return [answer]


@contextmanager
def _no_autovacuum(lab: Laboratory) -> Iterator[None]:
    """Autovacuum's own transactions are counted like a client's: none shall be among those that are measured."""
    lab.server.reload({"autovacuum": "off"})
    try:
        yield
    finally:
        lab.server.reload({"autovacuum": "on"})


def _commits(lab: Laboratory, url: str) -> int:
    """Asked in another database, so that the question does not count itself."""
    ((commits,),) = lab.query(
        lab.server.url, "SELECT xact_commit FROM pg_stat_database WHERE datname = %s", (url.rpartition("/")[2],)
    )
    return int(commits)


def _sessions(lab: Laboratory, url: str) -> int:
    ((sessions,),) = lab.query(
        lab.server.url,
        "SELECT count(*) FROM pg_stat_activity WHERE datname = %s AND backend_type = 'client backend'",
        (url.rpartition("/")[2],),
    )
    return int(sessions)
