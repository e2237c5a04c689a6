"""The health application of this product's queue. Three ways to run it:

- a sidecar of its own: ``uvicorn health_app:app``;
- beside the workers: set ``HEALTH_PORT``, and ``dramatiq actors`` runs it in a fork of its master;
- in an ASGI application of yours: ``api.mount("/queue", health_app.make_app(Scope.QUEUE))``.
"""

from __future__ import annotations

import multiprocessing
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from starlette.applications import Starlette

import health
from broker import broker, configure_logs, settings
from health import Checks, Scope
from health.beside import serve_until_workers_end
from health.page import Access, StatusPage
from health.page.status import Progress
from indexing.jobs import job_id_of
from indexing.queries import query
from leasequeue.admin.health import HealthQuestion
from leasequeue.admin.overview import RunningJob
from leasequeue.admin.wording import short_time
from settings import SettingsError


def make_app(scope: Scope | None = None, parent_pid: int | None = None) -> Starlette:
    """The application.

    Parameters:
      scope: whose workers decide whether the queue is ready; None: as ``HEALTH_SCOPE`` says.
      parent_pid: see :class:`health.Checks`.
    """
    return _make_app(_checks(scope or Scope(settings.health_scope), parent_pid))


def serve_beside_workers() -> int:
    """Serve in a fork of dramatiq's master, about its workers, until the last of them has ended. The exit code."""
    assert settings.health_port is not None
    configure_logs(settings)
    # Its id as it was when it made us: it may have died since, and our parent be somebody else.
    master = multiprocessing.parent_process()
    assert master is not None
    assert master.pid is not None
    checks = _checks(Scope.MACHINE, parent_pid=master.pid)
    return serve_until_workers_end(
        _make_app(checks), checks, master_pid=master.pid, host=settings.health_host, port=settings.health_port
    )


def _checks(scope: Scope, parent_pid: int | None) -> Checks:
    if settings.broker_url:
        problem = "expected the queue to be on Postgres for the health application, got: BROKER_URL names RabbitMQ"
        raise SettingsError([f"{problem}; unset BROKER_URL, or probe RabbitMQ with its own tools (docs/scale-out.md)"])
    return Checks(broker, scope=scope, stalled_after=settings.health_stalled_seconds, parent_pid=parent_pid)


def _make_app(checks: Checks) -> Starlette:
    if not settings.status_page:
        return health.make_app(checks)
    access = Access(settings.status_page_token or None)
    return health.make_app(checks, StatusPage(checks, access, progress=_progress))


def _progress(question: HealthQuestion, jobs: list[RunningJob], timeout: float) -> Progress:
    """How far indexing jobs are, by the id of their message."""
    wanted = {job.message_id: _index_job_id(job.message) for job in jobs}
    job_ids = [each for each in wanted.values() if each is not None]
    rows = question.execute(query("progress_of"), {"job_ids": job_ids}, timeout) if job_ids else []
    known = {row[0]: row[1:] for row in rows}
    told: dict[str, tuple[str, float | None]] = {}
    for message_id, job_id in wanted.items():
        if job_id in known:
            repository, phase, done, total, bytes_done, rest_seconds = known[job_id]
            words = [f"{repository}: {phase or 'waits'}"]
            if total:
                words.append(f"{done:,} of {total:,} files")
            if bytes_done:
                words.append(f"{bytes_done / 1e6:,.1f} MB")
            if rest_seconds is not None:
                words.append(f"about {short_time(rest_seconds)} left")
            told[message_id] = (", ".join(words), done / total if total else None)
    return told


def _index_job_id(message: Any) -> str | None:
    if not isinstance(message, dict):
        return None
    return job_id_of(message.get("actor_name"), message.get("args"), message.get("kwargs"))


@asynccontextmanager
async def _as_a_process_of_its_own(app: Starlette) -> AsyncIterator[None]:
    configure_logs(settings)  # not for an application that we are mounted in: it is not asked for its lifespan
    yield


app = make_app()
app.router.lifespan_context = _as_a_process_of_its_own
