"""Tools as requests offer them, whatever the API."""

from collections.abc import Mapping, Sequence
from typing import Any

from .parsing import BadField, refuse


def plain_tool(name: str, description: str | None, parameters: Mapping[str, Any] | None) -> dict[str, Any]:
    """As templates know it."""
    schema = parameters or {"type": "object", "properties": {}}
    return {"type": "function", "function": {"name": name, "description": description or "", "parameters": schema}}


def must_call(any_tool: bool, named: str | None, tools: Sequence[Mapping[str, Any]]) -> str | None:
    """The tool that must be called: "" for any, None where none must be. Raises BadField."""
    must = named if named is not None else "" if any_tool else None
    refuse(must is not None and not tools, "tool_choice", "needs `tools`")
    if must and must not in {tool["function"]["name"] for tool in tools}:
        raise BadField(f"there is no tool '{must[:100]}' in `tools`", "tool_choice")
    return must
