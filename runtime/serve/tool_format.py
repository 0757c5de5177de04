"""How a model calls tools, learned from its own chat template: it is shown a call, and what it makes of it is the form.

    object   OPEN {"name": NAME, "arguments": {...}} CLOSE        the keys may have other names, or lie one level deeper
    list     OPEN [{"name": NAME, "arguments": {...}}, ...] CLOSE
    named    OPEN NAME BETWEEN {...} CLOSE

A model whose template knows of no tools is told about them in words, and asked for the usual form.
"""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import product
from typing import Any, Literal, NoReturn

from ...errors import TemplateError
from ..json_form import JSON_FORM
from ..messages import plain
from ..template import ChatTemplate
from .asked import Call

_LONGEST_NAME, _LONGEST_GAP = 128, 32  # characters; without bounds a long text would take its square of time
_LONGEST_PROBE = 2**14  # characters of a call as a template writes it
_NAME, _KEY, _VALUE, _TEXT = "probe_tool", "probe_key", "probe value", "probe text"


def _no_number(text: str) -> NoReturn:
    raise ValueError(f"{text} is no JSON")  # which Python's own reader would take


_DECODER = json.JSONDecoder(parse_constant=_no_number)


@dataclass(frozen=True, slots=True)
class ToolFormat:
    """`open` and `close` stand around one or several calls."""

    shape: Literal["object", "list", "named"]
    open: str
    close: str
    name: str = "name"  # key
    arguments: str = "arguments"  # key
    within: str = ""  # key under which both lie, if they lie deeper
    between: str = ""  # of "named"
    native: bool = True  # whether the template describes the tools itself
    nothing: str | None = ""  # the content of a message that calls and says nothing, as the template takes it
    as_text: bool = False  # whether the template takes arguments as the text of an object
    silent: tuple[str, ...] = ()  # control tokens in all of these, of which an answer's text shows nothing

    @property
    def begin(self) -> str:
        """What stands before a call in an answer's text; where that is nothing, a call is all of an answer."""
        return self._shown(self.open).strip()

    @property
    def end(self) -> str:
        """What stands after it; nothing where the answer ends there."""
        return self._shown(self.close).strip()

    def begins(self, text: str, tools: frozenset[str]) -> bool | None:
        """Whether an answer whose text begins so is a call, where nothing stands before one; None: it is too early to
        tell."""
        if self.shape != "named":
            return text.startswith(("{", "["))
        if any(text.startswith(name) for name in tools):
            return True
        return None if any(name.startswith(text) for name in tools) else False

    def calls(self, text: str, tools: frozenset[str]) -> tuple[Call, ...]:
        """The calls that stand between the markers; none where anything about them is wrong, or a tool is unknown."""
        found = self._named(text) if self.shape == "named" else self._objects(text)
        return tuple(found) if found and all(call.name in tools for call in found) else ()

    def _objects(self, text: str) -> list[Call]:
        values: list[Any] = []
        at = 0
        while (at := _next_json(text, at)) >= 0:
            try:
                value, at = _DECODER.raw_decode(text, at)
            except (ValueError, RecursionError):
                return []
            values += value if isinstance(value, list) else [value]
        calls = [self._call(value) for value in values]
        return [call for call in calls if call] if all(calls) else []

    def _call(self, value: Any) -> Call | None:
        inner = value.get(self.within) if self.within and isinstance(value, dict) else value
        if not isinstance(inner, dict) or not isinstance(inner.get(self.name), str):
            return None
        return _made(inner[self.name], inner.get(self.arguments, {}))

    def _named(self, text: str) -> list[Call]:
        calls: list[Call] = []
        between, gap = re.escape(self._shown(self.between).strip()), rf"\s{{0,{_LONGEST_GAP}}}"
        pattern = re.compile(rf"([\w.-]{{1,{_LONGEST_NAME}}}){gap}{between}{gap}(?=\{{)")
        at = 0
        while found := pattern.search(text, at):
            try:
                value, at = _DECODER.raw_decode(text, found.end())
            except (ValueError, RecursionError):
                return []
            call = _made(found[1], value)
            if not call:
                return []
            calls.append(call)
        return calls

    def _shown(self, text: str) -> str:
        for control in self.silent:
            text = text.replace(control, "")
        return text

    def grammar(self, tools: Sequence[Mapping[str, Any]]) -> tuple[Literal["json_schema", "lark"], str]:
        """(kind, text) of what may follow `open` where one of these tools must be called."""
        functions, between = [tool["function"] for tool in tools], self._shown(self.between)
        if self.shape == "named":
            rules = [f"call{i}: {json.dumps(each['name'] + between)} args{i}" for i, each in enumerate(functions)]
            schemas = [{**_parameters(each), "x-guidance": JSON_FORM} for each in functions]
            rules += [f"args{i}: %json {json.dumps(schema)}" for i, schema in enumerate(schemas)]
            return "lark", "\n".join([f"start: {' | '.join(f'call{i}' for i in range(len(functions)))}", *rules])
        calls: list[dict[str, Any]] = [self._schema(each) for each in functions]
        one = calls[0] if len(calls) == 1 else {"anyOf": calls}
        return "json_schema", json.dumps(
            {"type": "array", "items": one, "minItems": 1} if self.shape == "list" else one
        )

    def _schema(self, function: Mapping[str, Any]) -> dict[str, Any]:
        properties = {self.name: {"const": function["name"]}, self.arguments: _parameters(function)}
        inner = {"type": "object", "properties": properties, "required": list(properties)} | _NO_MORE
        if not self.within:
            return inner
        return {"type": "object", "properties": {self.within: inner}, "required": [self.within]} | _NO_MORE


