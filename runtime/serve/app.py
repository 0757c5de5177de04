"""The daemon as an ASGI application: which path is answered by what."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp, Scope

from ...errors import AccelError, TemplateError
from . import caches, log, openapi, page, page_api
from .anthropic import api as anthropic_api
from .anthropic.errors import shown as shown_by_anthropic
from .daemon import Daemon
from .guard import Guard
from .openai import api as openai_api
from .openai.errors import shown
from .status import status_of
from .streams import Show, json, refused


async def health(request: Request) -> Response:
    daemon: Daemon = request.app.state.daemon
    state, reasons = daemon.health()
    return json({"status": state, "reasons": reasons}, 503 if state == "starting" else 200)


async def metrics(request: Request) -> Response:
    daemon: Daemon = request.app.state.daemon
    return Response(daemon.metrics.text(await daemon.statistics()), media_type="text/plain; version=0.0.4")


async def status(request: Request) -> Response:
    return json(await status_of(request.app.state.daemon))


def build_app(daemon: Daemon) -> ASGIApp:
    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        watching = asyncio.create_task(daemon.hosts.watch())
        try:
            yield
        finally:
            watching.cancel()
            await daemon.hosts.close_all()
            daemon.conversations.close()

    app = Starlette(
        routes=[
            Route("/health", health),
            Route("/metrics", metrics),
            Route("/v1/status", status),
            *caches.ROUTES,
            *openai_api.ROUTES,
            *anthropic_api.ROUTES,
            *openapi.ROUTES,
            *page_api.ROUTES,
            *page.routes("" if daemon.door.keys else daemon.door.token),
        ],
        exception_handlers={AccelError: _failed, HTTPException: _unknown, Exception: _broken},
        lifespan=lifespan,
    )
    app.state.daemon = daemon
    paths: dict[Any, str] = {route.endpoint: route.path for route in app.routes if isinstance(route, Route)}

    def told(scope: Scope, status: int) -> None:
        path = paths.get(scope.get("endpoint"), "none")  # as it is declared: what clients make up fills no memory
        daemon.metrics.requests.labels(path, str(status)).inc()

    return Guard(app, daemon.door, show_for, told)


def show_for(path: str) -> Show:
    if path.startswith("/v1/messages"):
        return shown_by_anthropic
    return page_api.shown if page_api.answers(path) else shown


async def _failed(request: Request, error: Any) -> Response:
    response = refused(error, show_for(request.url.path))
    if response.status_code >= 500:
        what = "" if isinstance(error, TemplateError) else str(error)  # a template's own words may quote messages
        kind, path = type(error).__name__, request.url.path
        log.trouble("failed", id=request.scope.get("accel.id"), path=path, kind=kind, what=what)
    return response


async def _unknown(request: Request, error: Any) -> Response:
    """Paths and methods that there are not."""
    words = {404: "there is nothing at this path", 405: "this path is asked otherwise"}
    what = AccelError(words.get(error.status_code, error.detail or ""))
    return json(show_for(request.url.path)(what, error.status_code), error.status_code, error.headers)


async def _broken(request: Request, error: Exception) -> Response:
    log.trouble("broken", error, id=request.scope.get("accel.id"), path=request.url.path)
    return refused(AccelError("the daemon met a fault of its own", "its log says more"), show_for(request.url.path))
