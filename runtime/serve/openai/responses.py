"""`POST /v1/responses`: OpenAI's newer form of a conversation. Nothing is kept of it here: each request brings all."""

import secrets
import time
from collections.abc import AsyncGenerator, AsyncIterator, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec

from ....errors import AccelError
from ...messages import Chance, Usage
from ...settings import Settings
from ..asked import Asked, Call, Ended, Piece, Words
from ..parsing import BadField, refuse
from ..tools import must_call, plain_tool
from .chat import content_of, grammar_of, logprob_of, message_of, thinking_of
from .law import law_of, stops_of
from .shapes import (
    CalledFunction,
    ChatMessage,
    Item,
    ResponsesChoice,
    ResponsesFormat,
    ResponsesRequest,
    ToolCall,
)

_LOGPROBS = "message.output_text.logprobs"  # in `include`
_PARTS = {"message": "output_text", "reasoning": "reasoning_text"}  # what items of a type hold


def asked(request: ResponsesRequest, settings: Settings) -> Asked:
    """Raises BadField, SettingError."""
    kept = "names what was kept, and nothing is kept here: send the conversation as `input`"
    for name in ("previous_response_id", "conversation", "prompt"):
        refuse(getattr(request, name), name, kept)
    refuse(request.background, "background", "is not supported: ask for a stream, or wait")
    choice, offered = request.tool_choice, request.tools or ()
    tools = tuple(plain_tool(tool.name, tool.description, tool.parameters) for tool in offered if choice != "none")
    must = must_call(choice == "required", choice.name if isinstance(choice, ResponsesChoice) else None, tools)
    wanted = _format(request)
    wants_logprobs = request.top_logprobs is not None or _LOGPROBS in (request.include or ())
    return Asked(
        law=law_of(request, settings),
        messages=tuple(_messages(request)),
        tools=tools,
        must_call=must,
        most=request.max_output_tokens or settings.max_tokens,
        stops=stops_of(request.stop, settings),
        grammar=None if must is not None else grammar_of(wanted.type, wanted.schema, "text.format.schema"),
        chances=(request.top_logprobs or 0) if wants_logprobs else None,
        variables=thinking_of(request.reasoning.effort if request.reasoning else None),
    )


def _format(request: ResponsesRequest) -> ResponsesFormat:
    return (request.text.format if request.text else None) or ResponsesFormat()


def _messages(request: ResponsesRequest) -> list[dict[str, Any]]:
    """As templates know them: calls belong to the assistant's message before them."""
    found: list[dict[str, Any]] = []
    if request.instructions:
        found.append({"role": "system", "content": request.instructions})
    items = [Item(role="user", content=request.input)] if isinstance(request.input, str) else request.input
    for number, item in enumerate(items):
        if item.type == "reasoning":
            continue
        message = _message(item, f"input[{number}]")
        if item.type == "function_call" and found and found[-1]["role"] == "assistant":
            found[-1].setdefault("tool_calls", []).extend(message["tool_calls"])
        else:
            found.append(message)
    return found


def _message(item: Item, place: str) -> dict[str, Any]:
    match item.type:
        case "message":
            if item.role is None:
                raise BadField("a message has no role", f"{place}.role")
            return message_of(ChatMessage(item.role, item.content), place)
        case "function_call":
            call = ToolCall(CalledFunction(item.name, item.arguments), item.call_id)
            return message_of(ChatMessage("assistant", tool_calls=[call]), place)
        case "function_call_output":
            output = content_of(item.output, f"{place}.output")
            return {"role": "tool", "tool_call_id": item.call_id, "content": output}
        case other:
            raise BadField(f"an item of type '{other[:40]}' is nothing that a model here can read", f"{place}.type")


@dataclass(slots=True)
class _Open:
    """An item that is being written."""

    kind: str  # "message" or "reasoning"
    id: str
    text: str = ""
    chances: list[Chance] = field(default_factory=list)

    @property
    def part(self) -> dict[str, Any]:
        if self.kind == "reasoning":
            return {"type": "reasoning_text", "text": self.text}
        logprobs = [logprob_of(chance) for chance in self.chances]
        return {"type": "output_text", "text": self.text, "annotations": [], "logprobs": logprobs}

    def item(self, status: str) -> dict[str, Any]:
        content = [] if status == "in_progress" else [self.part]
        found = {"type": self.kind, "id": self.id, "status": status, "content": content}
        return found | ({"summary": []} if self.kind == "reasoning" else {"role": "assistant"})


