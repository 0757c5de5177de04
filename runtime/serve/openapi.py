"""The daemon's own description of its API (OpenAPI 3.1), made from the shapes that requests are read with."""

from dataclasses import dataclass
from functools import cache
from importlib.metadata import version
from typing import Any

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from .anthropic.shapes import CountRequest, MessagesRequest
from .caches import PARAMETER
from .openai.shapes import (
    ChatRequest,
    CompletionRequest,
    EmbeddingsRequest,
    ResponsesRequest,
    Tokenize,
)
from .streams import json

_ANY = {"type": "object"}


@dataclass(frozen=True, slots=True)
class _Operation:
    method: str
    path: str
    what: str
    body: type | None = None
    streams: bool = False  # whether it can be answered as events
    text: bool = False  # whether it is answered in plain text
    query: tuple[str, ...] = ()  # parameters that may be given


_OPERATIONS = (
    _Operation("post", "/v1/chat/completions", "Go on with a conversation", ChatRequest, streams=True),
    _Operation("post", "/v1/completions", "Go on with texts as they stand", CompletionRequest, streams=True),
    _Operation("post", "/v1/responses", "Go on with a conversation of items", ResponsesRequest, streams=True),
    _Operation("post", "/v1/messages", "Go on with a conversation, as Anthropic does", MessagesRequest, streams=True),
    _Operation("post", "/v1/messages/count_tokens", "How many tokens a conversation has", CountRequest),
    _Operation("post", "/v1/embeddings", "Make vectors of texts", EmbeddingsRequest),
    _Operation("post", "/v1/tokenize", "What a text is in tokens", Tokenize),
    _Operation("get", "/v1/models", "The models that can be asked"),
    _Operation("get", "/v1/models/{name}", "One of the models"),
    _Operation("delete", "/v1/requests/{id}", "End a request that is being answered"),
    _Operation("get", "/v1/caches", "What is cached of prompts, of all models or of one", query=(PARAMETER,)),
    _Operation("delete", "/v1/caches", "Let go what is cached of prompts that are not answered", query=(PARAMETER,)),
    _Operation("get", "/health", "Whether it can answer"),
    _Operation("get", "/metrics", "What it counts, for Prometheus", text=True),
)


async def show(request: Request) -> Response:
    return json(described())


@cache
def described() -> dict[str, Any]:
    bodies = [operation.body for operation in _OPERATIONS if operation.body]
    shapes, components = msgspec.json.schema_components(bodies, ref_template="#/components/schemas/{name}")
    shape_of = dict(zip(bodies, shapes, strict=True))
    paths: dict[str, dict[str, Any]] = {}
    for operation in _OPERATIONS:
        paths.setdefault(operation.path, {})[operation.method] = _described(operation, shape_of)
    return {
        "openapi": "3.1.0",
        "info": {"title": "accel", "version": version("accel-runtime")},
        "paths": paths,
        "components": {"schemas": components, "securitySchemes": {"key": {"type": "http", "scheme": "bearer"}}},
        "security": [{}, {"key": []}],
    }


def _described(operation: _Operation, shape_of: dict[type, Any]) -> dict[str, Any]:
    kinds = ["text/plain"] if operation.text else ["application/json"]
    if operation.streams:
        kinds.append("text/event-stream")
    answer = {"description": "The answer", "content": {kind: {} for kind in kinds}}
    error = {"description": "Why there is none", "content": {"application/json": {"schema": _ANY}}}
    found: dict[str, Any] = {"summary": operation.what, "responses": {"200": answer, "default": error}}
    places = {part[1:-1]: "path" for part in operation.path.split("/") if part.startswith("{")}
    places |= dict.fromkeys(operation.query, "query")
    if places:
        found["parameters"] = [
            {"name": name, "in": place, "required": place == "path", "schema": {"type": "string"}}
            for name, place in places.items()
        ]
    if operation.body:
        content = {"application/json": {"schema": shape_of[operation.body]}}
        found["requestBody"] = {"required": True, "content": content}
    return found


ROUTES = [Route("/openapi.json", show)]
