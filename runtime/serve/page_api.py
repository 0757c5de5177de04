"""What the page asks: the state of the daemon, plans, figures of a model at work, and conversations."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from functools import cache
from importlib.metadata import version
from typing import Annotated, Any

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from ...errors import AccelError, NotAllowed, NotThere
from ..messages import plain
from ..plan import cautions
from .conversations import LONGEST_TITLE, Conversation
from .conversing import answered
from .daemon import Daemon
from .export import as_markdown, as_record, file_name
from .hosts import Host, Served
from .parsing import BadField, parsed
from .plan_view import plan_view
from .requesting import running_of
from .streams import json, streamed

LONGEST_TEXT = 2**21  # characters of a message
_LONGEST_SEARCH = 200
_CLOSED = 409  # HTTP: a model that is not open has no plan yet

Text = Annotated[str, msgspec.Meta(max_length=LONGEST_TEXT)]
Title = Annotated[str, msgspec.Meta(max_length=LONGEST_TITLE)]
Name = Annotated[str, msgspec.Meta(max_length=LONGEST_TITLE)]
Answer = Callable[[Request, Daemon], Awaitable[Any]]


class Begun(msgspec.Struct):
    """A new conversation; its system prompt is the settings' own where it has none."""

    model: Name = ""
    system: Text | None = None


class Change(msgspec.Struct):
    title: Title | None = None
    system: Text | None = None
    model: Name | None = None


class Ask(msgspec.Struct):
    """As `conversing.turn_of`."""

    text: Text = ""
    replace: int | None = None
    retry: bool = False


def shown(error: AccelError, status: int) -> dict[str, Any]:
    """An error, as an answer or as an event of one."""
    return {"type": "error", "message": str(error)}


def _route(path: str, **methods: Answer) -> Route:
    """Asked by the page alone: where there are keys the guard has seen one, elsewhere the page has a token."""

    async def answer(request: Request) -> Any:
        daemon: Daemon = request.app.state.daemon
        if not daemon.door.keys and not daemon.door.has_token(request.headers):
            raise NotAllowed("this is for the daemon's own page alone", "load the page again")
        return await methods["GET" if request.method == "HEAD" else request.method](request, daemon)

    return Route(path, answer, methods=list(methods))


async def _state(request: Request, daemon: Daemon) -> Response:
    lines = [host.served.turns.line for host in daemon.hosts if host.served]
    return json(
        {
            "version": _version(),
            "default": daemon.hosts.default,
            "models": [_model(host) for host in daemon.hosts],
            "running": sum(len(line.running) for line in lines),
            "waiting": sum(len(line.waiting) for line in lines),
            "notices": daemon.conversations.notices,
        }
    )


async def _plan(request: Request, daemon: Daemon) -> Response:
    host = daemon.hosts.find(request.path_params["model"])
    return json(plan_view(host.served.opened.plan)) if host.served else _closed(host)


async def _live(request: Request, daemon: Daemon) -> Response:
    host = daemon.hosts.find(request.path_params["model"])
    with daemon.hosts.held(host) as served:
        if not served:
            return _closed(host)
        now = await asyncio.to_thread(served.opened.worker.statistics)
    figures = msgspec.to_builtins(now)
    held = now.anonymous + now.mapped + now.pinned
    line = served.turns.line
    here = {"running": len(line.running), "waiting": len(line.waiting)}
    memory = {"held": held, "planned": int(served.opened.planned)}
    return json({"time": time.monotonic(), **figures, **here, **memory})


async def _list(request: Request, daemon: Daemon) -> Response:
    search = request.query_params.get("search", "")[:_LONGEST_SEARCH]
    found = await asyncio.to_thread(daemon.conversations.headings, plain(search))
    return json({"conversations": found})


async def _begin(request: Request, daemon: Daemon) -> Response:
    body = parsed(await request.body(), Begun)
    system = daemon.settings.system if body.system is None else body.system
    made = await asyncio.to_thread(daemon.conversations.create, body.model, plain(system))
    return json(_conversation(made), 201)


async def _get(request: Request, daemon: Daemon) -> Response:
    return json(_conversation(await _kept(request, daemon)))


async def _change(request: Request, daemon: Daemon) -> Response:
    body, id = parsed(await request.body(), Change), request.path_params["id"]
    given = {name: value if value is None else plain(value) for name, value in msgspec.structs.asdict(body).items()}
    await asyncio.to_thread(daemon.conversations.change, id, **given)
    return json(_conversation(await _kept(request, daemon)))


async def _delete(request: Request, daemon: Daemon) -> Response:
    id = request.path_params["id"]
    daemon.conversations.stop(id)
    await asyncio.to_thread(daemon.conversations.delete, id)
    return Response(status_code=204)


async def _answer(request: Request, daemon: Daemon) -> Any:
    body = parsed(await request.body(), Ask)
    kept = await _kept(request, daemon)
    running = running_of(request, daemon.hosts.find(kept.model).name)
    events = answered(daemon, kept.id, running, plain(body.text), body.replace, body.retry)
    return await streamed(events, shown, named=True)


async def _stop(request: Request, daemon: Daemon) -> Response:
    if not daemon.conversations.stop(request.path_params["id"]):
        raise NotThere("no answer is being given here")
    return Response(status_code=204)


async def _export(request: Request, daemon: Daemon) -> Response:
    kept, format = await _kept(request, daemon), request.query_params.get("format", "md")
    if format == "md":
        body, kind = as_markdown(kept).encode(), "text/markdown; charset=utf-8"
    elif format == "json":
        body, kind = msgspec.json.format(msgspec.json.encode(as_record(kept))), "application/json"
    else:
        raise BadField(f"there is no format '{format[:40]}'", "format", "ask for md or json")
    disposition = f'attachment; filename="{file_name(kept, format)}"'
    return Response(body, media_type=kind, headers={"content-disposition": disposition})


async def _kept(request: Request, daemon: Daemon) -> Conversation:
    return await asyncio.to_thread(daemon.conversations.get, request.path_params["id"])


def _conversation(kept: Conversation) -> dict[str, Any]:
    """Without what only the worker needs."""
    whole = {name: getattr(kept, name) for name in ("id", "title", "model", "system", "forgotten", "changed")}
    names = ("role", "content", "thought", "reason")
    return whole | {"messages": [{name: getattr(each, name) for name in names} for each in kept.messages]}


def _model(host: Host) -> dict[str, Any]:
    found = {"name": host.name, "state": host.state, "progress": host.progress}
    return found | {"error": str(host.error) if host.error else "", **(_open(host.served) if host.served else {})}


def _open(served: Served) -> dict[str, Any]:
    return {"context": served.ready.context, "cautions": cautions(served.opened.plan)}


def _closed(host: Host) -> Response:
    error = AccelError(f"{host.name} is not open", "send it a message: that opens it")
    return json(shown(error, _CLOSED), _CLOSED)


@cache
def _version() -> str:
    return version("accel-runtime")


_ONE = "/api/conversations/{id}"
ROUTES = [
    _route("/api/state", GET=_state),
    _route("/api/plan/{model:path}", GET=_plan),
    _route("/api/live/{model:path}", GET=_live),
    _route("/api/conversations", GET=_list, POST=_begin),
    _route(_ONE, GET=_get, PATCH=_change, DELETE=_delete),
    _route(f"{_ONE}/answer", POST=_answer, DELETE=_stop),
    _route(f"{_ONE}/export", GET=_export),
]


def answers(path: str) -> bool:
    """Whether a path is the page's to ask."""
    return path.startswith(("/api/state", "/api/plan/", "/api/live/", "/api/conversations"))
