"""Anthropic's own client gets from the daemon what it gets from Anthropic."""

from collections.abc import Iterator
from typing import Any

import pytest
from anthropic import Anthropic, APIStatusError, AuthenticationError, BadRequestError, NotFoundError
from pydantic import BaseModel

from accel.runtime.serve.keys import Keys, add_key, read_keys

from .serving import CALL, PLAIN, THINKER, WEATHER_SCHEMA, a_daemon, served

ASK: list[Any] = [{"role": "user", "content": "go"}]
WEATHER: Any = {"name": "weather", "description": "The weather in a city", "input_schema": WEATHER_SCHEMA}
MODELS = {"plain": PLAIN, "thinks": THINKER}


class Person(BaseModel):
    old: bool


def client_of(url: str, key: str = "none") -> Anthropic:
    return Anthropic(base_url=url, api_key=key, max_retries=0, timeout=30)


@pytest.fixture(scope="module")
def client() -> Iterator[Anthropic]:
    with served(a_daemon(models=MODELS)) as url, client_of(url) as client:
        yield client


def ask(client: Anthropic, model: str = "plain", **wishes: Any) -> Any:
    return client.messages.create(**{"model": model, "messages": ASK, "max_tokens": 100, **wishes})


def events(client: Anthropic, model: str = "plain", **wishes: Any) -> list[Any]:
    return [event for event in ask(client, model, **wishes, stream=True) if event.type != "ping"]


def test_a_conversation_is_answered(client):
    message = ask(client, system="Be brief.")
    (block,) = message.content
    assert (message.type, message.role, message.model) == ("message", "assistant", "plain")
    assert (block.type, block.text) == ("text", "one two three")
    assert (message.stop_reason, message.stop_sequence) == ("end_turn", None)
    assert message.usage.output_tokens == len("one two three")


def test_a_stream_comes_in_anthropics_order(client):
    found = events(client)
    assert [event.type for event in found if event.type != "content_block_delta"] == [
        "message_start",
        "content_block_start",
        "content_block_stop",
        "message_delta",
        "message_stop",
    ]
    assert found[0].message.content == [] and found[0].message.usage.input_tokens > 0
    assert "".join(event.delta.text for event in found if event.type == "content_block_delta") == "one two three"
    assert found[-2].delta.stop_reason == "end_turn" and found[-2].usage.output_tokens == len("one two three")


def test_the_clients_own_stream_puts_the_answer_together(client):
    with client.messages.stream(model="plain", messages=ASK, max_tokens=100) as stream:
        assert "".join(stream.text_stream) == "one two three"
        final = stream.get_final_message()
    assert final.stop_reason == "end_turn" and final.content[0].text == "one two three"


def test_a_stop_sequence_is_named(client):
    message = ask(client, stop_sequences=["nowhere", "two"])
    assert (message.content[0].text, message.stop_reason, message.stop_sequence) == ("one ", "stop_sequence", "two")
    assert events(client, stop_sequences=["nowhere", "two"])[-2].delta.stop_sequence == "two"


def test_what_is_cut_short_says_so(client):
    message = ask(client, max_tokens=5)
    assert (message.content[0].text, message.stop_reason) == ("one t", "max_tokens")


def test_what_was_thought_is_a_block_of_its_own(client):
    thinking, text = ask(client, "thinks", thinking={"type": "enabled", "budget_tokens": 1024}).content
    assert (thinking.type, thinking.thinking, text.type, text.text) == ("thinking", "hm\n", "text", "Yes.")
    found = events(client, "thinks")
    deltas = [event.delta for event in found if event.type == "content_block_delta"]
    assert "".join(delta.thinking for delta in deltas if delta.type == "thinking_delta") == "hm\n"
    assert "".join(delta.text for delta in deltas if delta.type == "text_delta") == "Yes."
    assert [event.index for event in found if event.type == "content_block_stop"] == [0, 1]


def test_thoughts_can_be_sent_back(client):
    first = ask(client, "thinks")
    asks = [*ASK, {"role": "assistant", "content": first.content}, {"role": "user", "content": "go"}]
    assert ask(client, "thinks", messages=asks).content[-1].text == "Yes."


def test_a_tool_is_called_and_its_result_answered(client):
    asks = [{"role": "user", "content": "look?"}]
    message = ask(client, messages=asks, tools=[WEATHER])
    text, call = message.content
    assert (text.text, message.stop_reason) == ("Let me see.", "tool_use")
    assert (call.type, call.name, call.input) == ("tool_use", "weather", {"city": "Rome"})
    result = {"type": "tool_result", "tool_use_id": call.id, "content": [{"type": "text", "text": "sunny"}]}
    asks += [{"role": "assistant", "content": message.content}]
    asks += [{"role": "user", "content": [result, {"type": "text", "text": "go"}]}]
    assert ask(client, messages=asks, tools=[WEATHER]).content[0].text == "one two three"


def test_a_stream_tells_calls_as_json(client):
    asks: list[Any] = [{"role": "user", "content": "look?"}]
    with client.messages.stream(model="plain", messages=asks, tools=[WEATHER], max_tokens=100) as stream:
        kinds = [event.type for event in stream]
        final = stream.get_final_message()
    assert "input_json" in kinds and final.stop_reason == "tool_use"
    assert final.content[1].type == "tool_use" and final.content[1].input == {"city": "Rome"}


