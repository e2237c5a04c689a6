"""The routes: ``POST /index`` writes job and message and answers, ``GET /jobs/{id}`` reads how the job goes."""

from __future__ import annotations

import gc
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from http import HTTPStatus
from typing import Any
from uuid import UUID, uuid4

from starlette.applications import Starlette
from starlette.background import BackgroundTask
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from actors import broker, enqueue_index_job, index_repo
from broker import settings, start_queue, stop_queue
from indexing.jobs import JobRow, add_repository, get_job
from indexing.location import owner_of
from leasequeue import DatabaseUnavailable, QueueError

from .orders import MAX_BODY_BYTES, BadOrder, Order
from .sessions import Sessions

#: Seconds after which somebody who was told that the database is away may ask again.
RETRY_AFTER = 5

sessions = Sessions(settings.supabase_db_url)


async def post_index(request: Request) -> JSONResponse:
    """Take an order: 202 with a link to the job, which is on disk by then."""
    order = Order.read(await _body(request), local_directories=settings.index_local_directories)
    job_id = await run_in_threadpool(_enqueue, order)
    link = request.url_for("job", job_id=job_id).path
    # Behind the answer: nobody has to wait for a bell, without which the job is found with the next poll.
    bell = BackgroundTask(_ring)
    document = {"job_id": job_id, "status": "pending", "links": {"job": link}}
    return JSONResponse(document, 202, {"Location": link}, background=bell)


async def get_index_job(request: Request) -> JSONResponse:
    """How a job goes. One that gave way to a newer one of its repository is ``merged``, with a link to that one."""
    job = await run_in_threadpool(_find, request.path_params["job_id"])
    if job is None:
        raise HTTPException(404, "no job has this id; POST /index answers with the link to one")
    document = _described(job)
    if job.merged_into is not None:
        document["links"] = {"job": request.url_for("job", job_id=job.merged_into).path}
    return JSONResponse(document, headers={"Cache-Control": "no-store"})


async def _body(request: Request) -> bytes:
    """What was sent, read no further than an order can be long."""
    body = b""
    async for part in request.stream():
        body += part
        if len(body) > MAX_BODY_BYTES:
            raise HTTPException(413, f"expected a body of at most {MAX_BODY_BYTES} bytes")
    return body


def _enqueue(order: Order) -> str:
    """Repository, job and message in one transaction: all of them, or none."""
    job_id = str(uuid4())
    with sessions.transaction() as cursor:
        repository_id = add_repository(cursor, order.repository)
        owner = owner_of(order.repository)
        enqueue_index_job(cursor, repository_id, order.commit, index_job_id=job_id, owner=owner)
    return job_id


def _ring() -> None:
    with suppress(DatabaseUnavailable, QueueError):
        broker.ring(index_repo.queue_name)


def _find(job_id: UUID) -> JobRow | None:
    with sessions.transaction() as cursor:
        return get_job(cursor, str(job_id))


def _described(job: JobRow) -> dict[str, Any]:
    share = job.files_done / job.files_total if job.files_total else None
    return {
        "job_id": job.id,
        "repository": job.repository_url,
        "commit": job.resolved_sha or job.commit_sha,
        "status": job.status,
        "progress": {
            "phase": job.phase,
            "files_done": job.files_done,
            "files_total": job.files_total,
            "bytes_done": job.bytes_done,
            "share": share,
            "rest_seconds": job.rest_seconds,
        },
        "result": job.stats,
        "error": job.error,
        "failed_runs": job.retry_count,
        "created_at": job.created_at.isoformat(),
        "finished_at": job.finished_at.isoformat() if job.finished_at else None,
    }


# What goes wrong, in one shape: {"error": {"code": ..., "message": ...}}.


def _refusal(status: int, message: str, headers: Mapping[str, str] | None = None) -> JSONResponse:
    code = HTTPStatus(status).phrase.lower().replace(" ", "_")
    return JSONResponse({"error": {"code": code, "message": message}}, status, headers)


async def _refuse(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, HTTPException)
    is_bare = error.detail == HTTPStatus(error.status_code).phrase
    message = "this API has POST /index and GET /jobs/{UUID of a job}" if is_bare else error.detail
    return _refusal(error.status_code, message, error.headers)


async def _refuse_order(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, BadOrder)
    return _refusal(error.status, str(error))


async def _database_away(request: Request, error: Exception) -> JSONResponse:
    # The reason names hosts and ports: it is for the log of whoever runs this, not for a stranger.
    message = f"the database is not available; try again in {RETRY_AFTER} s"
    return _refusal(503, message, {"Retry-After": str(RETRY_AFTER)})


async def _fail(request: Request, error: Exception) -> JSONResponse:
    # Starlette raises it again behind this answer, so that the server logs it with its stack.
    return _refusal(500, "the answer could not be made; the log of the API says why")


@asynccontextmanager
async def _lifespan(app: Starlette) -> AsyncIterator[None]:
    start_queue()
    # What has been loaded is never garbage, and each look at all of it would stop the answers for some 20 ms.
    gc.freeze()
    yield
    sessions.close()
    stop_queue()


app = Starlette(
    routes=[
        Route("/index", post_index, methods=["POST"]),
        Route("/jobs/{job_id:uuid}", get_index_job, name="job"),
    ],
    exception_handlers={
        HTTPException: _refuse,
        BadOrder: _refuse_order,
        DatabaseUnavailable: _database_away,
        Exception: _fail,
    },
    lifespan=_lifespan,
)
