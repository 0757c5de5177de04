"""What OpenAI's requests look like, as far as they are understood; what else they hold is let be."""

from typing import Annotated, Any, Literal, TypeAlias

import msgspec

from ...messages import MOST_CHANCES
from ..asked import MOST_CHOICES

Temperature: TypeAlias = Annotated[float, msgspec.Meta(ge=0, le=100)]
Share: TypeAlias = Annotated[float, msgspec.Meta(ge=0, le=1)]
Penalty: TypeAlias = Annotated[float, msgspec.Meta(ge=-2, le=2)]
Seed: TypeAlias = Annotated[int, msgspec.Meta(ge=-(2**63), le=2**63 - 1)]
Most: TypeAlias = Annotated[int, msgspec.Meta(ge=1, lt=2**31)]
Stop: TypeAlias = Annotated[str, msgspec.Meta(min_length=1, max_length=256)]
Stops: TypeAlias = Stop | Annotated[tuple[Stop, ...], msgspec.Meta(max_length=64)] | None
Words: TypeAlias = Annotated[str, msgspec.Meta(min_length=1)]
# One or several, or their tokens.
Texts: TypeAlias = Words | Annotated[list[str | int | list[int]], msgspec.Meta(min_length=1, max_length=2**21)]
FunctionName: TypeAlias = Annotated[str, msgspec.Meta(pattern=r"^[\w.-]{1,128}$")]
Tier: TypeAlias = Literal["auto", "default", "flex", "priority", "scale"] | None


class StreamOptions(msgspec.Struct):
    include_usage: bool = False


class Drawing(msgspec.Struct):
    """How tokens are drawn: the same in all requests. Those beyond OpenAI's are llama.cpp's names."""

    model: str = ""
    temperature: Temperature | None = None
    top_p: Share | None = None
    top_k: Annotated[int, msgspec.Meta(ge=0, lt=2**31)] | None = None
    min_p: Share | None = None
    repeat_penalty: Annotated[float, msgspec.Meta(ge=0.01, le=100)] | None = None
    presence_penalty: Penalty | None = None
    frequency_penalty: Penalty | None = None
    logit_bias: dict[int, Annotated[float, msgspec.Meta(ge=-100, le=100)]] | None = None
    seed: Seed | None = None
    stop: Stops = None
    n: Annotated[int, msgspec.Meta(ge=1, le=MOST_CHOICES)] | None = None
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    service_tier: Tier = None  # "flex" lets others go first
    user: str | None = None


class Function(msgspec.Struct):
    name: FunctionName
    description: str | None = None
    parameters: dict[str, Any] | None = None
    strict: bool | None = None


class Tool(msgspec.Struct):
    type: Literal["function"]
    function: Function


class NamedFunction(msgspec.Struct):
    name: str


class NamedTool(msgspec.Struct):
    type: Literal["function"]
    function: NamedFunction


class JsonSchema(msgspec.Struct):
    name: str = "answer"
    schema: dict[str, Any] | bool | None = None
    strict: bool | None = None


class ResponseFormat(msgspec.Struct):
    type: Literal["text", "json_object", "json_schema"]
    json_schema: JsonSchema | None = None


class ContentPart(msgspec.Struct):
    type: str
    text: str | None = None


class CalledFunction(msgspec.Struct):
    name: str
    arguments: str | dict[str, Any] = "{}"


class ToolCall(msgspec.Struct):
    function: CalledFunction
    id: str = ""
    type: Literal["function"] = "function"


class ChatMessage(msgspec.Struct):
    role: Literal["system", "developer", "user", "assistant", "tool", "function"]
    content: str | list[ContentPart] | None = None
    name: str | None = None
    reasoning_content: str | None = None
    tool_calls: list[ToolCall] | None = None
    tool_call_id: str | None = None


class ChatRequest(Drawing, kw_only=True):
    messages: Annotated[list[ChatMessage], msgspec.Meta(min_length=1, max_length=4096)]
    max_tokens: Most | None = None
    max_completion_tokens: Most | None = None
    logprobs: bool | None = None
    top_logprobs: Annotated[int, msgspec.Meta(ge=0, le=MOST_CHANCES)] | None = None
    response_format: ResponseFormat | None = None
    tools: Annotated[list[Tool], msgspec.Meta(max_length=128)] | None = None
    tool_choice: Literal["none", "auto", "required"] | NamedTool | None = None
    parallel_tool_calls: bool | None = None
    reasoning_effort: str | None = None
    chat_template_kwargs: dict[str, Any] | None = None
    modalities: list[str] | None = None
    audio: dict[str, Any] | None = None


class CompletionRequest(Drawing, kw_only=True):
    prompt: Texts
    max_tokens: Most | None = None
    logprobs: Annotated[int, msgspec.Meta(ge=0, le=MOST_CHANCES)] | None = None
    echo: bool | None = None
    suffix: str | None = None
    best_of: int | None = None


class ResponsesTool(msgspec.Struct):
    type: Literal["function"]
    name: FunctionName
    description: str | None = None
    parameters: dict[str, Any] | None = None
    strict: bool | None = None


class ResponsesChoice(msgspec.Struct):
    type: Literal["function"]
    name: str


class ResponsesFormat(msgspec.Struct):
    type: Literal["text", "json_object", "json_schema"] = "text"
    name: str = "answer"
    schema: dict[str, Any] | bool | None = None
    strict: bool | None = None


class ResponsesText(msgspec.Struct):
    format: ResponsesFormat | None = None


class ResponsesReasoning(msgspec.Struct):
    effort: str | None = None


class Item(msgspec.Struct):
    """Of a conversation; its type says which of the other fields count."""

    type: str = "message"
    role: Literal["system", "developer", "user", "assistant"] | None = None
    content: str | list[ContentPart] | None = None
    call_id: str = ""
    name: str = ""
    arguments: str = "{}"
    output: str | list[ContentPart] | None = None


class ResponsesRequest(Drawing, kw_only=True):
    input: Words | Annotated[list[Item], msgspec.Meta(min_length=1, max_length=4096)]
    instructions: str | None = None
    max_output_tokens: Most | None = None
    tools: Annotated[list[ResponsesTool], msgspec.Meta(max_length=128)] | None = None
    tool_choice: Literal["none", "auto", "required"] | ResponsesChoice | None = None
    text: ResponsesText | None = None
    reasoning: ResponsesReasoning | None = None
    top_logprobs: Annotated[int, msgspec.Meta(ge=0, le=MOST_CHANCES)] | None = None
    include: list[str] | None = None
    metadata: dict[str, str] | None = None
    previous_response_id: str | None = None
    conversation: Any = None
    prompt: Any = None
    background: bool | None = None


class EmbeddingsRequest(msgspec.Struct):
    input: Texts
    model: str = ""
    encoding_format: Literal["float", "base64"] | None = None
    dimensions: Annotated[int, msgspec.Meta(ge=1, lt=2**31)] | None = None


class Tokenize(msgspec.Struct):
    prompt: str = ""
    model: str = ""
    content: str | None = None  # llama.cpp's name for it
