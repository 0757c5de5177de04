"""OpenAI's endpoints."""

import asyncio
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from ....errors import ModelMissing, NotThere
from ..daemon import Daemon
from ..desk import collected, embedded
from ..parsing import BadField, parsed
from ..requesting import running_of
from ..streams import json, streamed, unless_gone
from . import chat, completions, embeddings, responses
from .errors import shown
from .shapes import ChatRequest, CompletionRequest, Drawing, EmbeddingsRequest, ResponsesRequest, Tokenize

_DONE = b"[DONE]"


async def complete_chat(request: Request) -> Any:
    daemon: Daemon = request.app.state.daemon
    body = parsed(await request.body(), ChatRequest)
    asked = chat.asked(body, daemon.settings)
    name = daemon.hosts.find(body.model).name
    writer = chat.Writer(name, asked.count, _wants_usage(body))
    pieces = daemon.pieces([asked], running_of(request, name, body.service_tier == "flex"))
    if body.stream:
        return await streamed(writer.chunks(pieces), shown, done=_DONE)
    return json(writer.whole(await unless_gone(request, collected(pieces, asked.count))))


async def complete(request: Request) -> Any:
    daemon: Daemon = request.app.state.daemon
    body = parsed(await request.body(), CompletionRequest)
    asked = completions.asked(body, daemon.settings)
    name = daemon.hosts.find(body.model).name
    echoed = await _texts(daemon, name, asked) if body.echo else ()
    writer = completions.Writer(name, asked[0].count, _wants_usage(body), echoed)
    pieces = daemon.pieces(asked, running_of(request, name, body.service_tier == "flex"))
    if body.stream:
        return await streamed(writer.chunks(pieces), shown, done=_DONE)
    return json(writer.whole(await unless_gone(request, collected(pieces, len(asked) * asked[0].count))))


async def respond(request: Request) -> Any:
    daemon: Daemon = request.app.state.daemon
    body = parsed(await request.body(), ResponsesRequest)
    asked = responses.asked(body, daemon.settings)
    name = daemon.hosts.find(body.model).name
    writer = responses.Writer(name, body)
    pieces = daemon.pieces([asked], running_of(request, name, body.service_tier == "flex"))
    if body.stream:
        return await streamed(writer.events(pieces), shown, named=True)
    (found,) = await unless_gone(request, collected(pieces, 1))
    return json(writer.whole(found))


async def embed(request: Request) -> Any:
    daemon: Daemon = request.app.state.daemon
    body = parsed(await request.body(), EmbeddingsRequest)
    texts = embeddings.texts(body)
    running = running_of(request, daemon.hosts.find(body.model).name)
    async with daemon.model_of(running) as served:
        embeddings.check_dimensions(body, served.ready.embeds)
        found = await unless_gone(request, embedded(served, texts, running))
    return json(embeddings.written(body, running.model, found))


async def list_models(request: Request) -> Response:
    daemon: Daemon = request.app.state.daemon
    return json({"object": "list", "data": [_model(daemon, host.name) for host in daemon.hosts]})


async def show_model(request: Request) -> Response:
    daemon: Daemon = request.app.state.daemon
    name = request.path_params["name"]
    if not name:
        raise ModelMissing("no model is named")
    return json(_model(daemon, daemon.hosts.find(name).name))


async def tokenize(request: Request) -> Response:
    daemon: Daemon = request.app.state.daemon
    body = parsed(await request.body(), Tokenize)
    async with daemon.hosts.use(body.model) as served:
        tokens = await asyncio.to_thread(served.opened.worker.encode, [body.content or body.prompt])
        return json({"tokens": tokens, "count": len(tokens), "max_model_len": served.ready.context})


async def cancel(request: Request) -> Response:
    daemon: Daemon = request.app.state.daemon
    id = request.path_params["id"]
    if not daemon.requests.cancel(id):
        raise NotThere(f"no request {id[:100]} is being answered")
    return json({"id": id, "object": "request", "cancelled": True})


def _wants_usage(body: Drawing) -> bool:
    return bool(body.stream and body.stream_options and body.stream_options.include_usage)


async def _texts(daemon: Daemon, name: str, asked: list[Any]) -> tuple[str, ...]:
    """Of prompts that are to be echoed."""
    if not all(isinstance(each.prompt[0], str) for each in asked):
        raise BadField("`echo` needs prompts that are texts", "echo")
    return tuple(each.prompt[0] for each in asked)


def _model(daemon: Daemon, name: str) -> dict[str, Any]:
    host = daemon.hosts.find(name)
    found: dict[str, Any] = {"id": name, "object": "model", "created": 0, "owned_by": "accel", "state": host.state}
    if host.served:
        found |= {"context": host.served.ready.context, "sequences": host.served.ready.sequences}
    return found


ROUTES = [
    Route("/v1/chat/completions", complete_chat, methods=["POST"]),
    Route("/v1/completions", complete, methods=["POST"]),
    Route("/v1/responses", respond, methods=["POST"]),
    Route("/v1/embeddings", embed, methods=["POST"]),
    Route("/v1/models", list_models),
    Route("/v1/models/{name:path}", show_model),
    Route("/v1/tokenize", tokenize, methods=["POST"]),
    Route("/v1/requests/{id}", cancel, methods=["DELETE"]),
]
