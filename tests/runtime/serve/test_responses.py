"""OpenAI's own client gets responses as it gets them from OpenAI, as far as nothing need be kept of them."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from openai import BadRequestError, OpenAI
from pydantic import BaseModel

from accel.runtime.engines.options import FakeOptions

from .serving import CLOSING, PLAIN, THINKER, WEATHER_SCHEMA, Model, a_daemon, served

WEATHER: Any = {
    "type": "function",
    "name": "weather",
    "description": "The weather in a city",
    "parameters": WEATHER_SCHEMA,
    "strict": True,
}
MODELS = {"plain": PLAIN, "thinks": THINKER}
TEXT_EVENTS = [
    "response.created",
    "response.in_progress",
    "response.output_item.added",
    "response.content_part.added",
    "response.output_text.delta",
    "response.output_text.done",
    "response.content_part.done",
    "response.output_item.done",
    "response.completed",
]


class Person(BaseModel):
    old: bool


@pytest.fixture(scope="module")
def client() -> Iterator[OpenAI]:
    with (
        served(a_daemon(models=MODELS)) as url,
        OpenAI(base_url=f"{url}/v1", api_key="none", max_retries=0, timeout=30) as client,
    ):
        yield client


def ask(client: OpenAI, model: str = "plain", **wishes: Any) -> Any:
    return client.responses.create(**{"model": model, "input": "go", **wishes})


def kinds(events: list[Any]) -> list[str]:
    """What came after what, deltas that follow one another as one."""
    found = [event.type for event in events]
    return [kind for at, kind in enumerate(found) if at == 0 or kind != found[at - 1] or not kind.endswith("delta")]


def test_a_text_is_answered(client):
    response = ask(client, instructions="Be brief.", max_output_tokens=100, metadata={"a": "b"})
    assert (response.status, response.output_text, response.error) == ("completed", "one two three", None)
    assert (response.instructions, response.max_output_tokens, response.metadata) == ("Be brief.", 100, {"a": "b"})
    (item,) = response.output
    assert (item.type, item.role, item.status) == ("message", "assistant", "completed")
    assert response.usage.output_tokens == len("one two three")
    assert response.usage.total_tokens == response.usage.input_tokens + response.usage.output_tokens


def test_a_conversation_may_be_given_as_items(client):
    items = [
        {"role": "developer", "content": "Be brief."},
        {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "weather?"}]},
        {"type": "reasoning", "id": "rs_1", "summary": [], "content": [{"type": "reasoning_text", "text": "hm"}]},
        {"type": "function_call", "call_id": "call_1", "name": "weather", "arguments": '{"city": "Rome"}'},
        {"type": "function_call_output", "call_id": "call_1", "output": "sunny"},
        {"role": "user", "content": "go"},
    ]
    assert ask(client, input=items, tools=[WEATHER]).output_text == "one two three"


def test_a_stream_comes_in_openais_order(client):
    events = list(ask(client, stream=True))
    assert kinds(events) == TEXT_EVENTS
    assert [event.sequence_number for event in events] == list(range(len(events)))
    deltas = [event.delta for event in events if event.type == "response.output_text.delta"]
    assert "".join(deltas) == "one two three" == events[-1].response.output_text
    assert events[0].response.status == "in_progress" and events[-1].response.usage.output_tokens > 0
    assert {event.item_id for event in events if hasattr(event, "item_id")} == {events[-1].response.output[0].id}


def test_the_clients_own_stream_puts_the_answer_together(client):
    with client.responses.stream(model="plain", input="go") as stream:
        texts = [event.delta for event in stream if event.type == "response.output_text.delta"]
        final = stream.get_final_response()
    assert "".join(texts) == final.output_text == "one two three"


def test_what_is_cut_short_is_incomplete(client):
    response = ask(client, max_output_tokens=5)
    assert (response.status, response.output_text) == ("incomplete", "one t")
    assert response.incomplete_details.reason == "max_output_tokens" and response.output[0].status == "incomplete"
    assert list(ask(client, max_output_tokens=5, stream=True))[-1].type == "response.incomplete"


def test_what_was_thought_is_an_item_of_its_own(client):
    thought, message = ask(client, "thinks", reasoning={"effort": "low"}).output
    assert (thought.type, thought.content[0].text) == ("reasoning", "hm\n")
    assert (message.type, message.content[0].text) == ("message", "Yes.")
    events = list(ask(client, "thinks", stream=True))
    assert "".join(event.delta for event in events if event.type == "response.reasoning_text.delta") == "hm\n"
    assert [item.type for item in events[-1].response.output] == ["reasoning", "message"]
    again = [{"role": "user", "content": "go"}, *events[-1].response.output, {"role": "user", "content": "go"}]
    assert ask(client, "thinks", input=[each if isinstance(each, dict) else each.to_dict() for each in again]).output


def test_a_tool_is_called(client):
    response = ask(client, input="weather?", tools=[WEATHER])
    (call,) = response.output
    assert (call.type, call.name, json.loads(call.arguments)) == ("function_call", "weather", {"city": "Rome"})
    assert response.tools[0].name == "weather" and response.tool_choice == "auto"
    events = list(ask(client, input="weather?", tools=[WEATHER], stream=True))
    assert kinds(events) == [
        "response.created",
        "response.in_progress",
        "response.output_item.added",
        "response.function_call_arguments.delta",
        "response.function_call_arguments.done",
        "response.output_item.done",
        "response.completed",
    ]
    assert "".join(getattr(event, "delta", "") for event in events) == events[-1].response.output[0].arguments


@pytest.mark.parametrize("choice", ["required", {"type": "function", "name": "weather"}])
def test_a_tool_that_must_be_called_is(client, choice):
    wishes = {"tools": [WEATHER], "tool_choice": choice, "extra_body": {"logit_bias": CLOSING}}
    (call,) = ask(client, **wishes).output
    assert call.type == "function_call" and set(json.loads(call.arguments)) == {"city"}


def test_json_of_a_schema_is_what_it_gets(client):
    parsed = client.responses.parse(
        model="plain", input="x", text_format=Person, extra_body={"logit_bias": CLOSING, "seed": 1}
    )
    assert isinstance(parsed.output_parsed, Person)
    wishes: Any = {"text": {"format": {"type": "json_object"}}, "extra_body": {"logit_bias": CLOSING}}
    assert isinstance(json.loads(ask(client, input="x", **wishes).output_text), dict)


def test_logprobs_are_told_where_they_are_wanted(client):
    response = ask(client, include=["message.output_text.logprobs"], top_logprobs=2, temperature=0)
    told = response.output[0].content[0].logprobs
    assert "".join(each.token for each in told) == "one two three" and len(told[0].top_logprobs) == 2


def test_logprobs_are_told_where_tools_are_given_of_what_is_said_beside_calls(client):
    wishes: dict[str, Any] = {"input": "look?", "tools": [WEATHER], "include": ["message.output_text.logprobs"]}
    message, call = ask(client, **wishes).output
    assert (message.content[0].text, call.type) == ("Let me see.", "function_call")
    assert "".join(each.token for each in message.content[0].logprobs) == "Let me see."
    deltas = [event for event in ask(client, **wishes, stream=True) if event.type == "response.output_text.delta"]
    assert "".join(each.token for event in deltas for each in event.logprobs) == "Let me see."


def test_the_tokens_of_thoughts_are_counted(client):
    usage = ask(client, "thinks").usage
    assert usage.output_tokens_details.reasoning_tokens == len("hm\n") < usage.output_tokens
    assert ask(client).usage.output_tokens_details.reasoning_tokens == 0


@pytest.mark.parametrize(
    ("wishes", "param"),
    [
        ({"input": ""}, "input"),
        ({"input": [{"content": "x"}]}, "input[0].role"),
        ({"input": [{"type": "item_reference", "id": "x"}]}, "input[0].type"),
        ({"input": [{"role": "user", "content": [{"type": "input_image"}]}]}, "input[0].content[0].type"),
        (
            {"input": [{"type": "function_call_output", "call_id": "x", "output": [{"type": "input_image"}]}]},
            "input[0].output[0].type",
        ),
        ({"previous_response_id": "resp_1"}, "previous_response_id"),
        ({"conversation": "conv_1"}, "conversation"),
        ({"background": True}, "background"),
        ({"tools": [{"type": "web_search"}]}, "tools[0].type"),
        ({"tool_choice": "required"}, "tool_choice"),
        ({"text": {"format": {"type": "json_schema", "name": "x"}}}, "text.format.schema"),
        ({"max_output_tokens": "x"}, "max_output_tokens"),
    ],
    ids=str,
)
@pytest.mark.parametrize("stream", [False, True])
def test_what_is_wrong_is_named(client, wishes, param, stream):
    with pytest.raises(BadRequestError) as refused:
        ask(client, stream=stream, extra_body=wishes)
    assert refused.value.param == param


def test_an_answer_that_fails_on_its_way_says_so():
    failing = Model("fake", FakeOptions(sequences=4, fail_at=30, answer_length=10**9))
    with (
        served(a_daemon(models={"failing": failing})) as url,
        OpenAI(base_url=f"{url}/v1", api_key="none", max_retries=0, timeout=30) as client,
    ):
        last = list(ask(client, "failing", stream=True))[-1]
    assert last.type == "response.failed" and "as it was told to" in last.response.error.message
