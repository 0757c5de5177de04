"""Anthropic's endpoints."""

from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from ..daemon import Daemon
from ..desk import collected, count
from ..parsing import parsed
from ..requesting import running_of
from ..streams import json, streamed, unless_gone
from . import messages
from .errors import shown
from .shapes import CountRequest, MessagesRequest


async def create_message(request: Request) -> Any:
    daemon: Daemon = request.app.state.daemon
    body = parsed(await request.body(), MessagesRequest)
    asked = messages.asked(body, daemon.settings)
    name = daemon.hosts.find(body.model).name
    writer = messages.Writer(name)
    pieces = daemon.pieces([asked], running_of(request, name))
    if body.stream:
        return await streamed(writer.events(pieces), shown, named=True)
    (found,) = await unless_gone(request, collected(pieces, 1))
    return json(writer.whole(found))


async def count_tokens(request: Request) -> Response:
    daemon: Daemon = request.app.state.daemon
    body = parsed(await request.body(), CountRequest)
    asked = messages.prompt_asked(body, daemon.settings)
    async with daemon.hosts.use(body.model) as served:
        return json({"input_tokens": await count(served, asked)})


ROUTES = [
    Route("/v1/messages", create_message, methods=["POST"]),
    Route("/v1/messages/count_tokens", count_tokens, methods=["POST"]),
]
