"""`POST /v1/chat/completions`: OpenAI's requests to what is asked, and pieces to OpenAI's answers."""

import json
import secrets
import time
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from ...messages import Chance, GrammarSource, Usage
from ...settings import Settings
from ..asked import Asked, Call, Ended, Piece, Words
from ..desk import calls_of, text_of
from ..parsing import BadField, refuse
from ..tools import must_call, plain_tool
from .law import law_of, stops_of
from .shapes import ChatMessage, ChatRequest, ContentPart, NamedTool, ResponseFormat

_PARTS = ("text", "input_text", "output_text", "refusal")
_ANY_OBJECT = '{"type": "object"}'
_RESERVED = frozenset({"self", "messages", "tools", "documents", "add_generation_prompt"})  # variables of templates


def asked(request: ChatRequest, settings: Settings) -> Asked:
    """Raises BadField, SettingError."""
    refuse(request.audio or "audio" in (request.modalities or ()), "audio", "is nothing that a model here can make")
    refuse(request.top_logprobs and not request.logprobs, "top_logprobs", "needs `logprobs`")
    choice, offered = request.tool_choice, [tool.function for tool in request.tools or ()]
    tools = tuple(plain_tool(tool.name, tool.description, tool.parameters) for tool in offered if choice != "none")
    must = must_call(choice == "required", choice.function.name if isinstance(choice, NamedTool) else None, tools)
    return Asked(
        law=law_of(request, settings),
        messages=tuple(message_of(message, f"messages[{number}]") for number, message in enumerate(request.messages)),
        tools=tools,
        must_call=must,
        most=request.max_completion_tokens or request.max_tokens or settings.max_tokens,
        stops=stops_of(request.stop, settings),
        grammar=None if must is not None else _grammar(request.response_format),
        chances=(request.top_logprobs or 0) if request.logprobs else None,
        count=request.n or 1,
        variables=_variables(request),
    )


def message_of(message: ChatMessage, place: str) -> dict[str, Any]:
    """As templates know it."""
    role = {"developer": "system", "function": "tool"}.get(message.role, message.role)
    found: dict[str, Any] = {"role": role, "content": content_of(message.content, f"{place}.content")}
    if message.tool_calls:
        found["tool_calls"] = [
            {"id": call.id, "type": "function", "function": {"name": call.function.name, "arguments": _object(call)}}
            for call in message.tool_calls
        ]
    known = {name: getattr(message, name) for name in ("name", "reasoning_content", "tool_call_id")}
    return found | {name: value for name, value in known.items() if value is not None}


def grammar_of(kind: str, schema: Any, field: str) -> GrammarSource | None:
    """Of answers that are "text", a "json_object", or of a "json_schema"; `field`: where the schema stands. Raises
    BadField."""
    if kind == "text":
        return None
    if kind == "json_object":
        return GrammarSource("json_schema", _ANY_OBJECT)
    if schema is None:
        raise BadField("`json_schema` needs a `schema`", field)
    try:
        return GrammarSource("json_schema", json.dumps(schema))
    except RecursionError as error:
        raise BadField("the schema is nested too deeply", field) from error


def thinking_of(effort: str | None) -> dict[str, Any]:
    """Variables of templates."""
    return {} if effort is None else {"reasoning_effort": effort, "enable_thinking": effort != "none"}


def content_of(content: str | list[ContentPart] | None, place: str) -> str:
    """The text. Raises BadField for what is none."""
    if not isinstance(content, list):
        return content or ""
    for number, part in enumerate(content):
        if part.type not in _PARTS:
            what = f"'{part.type[:40]}' is nothing that the models here can read: text alone is"
            raise BadField(what, f"{place}[{number}].type")
    return "\n".join(part.text or "" for part in content)