_NO_MORE = {"additionalProperties": False}
USUAL = ToolFormat("object", "<tool_call>\n", "\n</tool_call>", native=False)


def described(tools: Sequence[Mapping[str, Any]]) -> str:
    """What a model is told whose template knows of no tools."""
    functions = "\n".join(json.dumps(tool["function"], ensure_ascii=False) for tool in tools)
    form = '<tool_call>\n{"name": "the name", "arguments": {"a": "value"}}\n</tool_call>'
    return f"You may call these functions:\n{functions}\nTo call one, answer with nothing but\n{form}"


def learn_format(template: ChatTemplate, controls: Sequence[str] = ()) -> ToolFormat:
    """Renders a few probes. Not for the event loop. `controls`: spellings of the vocabulary's control tokens."""
    ways = product(("", None), (False, True))  # some templates take but one of them
    found = next((found for nothing, as_text in ways if (found := _learned(template, nothing, as_text))), USUAL)
    written = found.open + found.close + found.between
    silent = sorted((text for text in controls if len(text) > 1 and text in written), key=len, reverse=True)
    return replace(found, silent=tuple(silent))


def _learned(template: ChatTemplate, nothing: str | None, as_text: bool) -> ToolFormat | None:
    function = {"name": _NAME, "description": "", "parameters": {"type": "object", "properties": {_KEY: {}}}}
    tools = [{"type": "function", "function": function}]
    arguments = {_KEY: _VALUE}
    called = {"name": _NAME, "arguments": json.dumps(arguments) if as_text else arguments}
    calls = [{"id": "call00001", "type": "function", "function": called}]
    asks = {"role": "user", "content": "?"}
    calling = {"role": "assistant", "content": nothing, "tool_calls": calls}
    try:
        prompt = template.render([asks], tools)
        if _NAME not in prompt:
            return None
        whole = template.render([asks, calling], tools, add_generation_prompt=False)
        said = template.render([asks, {"role": "assistant", "content": _TEXT}], tools, add_generation_prompt=False)
    except TemplateError:
        return None
    before, _, after = said.partition(_TEXT)
    start = len(prompt) if whole.startswith(prompt) else _common(whole, before)
    body = whole[start:]
    found = read_form(body[: len(body) - _common(body[::-1], after[::-1])])
    return replace(found, nothing=nothing, as_text=as_text) if found else None


def read_form(body: str) -> ToolFormat | None:
    """The form of a call as a template wrote it, of what the probes above say; None where it is none of ours."""
    at = 0
    while len(body) <= _LONGEST_PROBE and (at := _next_json(body, at)) >= 0:
        try:
            value, end = _DECODER.raw_decode(body, at)
        except ValueError:
            at += 1
            continue
        except RecursionError:
            return None
        if found := _form(value, body[:at], body[end:]):
            return found
        at = end
    return None


def _form(value: Any, before: str, after: str) -> ToolFormat | None:
    if isinstance(value, list):
        found = _form(value[0], before, after) if len(value) == 1 else None
        return replace(found, shape="list") if found and found.shape == "object" else None
    if not isinstance(value, dict):
        return None
    if value == {_KEY: _VALUE}:
        open, named, between = before.rpartition(_NAME)
        return ToolFormat("named", open, after, between=between) if named else None
    for within, inner in (("", value), *((key, inner) for key, inner in value.items() if isinstance(inner, dict))):
        name = next((key for key, found in inner.items() if found == _NAME), None)
        arguments = next((key for key, found in inner.items() if _made("", found) == _ARGUMENTS), None)
        if name and arguments:
            return ToolFormat("object", before, after, name, arguments, within)
    return None


def _made(name: str, arguments: Any) -> Call | None:
    """Arguments are an object, or the text of one."""
    try:
        found = _DECODER.decode(arguments) if isinstance(arguments, str) else arguments
        text = json.dumps(found, ensure_ascii=False, allow_nan=False)  # 1e999 is read as infinite
        if text != plain(text):  # it holds half a character, which JSON can write as an escape alone
            text = json.dumps(found)
    except (ValueError, RecursionError):
        return None
    return Call(name, text) if isinstance(found, dict) else None


_ARGUMENTS = _made("", {_KEY: _VALUE})


def _parameters(function: Mapping[str, Any]) -> Any:
    return function.get("parameters") or {"type": "object", **_NO_MORE}


def _next_json(text: str, start: int) -> int:
    """Where the next object or list begins; -1 for nowhere."""
    found = [at for at in (text.find("{", start), text.find("[", start)) if at >= 0]
    return min(found, default=-1)


def _common(one: str, other: str) -> int:
    end = min(len(one), len(other))
    return next((at for at in range(end) if one[at] != other[at]), end)
