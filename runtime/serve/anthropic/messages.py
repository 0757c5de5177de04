"""`POST /v1/messages`: Anthropic's requests to what is asked, and pieces to Anthropic's answers."""

import secrets
from collections.abc import AsyncGenerator, AsyncIterator, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import msgspec

from ...messages import Usage
from ...settings import Settings
from ..asked import Asked, Call, Ended, Piece, Reading, Words
from ..openai.chat import grammar_of
from ..openai.law import law_of
from ..openai.shapes import Drawing
from ..parsing import BadField
from ..tools import must_call, plain_tool
from .shapes import Block, CountRequest, InputMessage, MessagesRequest


def asked(request: MessagesRequest, settings: Settings) -> Asked:
    """Raises BadField, SettingError."""
    drawing = Drawing(temperature=request.temperature, top_p=request.top_p, top_k=request.top_k)
    return replace(
        prompt_asked(request, settings),
        law=law_of(drawing, settings),
        most=request.max_tokens,
        stops=settings.stop if request.stop_sequences is None else request.stop_sequences,
    )


def prompt_asked(request: CountRequest, settings: Settings) -> Asked:
    """The same as far as it makes a prompt. Raises BadField."""
    last, choice = len(request.messages) - 1, request.tool_choice
    if request.messages[last].role == "assistant":
        what = "the last message is the assistant's, and no answer is begun for it: the models here begin their own"
        raise BadField(what, f"messages[{last}].role")
    kind = choice.type if choice else "auto"
    if choice and kind == "tool" and not choice.name:
        raise BadField("`tool_choice` names no tool", "tool_choice.name")
    offered = request.tools or () if kind != "none" else ()
    tools = tuple(plain_tool(tool.name, tool.description, tool.input_schema) for tool in offered)
    must = must_call(kind == "any", choice.name if choice and kind == "tool" else None, tools)
    wanted = request.output_config.format if request.output_config and must is None else None
    return Asked(
        law=law_of(Drawing(), settings),
        messages=tuple(_messages(request)),
        tools=tools,
        must_call=must,
        grammar=grammar_of(wanted.type, wanted.schema, "output_config.format.schema") if wanted else None,
        variables=_variables(request),
    )


def _variables(request: CountRequest) -> dict[str, Any]:
    """Of templates."""
    effort = request.output_config.effort if request.output_config else None
    found: dict[str, Any] = {} if effort is None else {"reasoning_effort": effort}
    return found | ({"enable_thinking": request.thinking.type != "disabled"} if request.thinking else {})


def _messages(request: CountRequest) -> Iterator[dict[str, Any]]:
    """As templates know them."""
    if request.system:
        yield {"role": "system", "content": _text(request.system, "system")}
    names: dict[str, str] = {}  # of the tools that were called, by the calls' numbers
    for number, message in enumerate(request.messages):
        place = f"messages[{number}].content"
        match message.role:
            case "user":
                yield from _of_user(message, place, names)
            case "assistant":
                yield _of_assistant(message, place, names)
            case "system":
                yield {"role": "system", "content": _text(message.content, place)}


def _of_user(message: InputMessage, place: str, names: dict[str, str]) -> Iterator[dict[str, Any]]:
    """Results of tools are messages of their own, and come first."""
    blocks = _blocks(message.content, ("text", "tool_result"), place)
    results = [(number, block) for number, block in enumerate(blocks) if block.type == "tool_result"]
    for number, block in results:
        text = _text(block.content or "", f"{place}[{number}].content")
        named = {"name": names[block.tool_use_id]} if block.tool_use_id in names else {}
        yield {"role": "tool", "tool_call_id": block.tool_use_id, "content": text, **named}
    if len(results) < len(blocks) or not results:
        yield {"role": "user", "content": _joined(blocks)}


def _of_assistant(message: InputMessage, place: str, names: dict[str, str]) -> dict[str, Any]:
    blocks = _blocks(message.content, ("text", "thinking", "redacted_thinking", "tool_use"), place)
    found: dict[str, Any] = {"role": "assistant", "content": _joined(blocks)}
    if thoughts := [block.thinking for block in blocks if block.type == "thinking"]:
        found["reasoning_content"] = "\n".join(thoughts)
    if calls := [block for block in blocks if block.type == "tool_use"]:
        names |= {call.id: call.name for call in calls}
        found["tool_calls"] = [
            {"id": call.id, "type": "function", "function": {"name": call.name, "arguments": call.input or {}}}
            for call in calls
        ]
    return found


def _text(content: str | list[Block], place: str) -> str:
    return _joined(_blocks(content, ("text",), place))


