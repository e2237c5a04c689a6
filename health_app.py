"""The health application of this product's queue. Three ways to run it:

- a sidecar of its own: ``uvicorn health_app:app``;
- beside the workers: set ``HEALTH_PORT``, and ``dramatiq actors`` runs it in a fork of its master;
- in an ASGI application of yours: ``api.mount("/queue", health_app.make_app(Scope.QUEUE))``.
"""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from starlette.applications import Starlette

import health
from broker import broker, configure_logs, settings
from health import Checks, Scope
from health.beside import serve_until_workers_end


def make_app(scope: Scope | None = None, parent_pid: int | None = None) -> Starlette:
    """The application.

    Parameters:
      scope: whose workers decide whether the queue is ready; None: as ``HEALTH_SCOPE`` says.
      parent_pid: see :class:`health.Checks`.
    """
    return health.make_app(_checks(scope or Scope(settings.health_scope), parent_pid))


def serve_beside_workers() -> int:
    """Serve in a fork of dramatiq's master, about its workers, until the last of them has ended. The exit code."""
    assert settings.health_port is not None
    configure_logs(settings)
    checks = _checks(Scope.MACHINE, parent_pid=os.getppid())
    return serve_until_workers_end(
        health.make_app(checks), checks, host=settings.health_host, port=settings.health_port
    )


def _checks(scope: Scope, parent_pid: int | None) -> Checks:
    return Checks(broker, scope=scope, stalled_after=settings.health_stalled_seconds, parent_pid=parent_pid)


@asynccontextmanager
async def _as_a_process_of_its_own(app: Starlette) -> AsyncIterator[None]:
    configure_logs(settings)  # not for an application that we are mounted in: it is not asked for its lifespan
    yield


app = make_app()
app.router.lifespan_context = _as_a_process_of_its_own
