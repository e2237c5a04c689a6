"""The health sidecar: ``uvicorn health_app:app``. Answers from the database's facts, within a deadline.

``GET /health`` is 200 when the database answers and its queue schema is the one this code needs, 503 with the reason
otherwise. The figures are for people and dashboards; only the two conditions decide.
"""

from __future__ import annotations

import asyncio
from dataclasses import asdict
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from broker import broker
from leasequeue import DatabaseUnavailable, QueueError
from leasequeue.admin import Admin, Snapshot

#: Seconds for all questions to the database together.
DEADLINE = 1.5

#: Seconds after which the answer leaves without them: more probes than threads, or a name server that hangs.
ANSWER_WITHIN = 1.8

HEADERS = {"Cache-Control": "no-store"}


async def health(request: Request) -> JSONResponse:
    """The state of the queue; 200 or 503."""
    try:
        async with asyncio.timeout(ANSWER_WITHIN):
            snapshot = await asyncio.to_thread(Admin(broker).snapshot, DEADLINE)
    except TimeoutError:
        return _unavailable("The database did not answer in time.")
    except (DatabaseUnavailable, QueueError) as error:
        return _unavailable(str(error))
    return JSONResponse(describe(snapshot), 200, HEADERS)


def _unavailable(reason: str) -> JSONResponse:
    return JSONResponse({"status": "unavailable", "reason": reason}, 503, HEADERS)


def describe(snapshot: Snapshot) -> dict[str, Any]:
    """The JSON shape of a healthy answer. Times are seconds, counts stop at ``leasequeue.admin.COUNT_LIMIT``."""
    return {
        "status": "ok",
        "database": {"reachable": True, "round_trip_seconds": round(snapshot.round_trip_seconds, 6)},
        "schema": {"version": snapshot.schema_version, "expected": snapshot.schema_version_expected},
        "queues": {
            queue.name: {key: value for key, value in asdict(queue).items() if key != "name"}
            for queue in snapshot.queues
        },
        "workers": [
            {
                "host": worker.host,
                "pid": worker.pid,
                "threads": worker.threads,
                "holds": worker.holds,
                "draining": worker.draining,
                "silent_seconds": round(worker.silent_seconds, 3),
            }
            for worker in snapshot.workers
        ],
    }


app = Starlette(routes=[Route("/health", health)])
