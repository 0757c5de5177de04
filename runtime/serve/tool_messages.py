"""Messages that call tools, and those that answer the calls, as a model's template takes them. Pure.

Clients send them as the API has them; templates differ in what they make of a call that says nothing besides, in the
form of arguments, and in which ids they let pass. A template that knows of no tools is shown them as text.
"""

import json
from collections.abc import Mapping, Sequence
from hashlib import blake2b
from typing import Any

from .tool_format import ToolFormat

Message = Mapping[str, Any]
_ID = 9  # letters and digits, as the strictest templates have it


def for_template(messages: Sequence[Message], format: ToolFormat) -> list[Message]:
    """The same messages always come out the same, so that what is cached of them fits."""
    if format.native:
        return [_native(message, format) for message in messages]
    found: list[Message] = []
    for message in map(_spelled, messages):
        if found and message["role"] == found[-1]["role"] == "tool":
            found[-1] = {"role": "tool", "content": f"{found[-1]['content']}\n{message['content']}"}
        else:
            found.append(message)
    return [{**message, "role": "user"} if message["role"] == "tool" else message for message in found]


def _native(message: Message, format: ToolFormat) -> Message:
    found = dict(message)
    if calls := message.get("tool_calls"):
        found["tool_calls"] = [_call(call, format.as_text) for call in calls]
        found["content"] = message.get("content") or format.nothing
    if "tool_call_id" in message:
        found["tool_call_id"] = _id(message["tool_call_id"])
    return found


def _call(call: Message, as_text: bool) -> Message:
    function = call["function"]
    given = function["arguments"]
    if as_text and not isinstance(given, str):
        given = json.dumps(given, ensure_ascii=False)
    return {**call, "id": _id(call.get("id") or ""), "function": {**function, "arguments": given}}


def _id(given: str) -> str:
    return given if len(given) == _ID and given.isalnum() else blake2b(given.encode(errors="replace")).hexdigest()[:_ID]


def _spelled(message: Message) -> Message:
    """As a text in the usual form; answers stay apart until those to one message stand together."""
    content = message.get("content") or ""
    if message["role"] == "tool":
        return {"role": "tool", "content": f"<tool_response>\n{content}\n</tool_response>"}
    if not message.get("tool_calls"):
        return message
    functions = [{key: call["function"][key] for key in ("name", "arguments")} for call in message["tool_calls"]]
    calls = [f"<tool_call>\n{json.dumps(each, ensure_ascii=False)}\n</tool_call>" for each in functions]
    return {"role": message["role"], "content": "\n".join([content, *calls] if content else calls)}
