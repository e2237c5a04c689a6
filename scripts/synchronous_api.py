"""The old way, for scripts/bench_api.py to measure: ``POST /index`` indexes inside the request, and answers at its end.

The same indexing into the same tables as a worker's, with the same session at once for each request.
"""

from __future__ import annotations

import os
from contextlib import closing

import psycopg2
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from indexing.access import Access
from indexing.jobs import add_repository
from indexing.limits import Limits
from indexing.run import index_commit


async def post_index(request: Request) -> JSONResponse:
    order = await request.json()
    return JSONResponse(await run_in_threadpool(_index, order["repository"]))


def _index(url: str) -> dict[str, int]:
    with closing(psycopg2.connect(os.environ["SUPABASE_DB_URL"])) as connection:
        with connection, connection.cursor() as cursor:
            repository_id = add_repository(cursor, url)
        report = index_commit(
            connection,
            url,
            repository_id,
            None,
            limits=Limits(),
            access=Access(local_directories=("/",)),
            on_progress=lambda progress: None,
        )
    return {"files": report.files_processed, "symbols": report.symbols_extracted}


app = Starlette(routes=[Route("/index", post_index, methods=["POST"])])
