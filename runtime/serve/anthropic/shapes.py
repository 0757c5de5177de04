"""What Anthropic's requests look like, as far as they are understood; what else they hold is let be."""

from typing import Annotated, Any, Literal

import msgspec

from ..openai.shapes import FunctionName, Most, Share, Stop, Temperature


class Block(msgspec.Struct):
    """A piece of a message or of the system prompt; its type says which of the other fields count."""

    type: str
    text: str = ""
    thinking: str = ""
    id: str = ""
    name: str = ""
    input: dict[str, Any] | None = None
    tool_use_id: str = ""
    content: "str | list[Block] | None" = None


class InputMessage(msgspec.Struct):
    role: Literal["user", "assistant", "system"]
    content: str | list[Block]


class ClientTool(msgspec.Struct):
    name: FunctionName
    description: str | None = None
    input_schema: dict[str, Any] | None = None
    type: Literal["custom"] | None = None


class ToolChoice(msgspec.Struct):
    type: Literal["auto", "any", "tool", "none"]
    name: str | None = None


class Thinking(msgspec.Struct):
    type: Literal["enabled", "disabled", "adaptive", "between_tools"]


class OutputFormat(msgspec.Struct):
    type: Literal["json_schema"]
    schema: dict[str, Any]


class OutputConfig(msgspec.Struct):
    effort: str | None = None
    format: OutputFormat | None = None


class CountRequest(msgspec.Struct, kw_only=True):
    """What makes a prompt."""

    model: str = ""
    messages: Annotated[list[InputMessage], msgspec.Meta(min_length=1, max_length=4096)]
    system: str | list[Block] | None = None
    tools: Annotated[list[ClientTool], msgspec.Meta(max_length=128)] | None = None
    tool_choice: ToolChoice | None = None
    thinking: Thinking | None = None
    output_config: OutputConfig | None = None


class MessagesRequest(CountRequest, kw_only=True):
    max_tokens: Most
    stop_sequences: Annotated[tuple[Stop, ...], msgspec.Meta(max_length=64)] | None = None
    temperature: Temperature | None = None
    top_p: Share | None = None
    top_k: Annotated[int, msgspec.Meta(ge=0, lt=2**31)] | None = None
    stream: bool | None = None