@dataclass(slots=True)
class Writer:
    """The answer to one request, whole or as events."""

    model: str
    request: ResponsesRequest
    id: str = field(default_factory=lambda: _new_id("resp"))
    created: int = field(default_factory=lambda: int(time.time()))
    _output: list[dict[str, Any]] = field(default_factory=list)
    _open: _Open | None = None
    _events: int = 0

    def whole(self, pieces: Sequence[Piece]) -> dict[str, Any]:
        (*_, last) = (event for piece in pieces for event in self._told(piece))
        return last["response"]

    async def events(self, pieces: AsyncIterator[tuple[int, Piece]]) -> AsyncGenerator[dict[str, Any]]:
        """What fails before anything was told is raised."""
        try:
            async for _, piece in pieces:
                if not self._events:
                    yield self._event("response.created", response=self._response("in_progress"))
                    yield self._event("response.in_progress", response=self._response("in_progress"))
                for event in self._told(piece):
                    yield event
        except AccelError as error:
            if not self._events:
                raise
            told = {"code": "server_error", "message": str(error)}
            yield self._event("response.failed", response=self._response("failed", error=told))

    def _told(self, piece: Piece) -> Iterator[dict[str, Any]]:
        match piece:
            case Words():
                kind = "reasoning" if piece.thought else "message"
                if not self._open or self._open.kind != kind:
                    yield from self._close("completed")
                    yield from self._begin(_Open(kind, _new_id("rs" if piece.thought else "msg")))
                yield from self._add(piece)
            case Call():
                yield from self._close("completed")
                yield from self._call(piece)
            case Ended():
                cut = piece.reason in ("length", "context")
                status = "incomplete" if cut else "completed"
                yield from self._close(status)
                why = {"incomplete_details": {"reason": "max_output_tokens"}} if cut else {}
                response = self._response(status, usage=_usage(piece.usage), **why)
                yield self._event(f"response.{status}", response=response)

    def _begin(self, opened: _Open) -> Iterator[dict[str, Any]]:
        self._open = opened
        item = opened.item("in_progress")
        yield self._event("response.output_item.added", output_index=len(self._output), item=item)
        yield self._event("response.content_part.added", **self._place(opened), part=opened.part)

    def _add(self, words: Words) -> Iterator[dict[str, Any]]:
        if opened := self._open:
            opened.text += words.text
            opened.chances += words.chances
            logprobs = {} if words.thought else {"logprobs": [logprob_of(chance) for chance in words.chances]}
            kind = f"response.{_PARTS[opened.kind]}.delta"
            yield self._event(kind, **self._place(opened), delta=words.text, **logprobs)

    def _close(self, status: str) -> Iterator[dict[str, Any]]:
        if opened := self._open:
            self._open = None
            place, part = self._place(opened), opened.part
            logprobs = {"logprobs": part["logprobs"]} if "logprobs" in part else {}
            yield self._event(f"response.{part['type']}.done", **place, text=opened.text, **logprobs)
            yield self._event("response.content_part.done", **place, part=part)
            yield self._done(opened.item(status))

    def _call(self, call: Call) -> Iterator[dict[str, Any]]:
        item = {"type": "function_call", "id": _new_id("fc"), "call_id": _new_id("call"), "name": call.name}
        place = {"item_id": item["id"], "output_index": len(self._output)}
        begun = item | {"arguments": "", "status": "in_progress"}
        yield self._event("response.output_item.added", output_index=len(self._output), item=begun)
        yield self._event("response.function_call_arguments.delta", **place, delta=call.arguments)
        arguments = {"arguments": call.arguments, "name": call.name}
        yield self._event("response.function_call_arguments.done", **place, **arguments)
        yield self._done(item | {"arguments": call.arguments, "status": "completed"})

    def _done(self, item: dict[str, Any]) -> dict[str, Any]:
        self._output.append(item)
        return self._event("response.output_item.done", output_index=len(self._output) - 1, item=item)

    def _place(self, opened: _Open) -> dict[str, Any]:
        return {"item_id": opened.id, "output_index": len(self._output), "content_index": 0}

    def _event(self, type: str, **fields: Any) -> dict[str, Any]:
        self._events += 1
        return {"type": type, "sequence_number": self._events - 1, **fields}

    def _response(self, status: str, **more: Any) -> dict[str, Any]:
        """What was asked for is told back, as far as it is understood."""
        request = self.request
        found: dict[str, Any] = {
            "id": self.id,
            "object": "response",
            "created_at": self.created,
            "status": status,
            "error": None,
            "incomplete_details": None,
            "instructions": request.instructions,
            "max_output_tokens": request.max_output_tokens,
            "metadata": request.metadata or {},
            "model": self.model,
            "output": list(self._output),
            "parallel_tool_calls": True,
            "previous_response_id": None,
            "reasoning": {"effort": request.reasoning.effort if request.reasoning else None, "summary": None},
            "store": False,
            "temperature": request.temperature,
            "text": {"format": msgspec.to_builtins(_format(request))},
            "tool_choice": msgspec.to_builtins(request.tool_choice or "auto"),
            "tools": msgspec.to_builtins(request.tools or []),
            "top_p": request.top_p,
            "truncation": "disabled",
            "usage": None,
        }
        return found | more


def _new_id(kind: str) -> str:
    return f"{kind}_{secrets.token_hex(12)}"


def _usage(usage: Usage) -> dict[str, Any]:
    return {
        "input_tokens": usage.prompt,
        "input_tokens_details": {"cached_tokens": usage.reused},
        "output_tokens": usage.generated,
        "output_tokens_details": {"reasoning_tokens": usage.thought},
        "total_tokens": usage.prompt + usage.generated,
    }