@pytest.mark.parametrize("choice", [{"type": "any"}, {"type": "tool", "name": "weather"}])
def test_a_tool_that_must_be_called_is(client, choice):
    message = ask(client, tools=[WEATHER], tool_choice=choice, max_tokens=1000)
    assert message.stop_reason == "tool_use" and message.content[0].name == "weather"


def test_no_tool_is_called_where_none_may_be(client):
    asks = [{"role": "user", "content": "look?"}]
    message = ask(client, messages=asks, tools=[WEATHER], tool_choice={"type": "none"})
    assert message.stop_reason == "end_turn" and CALL in message.content[0].text


def test_json_of_a_schema_is_what_it_gets(client):
    parsed = client.messages.parse(
        model="plain", messages=[{"role": "user", "content": "x"}], max_tokens=200, output_format=Person
    )
    assert isinstance(parsed.parsed_output, Person)


def test_the_system_may_speak_in_between(client):
    asks = [{"role": "user", "content": "x"}, {"role": "system", "content": "Be brief."}, *ASK]
    assert ask(client, messages=asks).content[0].text == "one two three"


def test_a_prompts_tokens_are_counted(client):
    wishes: dict[str, Any] = {"model": "plain", "messages": ASK, "system": [{"type": "text", "text": "Be brief."}]}
    counted = client.messages.count_tokens(**wishes).input_tokens
    usage = client.messages.create(**wishes, max_tokens=1).usage
    assert counted == usage.input_tokens + (usage.cache_read_input_tokens or 0)
    assert client.messages.count_tokens(**wishes, tools=[WEATHER]).input_tokens > counted


@pytest.mark.parametrize(
    ("wishes", "field"),
    [
        ({"temperature": "hot"}, "temperature"),
        ({"max_tokens": None}, "max_tokens"),
        ({"messages": []}, "messages"),
        ({"messages": [{"role": "tool", "content": "x"}]}, "messages[0].role"),
        ({"messages": [*ASK, {"role": "assistant", "content": "x"}]}, "messages[1].role"),
        ({"messages": [{"role": "user", "content": [{"type": "image"}]}]}, "messages[0].content[0].type"),
        ({"system": [{"type": "image"}]}, "system[0].type"),
        ({"tools": [{"type": "web_search_20250305", "name": "web_search"}]}, "tools[0].type"),
        ({"tool_choice": {"type": "any"}}, "tool_choice"),
        ({"tools": [WEATHER], "tool_choice": {"type": "tool"}}, "tool_choice.name"),
        ({"tools": [WEATHER], "tool_choice": {"type": "tool", "name": "x"}}, "tool_choice"),
    ],
    ids=str,
)
@pytest.mark.parametrize("stream", [False, True])
def test_what_is_wrong_is_named(client, wishes, field, stream):
    with pytest.raises(BadRequestError) as refused:
        ask(client, stream=stream, extra_body=wishes)
    assert isinstance(refused.value.body, dict) and refused.value.body["type"] == "error"
    error = refused.value.body["error"]
    assert error["type"] == "invalid_request_error" and error["message"].startswith(f"{field}: ")


def test_a_tool_result_may_not_hold_an_image(client):
    result = {"type": "tool_result", "tool_use_id": "1", "content": [{"type": "image"}]}
    with pytest.raises(BadRequestError, match=r"messages\[0\].content\[0\].content\[0\].type: .*'image'"):
        ask(client, messages=[{"role": "user", "content": [result]}])


def test_other_refusals_are_of_anthropics_types(client):
    with pytest.raises(NotFoundError) as missing:
        ask(client, "other")
    assert isinstance(missing.value.body, dict) and missing.value.body["error"]["type"] == "not_found_error"
    with pytest.raises(APIStatusError) as nowhere:
        client.post("/v1/messages/nowhere", cast_to=object, body={})
    assert isinstance(nowhere.value.body, dict) and nowhere.value.body["type"] == "error"


def test_a_key_is_taken_in_anthropics_header(tmp_path):
    key = add_key(tmp_path / "keys.json")
    with served(a_daemon(read_keys(tmp_path / "keys.json"), MODELS)) as url:
        with client_of(url, key) as client:
            assert ask(client).content[0].text == "one two three"
        with client_of(url, "wrong") as client, pytest.raises(AuthenticationError) as refused:
            ask(client)
    assert isinstance(refused.value.body, dict) and refused.value.body["error"]["type"] == "authentication_error"
    assert not Keys().lets_in(key)


def test_the_demo_model_is_served_as_any_other(demo_url):
    hello: list[Any] = [{"role": "user", "content": "Hello, my name is Clara."}]
    with client_of(demo_url) as client:
        wishes: dict[str, Any] = {"max_tokens": 24, "extra_body": {"temperature": 0}}
        whole = client.messages.create(model="demo", messages=hello, **wishes)
        with client.messages.stream(model="demo", messages=hello, **wishes) as stream:
            assert stream.get_final_text() == whole.content[0].text
        call = client.messages.create(
            model="demo", messages=hello, max_tokens=800, tools=[WEATHER], tool_choice={"type": "any"}
        )
        assert call.content[0].type == "tool_use" and call.stop_reason == "tool_use"