@dataclass(slots=True)
class Writer:
    """The answers to one request, whole or in chunks. `format`: how tokens' bytes are written where one asks."""

    model: str
    count: int = 1
    usage_wanted: bool = False
    id: str = field(default_factory=lambda: f"chatcmpl-{secrets.token_hex(12)}")
    created: int = field(default_factory=lambda: int(time.time()))

    def whole(self, choices: Sequence[list[Piece]]) -> dict[str, Any]:
        return self._frame(
            "chat.completion", [self._choice(number, pieces) for number, pieces in enumerate(choices)]
        ) | {"usage": usage_of([piece.usage for pieces in choices for piece in pieces if isinstance(piece, Ended)])}

    async def chunks(self, pieces: AsyncIterator[tuple[int, Piece]]) -> AsyncGenerator[dict[str, Any]]:
        """What a stream's events hold, `[DONE]` not counted."""
        usages: list[Usage] = []
        begun: set[int] = set()
        calls = [0] * self.count
        async for number, piece in pieces:
            if number not in begun:
                begun.add(number)
                yield self._chunk(number, {"role": "assistant", "content": ""})
            match piece:
                case Words():
                    key = "reasoning_content" if piece.thought else "content"
                    told = None if piece.thought else _logprobs(piece.chances)
                    yield self._chunk(number, {key: piece.text}, logprobs=told)
                case Call():
                    yield self._chunk(number, {"tool_calls": [{"index": calls[number], **_call(piece)}]})
                    calls[number] += 1
                case Ended():
                    usages.append(piece.usage)
                    yield self._chunk(number, {}, finish_reason=reason_of(piece))
        if self.usage_wanted:
            yield self._frame("chat.completion.chunk", []) | {"usage": usage_of(usages)}

    def _choice(self, number: int, pieces: list[Piece]) -> dict[str, Any]:
        text, thought, calls = text_of(pieces), text_of(pieces, thought=True), calls_of(pieces)
        message: dict[str, Any] = {"role": "assistant", "content": text if text or not calls else None, "refusal": None}
        if thought:
            message["reasoning_content"] = thought
        if calls:
            message["tool_calls"] = [_call(call) for call in calls]
        words = [piece for piece in pieces if isinstance(piece, Words) and not piece.thought]
        told = _logprobs([chance for piece in words for chance in piece.chances])
        (ended,) = (piece for piece in pieces if isinstance(piece, Ended))
        return {"index": number, "message": message, "logprobs": told, "finish_reason": reason_of(ended)}

    def _chunk(self, number: int, delta: dict[str, Any], finish_reason: str | None = None, logprobs: Any = None) -> Any:
        choice = {"index": number, "delta": delta, "logprobs": logprobs, "finish_reason": finish_reason}
        return self._frame("chat.completion.chunk", [choice])

    def _frame(self, object: str, choices: list[Any]) -> dict[str, Any]:
        return {
            "id": self.id,
            "object": object,
            "created": self.created,
            "model": self.model,
            "system_fingerprint": None,
            "choices": choices,
        }


def reason_of(ended: Ended) -> str:
    if ended.called:
        return "tool_calls"
    return {"end": "stop", "stop": "stop", "cancelled": "stop"}.get(ended.reason, "length")


def usage_of(usages: Sequence[Usage]) -> dict[str, Any]:
    """Of all answers to one request: its prompt counts once."""
    prompt = max((usage.prompt for usage in usages), default=0)
    generated = sum(usage.generated for usage in usages)
    cached = max((usage.reused for usage in usages), default=0)
    return {
        "prompt_tokens": prompt,
        "completion_tokens": generated,
        "total_tokens": prompt + generated,
        "prompt_tokens_details": {"cached_tokens": cached},
        "completion_tokens_details": {"reasoning_tokens": sum(usage.thought for usage in usages)},
    }


def logprob_of(chance: Chance) -> dict[str, Any]:
    best = [_token(piece, log) for piece, log in chance.best]
    return _token(chance.piece, chance.log) | {"top_logprobs": best}


def _logprobs(chances: Sequence[Chance]) -> dict[str, Any] | None:
    return {"content": [logprob_of(chance) for chance in chances], "refusal": None} if chances else None


def _token(piece: bytes, log: float) -> dict[str, Any]:
    return {"token": piece.decode(errors="replace"), "logprob": max(log, -9999.0), "bytes": list(piece)}


def _call(call: Call) -> dict[str, Any]:
    function = {"name": call.name, "arguments": call.arguments}
    return {"id": f"call_{secrets.token_hex(12)}", "type": "function", "function": function}


def _variables(request: ChatRequest) -> dict[str, Any]:
    found = request.chat_template_kwargs or {}
    for name in found.keys() & _RESERVED:
        raise BadField(f"`{name}` is not for the request to say", f"chat_template_kwargs.{name}")
    return found | thinking_of(request.reasoning_effort)


def _grammar(wanted: ResponseFormat | None) -> GrammarSource | None:
    schema = wanted.json_schema.schema if wanted and wanted.json_schema else None
    return grammar_of(wanted.type, schema, "response_format.json_schema.schema") if wanted else None


def _object(call: Any) -> Any:
    """Templates want arguments as they are, clients send them as text."""
    given = call.function.arguments
    if isinstance(given, str):
        try:
            found = json.loads(given or "{}")
        except (ValueError, RecursionError):
            return given
        return found if isinstance(found, dict) else given
    return given