def _blocks(content: str | list[Block], known: Sequence[str], place: str) -> list[Block]:
    """Raises BadField for one of another type."""
    if isinstance(content, str):
        return [Block("text", content)]
    for number, block in enumerate(content):
        if block.type not in known:
            what = f"a block of type '{block.type[:40]}' is nothing that a model here can read"
            raise BadField(what, f"{place}[{number}].type", f"send {' or '.join(known)}")
    return content


def _joined(blocks: Sequence[Block]) -> str:
    return "\n".join(block.text for block in blocks if block.type == "text")


@dataclass(slots=True)
class Writer:
    """The answer to one request, whole or as events."""

    model: str
    id: str = field(default_factory=lambda: f"msg_{secrets.token_hex(12)}")
    _begun: bool = False
    _block: str = ""  # type of the one that is open
    _blocks: int = 0  # that were opened

    def whole(self, pieces: Sequence[Piece]) -> dict[str, Any]:
        (ended,) = (piece for piece in pieces if isinstance(piece, Ended))
        blocks = [_whole_block(piece) for piece in pieces if isinstance(piece, Words | Call)]
        return self._message(blocks, _usage(ended.usage)) | _stop(ended)

    async def events(self, pieces: AsyncIterator[tuple[int, Piece]]) -> AsyncGenerator[dict[str, Any]]:
        async for _, piece in pieces:
            for event in self._events(piece):
                yield event

    def _events(self, piece: Piece) -> Iterator[dict[str, Any]]:
        if not self._begun:
            self._begun = True
            read, total = (piece.done, piece.total) if isinstance(piece, Reading) else (0, 0)
            yield {"type": "message_start", "message": self._message([], _usage(Usage(total, read, 0, 0)))}
            yield {"type": "ping"}
            if isinstance(piece, Reading):
                return
        match piece:
            case Reading():
                yield {"type": "ping"}
            case Words():
                kind, key = ("thinking", "thinking") if piece.thought else ("text", "text")
                if self._block != kind:
                    yield from self._close()
                    yield self._open(kind, {key: ""} | ({"signature": ""} if piece.thought else {}))
                yield self._delta({"type": f"{kind}_delta", key: piece.text})
            case Call():
                yield from self._close()
                yield self._open("tool_use", {"id": _new_id(), "name": piece.name, "input": {}})
                yield self._delta({"type": "input_json_delta", "partial_json": piece.arguments})
                yield from self._close()
            case Ended():
                yield from self._close()
                yield {"type": "message_delta", "delta": _stop(piece), "usage": _usage(piece.usage)}
                yield {"type": "message_stop"}

    def _open(self, kind: str, block: dict[str, Any]) -> dict[str, Any]:
        self._block = kind
        self._blocks += 1
        return {"type": "content_block_start", "index": self._blocks - 1, "content_block": {"type": kind, **block}}

    def _delta(self, delta: dict[str, Any]) -> dict[str, Any]:
        return {"type": "content_block_delta", "index": self._blocks - 1, "delta": delta}

    def _close(self) -> Iterator[dict[str, Any]]:
        if self._block:
            self._block = ""
            yield {"type": "content_block_stop", "index": self._blocks - 1}

    def _message(self, content: list[Any], usage: dict[str, int]) -> dict[str, Any]:
        named = {"id": self.id, "type": "message", "role": "assistant", "model": self.model}
        return named | {"content": content, "stop_reason": None, "stop_sequence": None, "usage": usage}


def _whole_block(piece: Words | Call) -> dict[str, Any]:
    if isinstance(piece, Call):
        arguments = msgspec.Raw(piece.arguments.encode())
        return {"type": "tool_use", "id": _new_id(), "name": piece.name, "input": arguments}
    if piece.thought:
        return {"type": "thinking", "thinking": piece.text, "signature": ""}
    return {"type": "text", "text": piece.text}


def _new_id() -> str:
    return f"toolu_{secrets.token_hex(12)}"


def _stop(ended: Ended) -> dict[str, Any]:
    reasons = {"stop": "stop_sequence", "length": "max_tokens", "context": "model_context_window_exceeded"}
    reason = "tool_use" if ended.called else reasons.get(ended.reason, "end_turn")
    return {"stop_reason": reason, "stop_sequence": ended.stop or None}


def _usage(usage: Usage) -> dict[str, int]:
    """What was cached is not among the input tokens."""
    return {
        "input_tokens": usage.prompt - usage.reused,
        "cache_creation_input_tokens": 0,
        "cache_read_input_tokens": usage.reused,
        "output_tokens": usage.generated,
    }
