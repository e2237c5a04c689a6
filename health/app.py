"""The routes. Each answer is JSON of one shape, is not to be stored, and tells strangers what they may know."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Iterable
from functools import cache
from http import HTTPStatus
from pathlib import Path
from typing import Any

from prometheus_client.core import Metric
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from .checks import Checks, Verdict
from .documents import describe, refusal
from .figures import Figures
from .metrics import expose
from .page import StatusPage

#: On every answer: what was true a second ago must not be served as true now.
HEADERS = {"Cache-Control": "no-store"}


def make_app(checks: Checks, page: StatusPage | None = None) -> Starlette:
    """An ASGI application with ``/health``, ``/live``, ``/ready``, ``/startup``, ``/metrics`` and ``/openapi.json``.

    With a page, that is at ``/``. Serve it by itself, or mount it in another application. It opens nothing before the
    first request.
    """

    figures = Figures(checks)

    async def live(request: Request) -> Response:
        return answer(checks.live())

    async def startup(request: Request) -> Response:
        return answer(await checks.startup())

    async def ready(request: Request) -> Response:
        return answer(await checks.ready())

    async def health(request: Request) -> Response:
        return answer(await checks.health(), with_queue=True)

    async def machine_metrics(request: Request) -> Response:
        return exposed(figures.of_machine(), request)

    async def queue_metrics(request: Request) -> Response:
        return exposed(await figures.of_queue(), request)

    def answer(verdict: Verdict, *, with_queue: bool = False) -> Response:
        document = describe(verdict, stuck_after=checks.stuck_after, with_queue=with_queue)
        return JSONResponse(document, 200 if verdict.is_good else 503, HEADERS)

    routes: dict[str, Callable[[Request], Awaitable[Response]]] = {
        "/health": health,
        "/live": live,
        "/ready": ready,
        "/startup": startup,
        "/metrics": machine_metrics,
        "/metrics/queue": queue_metrics,
        "/openapi.json": _openapi,
    }
    return Starlette(
        routes=[
            *(Route(path, endpoint) for path, endpoint in routes.items()),
            *([Route("/", page.show, methods=["GET", "POST"])] if page is not None else []),
        ],
        exception_handlers={HTTPException: _refuse, Exception: _fail},
    )


def exposed(families: Iterable[Metric], request: Request) -> Response:
    """Metrics as the collector's ``Accept`` header asks for them."""
    text, content_type = expose(families, request.headers.get("accept", ""))
    return Response(text, 200, {**HEADERS, "Content-Type": content_type})


async def _openapi(request: Request) -> Response:
    return JSONResponse(openapi(), 200, HEADERS)


@cache
def openapi() -> dict[str, Any]:
    """The OpenAPI document of the routes."""
    document: dict[str, Any] = json.loads((Path(__file__).parent / "openapi.json").read_text("utf-8"))
    return document


async def _refuse(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    phrase = HTTPStatus(error.status_code).phrase
    code = phrase.lower().replace(" ", "_")
    document = refusal(code, f"{phrase}: the routes are described by /openapi.json")
    return JSONResponse(document, error.status_code, {**HEADERS, **(error.headers or {})})


async def _fail(request: Request, error: Exception) -> Response:
    # The server that runs us logs the error with its stack; a stranger learns only that there was one.
    return JSONResponse(refusal("internal_server_error", "the answer could not be made; see the log"), 500, HEADERS)
