"""OpenAI's own client gets from the daemon what it gets from OpenAI."""

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from openai import APIStatusError, BadRequestError, NotFoundError, OpenAI
from pydantic import BaseModel

from .serving import CALL, CLOSING, PLAIN, THINKER, WEATHER_SCHEMA, a_daemon, served

ASK: list[Any] = [{"role": "user", "content": "go"}]
WEATHER: dict[str, Any] = {
    "type": "function",
    "function": {
        "name": "weather",
        "description": "The weather in a city",
        "parameters": WEATHER_SCHEMA,
    },
}
PERSON: dict[str, Any] = {
    "type": "object",
    "properties": {"name": {"type": "string", "maxLength": 4}, "old": {"type": "boolean"}},
    "required": ["name", "old"],
    "additionalProperties": False,
}
OF_PERSON: Any = {"type": "json_schema", "json_schema": {"name": "person", "schema": PERSON}}
MODELS = {"plain": PLAIN, "thinks": THINKER}


class Person(BaseModel):
    name: str
    old: bool


def client_of(url: str) -> OpenAI:
    return OpenAI(base_url=f"{url}/v1", api_key="none", max_retries=0, timeout=30)


@pytest.fixture(scope="module")
def babbling(fake_url: str) -> Iterator[OpenAI]:
    with client_of(fake_url) as client:
        yield client


@pytest.fixture(scope="module")
def client() -> Iterator[OpenAI]:
    """Of a daemon whose models know their answers."""
    with served(a_daemon(models=MODELS)) as url, client_of(url) as client:
        yield client


def ask(client: Any, model: str = "plain", **wishes: Any) -> Any:
    return client.chat.completions.create(**{"model": model, "messages": ASK, **wishes})


def babble(client: OpenAI, **wishes: Any) -> str:
    return ask(client, "fake", **{"seed": 1, "max_tokens": 12, **wishes}).choices[0].message.content


def test_a_conversation_is_answered(client):
    answer = ask(client)
    (choice,) = answer.choices
    assert (choice.message.role, choice.message.content, choice.finish_reason) == (
        "assistant",
        "one two three",
        "stop",
    )
    assert answer.object == "chat.completion" and answer.model == "plain"
    assert answer.usage.completion_tokens == len("one two three")
    assert answer.usage.total_tokens == answer.usage.prompt_tokens + answer.usage.completion_tokens


def test_a_stream_says_the_same_in_parts_and_its_usage_where_that_is_wanted(client):
    chunks = list(ask(client, stream=True, stream_options={"include_usage": True}))
    texts = [chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices]
    assert "".join(texts) == "one two three"
    assert chunks[0].choices[0].delta.role == "assistant"
    assert [chunk.choices[0].finish_reason for chunk in chunks if chunk.choices][-1] == "stop"
    assert not chunks[-1].choices and chunks[-1].usage.completion_tokens == len("one two three")
    assert len({chunk.id for chunk in chunks}) == 1
    assert not any(chunk.usage for chunk in ask(client, stream=True))


def test_the_clients_own_stream_puts_the_answer_together(client):
    with client.chat.completions.stream(model="plain", messages=ASK) as stream:
        kinds = {event.type for event in stream}
        final = stream.get_final_completion()
    assert {"chunk", "content.delta", "content.done"} <= kinds
    assert final.choices[0].message.content == "one two three"


def test_the_same_seed_gives_the_same_text_whoever_else_is_served(babbling):
    alone = babble(babbling)
    with ThreadPoolExecutor(8) as threads:
        others = [threads.submit(babble, babbling, seed=seed, n=seed % 3 + 1) for seed in range(2, 8)]
        mine = [threads.submit(babble, babbling) for _ in range(3)]
        assert {each.result() for each in mine} == {alone}
        assert len({each.result() for each in others}) == len(others)


def test_several_answers_are_those_of_seeds_that_follow_one_another(babbling):
    answers = ask(babbling, "fake", seed=1, max_tokens=12, n=3)
    assert [choice.index for choice in answers.choices] == [0, 1, 2]
    assert [choice.message.content for choice in answers.choices] == [babble(babbling, seed=seed) for seed in (1, 2, 3)]
    parts: dict[int, str] = {0: "", 1: "", 2: ""}
    for chunk in ask(babbling, "fake", seed=1, max_tokens=12, n=3, stream=True):
        parts[chunk.choices[0].index] += chunk.choices[0].delta.content or ""
    assert parts == {choice.index: choice.message.content for choice in answers.choices}


@pytest.mark.parametrize("stop", ["two", ["nowhere", "two"]], ids=["one", "several"])
def test_a_stop_ends_the_text_before_it(client, stop):
    (choice,) = ask(client, stop=stop).choices
    assert (choice.message.content, choice.finish_reason) == ("one ", "stop")


def test_what_is_cut_short_says_so(client):
    most: list[Any] = [{"max_tokens": 5}, {"max_completion_tokens": 5}]
    for wishes in most:
        (choice,) = ask(client, **wishes).choices
        assert (choice.message.content, choice.finish_reason) == ("one t", "length")


def test_what_was_thought_stands_beside_the_answer(client):
    (choice,) = ask(client, "thinks").choices
    assert (choice.message.reasoning_content, choice.message.content) == ("hm\n", "Yes.")
    deltas = [chunk.choices[0].delta for chunk in ask(client, "thinks", stream=True)]
    assert "".join(getattr(delta, "reasoning_content", None) or "" for delta in deltas) == "hm\n"
    assert "".join(delta.content or "" for delta in deltas) == "Yes."


def test_logprobs_are_told_of_every_token(client):
    (choice,) = ask(client, logprobs=True, top_logprobs=3, temperature=0).choices
    told = choice.logprobs.content
    assert "".join(each.token for each in told) == choice.message.content
    for each in told:
        assert len(each.top_logprobs) == 3 and each.logprob <= 0
        assert each.top_logprobs[0].token == each.token and each.bytes == list(each.token.encode())
    streamed = [
        each.token
        for chunk in ask(client, logprobs=True, stream=True, temperature=0)
        if chunk.choices[0].logprobs
        for each in chunk.choices[0].logprobs.content
    ]
    assert "".join(streamed) == choice.message.content


def streamed_logprobs(client: OpenAI, **wishes: Any) -> list[tuple[str, str]]:
    """The text of every chunk, and that of its tokens."""
    chunks = [chunk.choices[0] for chunk in ask(client, logprobs=True, stream=True, **wishes)]
    told = [(chunk.delta.content or "", chunk.logprobs.content if chunk.logprobs else []) for chunk in chunks]
    return [(text, "".join(each.token for each in tokens)) for text, tokens in told if text or tokens]


def test_logprobs_are_told_where_tools_are_given_of_what_is_said_beside_calls(client):
    (choice,) = ask(client, tools=[WEATHER], logprobs=True, top_logprobs=2).choices
    assert "".join(each.token for each in choice.logprobs.content) == "one two three"
    assert all(len(each.top_logprobs) == 2 for each in choice.logprobs.content)
    assert streamed_logprobs(client, tools=[WEATHER])
    for text, tokens in streamed_logprobs(client, tools=[WEATHER]):
        assert text == tokens
    asks = [{"role": "user", "content": "look?"}]
    (choice,) = ask(client, messages=asks, tools=[WEATHER], logprobs=True).choices
    assert choice.message.tool_calls and choice.message.content == "Let me see."
    assert "".join(each.token for each in choice.logprobs.content) == "Let me see."
    told = streamed_logprobs(client, messages=asks, tools=[WEATHER])
    assert "".join(text for text, _ in told) == "".join(tokens for _, tokens in told) == "Let me see."


@pytest.mark.parametrize("tools", [[], [WEATHER]])
def test_logprobs_are_not_told_of_thoughts(client, tools):
    (choice,) = ask(client, "thinks", tools=tools, logprobs=True).choices
    assert "".join(each.token for each in choice.logprobs.content) == "Yes."
    told = streamed_logprobs(client, model="thinks", tools=tools)
    assert "".join(text for text, _ in told) == "".join(tokens for _, tokens in told) == "Yes."


def test_the_tokens_of_thoughts_are_counted(client):
    usage = ask(client, "thinks").usage
    assert usage.completion_tokens_details.reasoning_tokens == len("hm\n") < usage.completion_tokens
    *_, last = ask(client, "thinks", stream=True, stream_options={"include_usage": True}, n=2)
    assert last.usage.completion_tokens_details.reasoning_tokens == 2 * len("hm\n")
    assert ask(client).usage.completion_tokens_details.reasoning_tokens == 0


def test_a_bias_forbids_and_forces_tokens(babbling):
    assert babble(babbling, logit_bias={str(ord("z")): 100}, max_tokens=5) == "zzzzz"
    first = babble(babbling)[0]
    assert babble(babbling, logit_bias={str(ord(first)): -100})[0] != first


def test_penalties_make_what_was_said_less_likely(babbling):
    greedy: dict[str, Any] = {"temperature": 0, "max_tokens": 100, "logit_bias": {str(ord("z")): 3}}
    said, penalised = babble(babbling, **greedy), babble(babbling, **greedy, frequency_penalty=2, presence_penalty=2)
    assert said.count("z") > penalised.count("z")


def test_json_of_a_schema_is_what_it_gets(babbling):
    for seed in range(5):
        answer = ask(babbling, "fake", seed=seed, response_format=OF_PERSON, logit_bias=CLOSING)
        assert answer.choices[0].finish_reason == "stop"
        Person.model_validate_json(answer.choices[0].message.content, strict=True)


def test_a_schema_may_be_a_class_of_the_clients(babbling):
    parsed = babbling.chat.completions.parse(
        model="fake", messages=ASK, response_format=Person, seed=3, logit_bias=CLOSING
    )
    assert isinstance(parsed.choices[0].message.parsed, Person)


def test_any_object_is_json(babbling):
    answer = ask(babbling, "fake", response_format={"type": "json_object"}, logit_bias=CLOSING, seed=2)
    assert isinstance(json.loads(answer.choices[0].message.content), dict)


def test_json_that_is_cut_short_says_so(babbling):
    answer = ask(babbling, "fake", response_format=OF_PERSON, max_tokens=3)
    assert answer.choices[0].finish_reason == "length"


def test_a_tool_is_called_and_its_result_answered(client):
    asks = [{"role": "user", "content": "weather?"}]
    (choice,) = ask(client, messages=asks, tools=[WEATHER]).choices
    (call,) = choice.message.tool_calls
    assert (choice.finish_reason, choice.message.content) == ("tool_calls", None)
    assert (call.function.name, json.loads(call.function.arguments)) == ("weather", {"city": "Rome"})
    result = {"role": "tool", "tool_call_id": call.id, "content": "sunny"}
    (choice,) = ask(client, messages=[*asks, choice.message, result, *ASK], tools=[WEATHER]).choices
    assert choice.message.content == "one two three"


def test_a_stream_holds_whole_calls(client):
    asks = [{"role": "user", "content": "weather?"}]
    with client.chat.completions.stream(model="plain", messages=asks, tools=[WEATHER]) as stream:
        final = stream.get_final_completion().choices[0]
    assert final.finish_reason == "tool_calls" and final.message.tool_calls
    assert json.loads(final.message.tool_calls[0].function.arguments) == {"city": "Rome"}


@pytest.mark.parametrize("choice", ["required", {"type": "function", "function": {"name": "weather"}}])
def test_a_tool_that_must_be_called_is(babbling, choice):
    answer = ask(babbling, "fake", tools=[WEATHER], tool_choice=choice, logit_bias=CLOSING, seed=4)
    (call,) = answer.choices[0].message.tool_calls
    assert call.function.name == "weather" and len(json.loads(call.function.arguments)["city"]) <= 3


@pytest.mark.parametrize(("asked", "city"), [("broken?", '"Ro"me"'), ("huge?", "1e999")])
def test_a_call_that_is_malformed_is_text(client, asked, city):
    (choice,) = ask(client, messages=[{"role": "user", "content": asked}], tools=[WEATHER]).choices
    assert choice.finish_reason == "stop" and not choice.message.tool_calls
    assert choice.message.content == CALL.replace('"Rome"', city)


def test_texts_are_gone_on_with_as_they_stand(client):
    answer = client.completions.create(model="plain", prompt=["go", "go"], max_tokens=20, n=2)
    assert [choice.text for choice in answer.choices] == ["one two three"] * 4
    assert answer.usage and answer.usage.prompt_tokens == 6
    echoed = client.completions.create(model="plain", prompt="go", echo=True)
    assert echoed.choices[0].text == "goone two three"
    tokens = client.completions.create(model="plain", prompt=list(b"go"), logprobs=2)
    assert tokens.choices[0].text == "one two three"
    assert tokens.choices[0].logprobs and "".join(tokens.choices[0].logprobs.tokens or ()) == "one two three"
    streamed = client.completions.create(model="plain", prompt="go", stream=True)
    assert "".join(chunk.choices[0].text for chunk in streamed) == "one two three"


def test_vectors_of_texts_have_length_1_and_alike_texts_alike_ones(babbling):
    found = babbling.embeddings.create(model="fake", input=["one", "one", "two"])  # base64, as the client asks
    plain = babbling.embeddings.create(model="fake", input="one", encoding_format="float")
    first, again, other = (each.embedding for each in found.data)
    assert first == again == pytest.approx(plain.data[0].embedding) and first != other
    assert sum(each * each for each in first) == pytest.approx(1)
    assert [each.index for each in found.data] == [0, 1, 2] and found.usage.prompt_tokens == 12


def test_vectors_may_be_asked_for_while_others_are_answered(babbling):
    with ThreadPoolExecutor(8) as threads:
        texts = [threads.submit(babble, babbling, seed=seed, max_tokens=40) for seed in range(6)]
        found = [threads.submit(babbling.embeddings.create, model="fake", input="x" * 1500) for _ in range(4)]
        assert len({tuple(each.result().data[0].embedding) for each in found}) == 1
        assert [each.result() for each in texts] == [babble(babbling, seed=seed, max_tokens=40) for seed in range(6)]


def test_models_are_listed(client):
    assert [model.id for model in client.models.list()] == ["plain", "thinks"]
    assert client.models.retrieve("thinks").id == "thinks"
    with pytest.raises(NotFoundError, match="there are: plain, thinks"):
        client.models.retrieve("other")


@pytest.mark.parametrize(
    ("wishes", "param"),
    [
        ({"temperature": "hot"}, "temperature"),
        ({"temperature": -1}, "temperature"),
        ({"max_tokens": 0}, "max_tokens"),
        ({"n": 1000}, "n"),
        ({"stop": ["x"] * 65}, "stop"),
        ({"messages": []}, "messages"),
        ({"messages": [{"role": "nobody", "content": "x"}]}, "messages[0].role"),
        ({"messages": [{"role": "user", "content": [{"type": "image_url"}]}]}, "messages[0].content[0].type"),
        ({"top_logprobs": 2}, "top_logprobs"),
        ({"tool_choice": "required"}, "tool_choice"),
        ({"tools": [WEATHER], "tool_choice": {"type": "function", "function": {"name": "x"}}}, "tool_choice"),
        ({"response_format": {"type": "json_schema"}}, "response_format.json_schema.schema"),
        ({"response_format": {"type": "xml"}}, "response_format.type"),
        ({"chat_template_kwargs": {"messages": []}}, "chat_template_kwargs.messages"),
        ({"chat_template_kwargs": {"self": 1}}, "chat_template_kwargs.self"),
        ({"modalities": ["audio"]}, "audio"),
    ],
    ids=str,
)
@pytest.mark.parametrize("stream", [False, True])
def test_what_is_wrong_is_named(client, wishes, param, stream):
    with pytest.raises(BadRequestError) as refused:
        ask(client, stream=stream, extra_body={"messages": ASK, **wishes})
    assert refused.value.param == param
    assert isinstance(refused.value.body, dict) and refused.value.body["type"] == "invalid_request_error"


def test_what_is_unknown_is_let_be(client):
    assert ask(client, extra_body={"frobnicate": 1, "store": True}).choices[0].message.content == "one two three"


def test_other_refusals_have_codes_of_their_own(client):
    with pytest.raises(NotFoundError) as missing:
        ask(client, "other")
    assert missing.value.code == "model_not_found"
    with pytest.raises(BadRequestError) as full:
        ask(client, messages=[{"role": "user", "content": "x" * 5000}])
    assert full.value.code == "context_length_exceeded"
    with pytest.raises(BadRequestError, match="uniqueItems"):
        schema: Any = {"type": "array", "uniqueItems": True}
        ask(client, response_format={"type": "json_schema", "json_schema": {"name": "x", "schema": schema}})
    for wishes in ({"suffix": "x"}, {"best_of": 3}):
        with pytest.raises(BadRequestError) as refused:
            client.completions.create(model="plain", prompt="x", **wishes)
        assert refused.value.param in wishes
    with pytest.raises(BadRequestError) as refused:
        client.embeddings.create(model="plain", input="x", dimensions=3)
    assert refused.value.param == "dimensions"


def test_a_body_that_is_no_json_is_refused(client):
    with pytest.raises(APIStatusError, match="no JSON") as refused:
        client.post("/chat/completions", cast_to=object, content=b'{"model": ', options={"headers": JSON})
    assert refused.value.status_code == 400


JSON = {"content-type": "application/json"}


def test_the_demo_model_is_served_as_any_other(demo_url):
    wishes: dict[str, Any] = {"messages": [{"role": "user", "content": "Hello, my name is Clara."}], "temperature": 0}
    with client_of(demo_url) as client:
        whole = ask(client, "demo", **wishes, max_tokens=24).choices[0].message.content
        with client.chat.completions.stream(model="demo", **wishes, max_tokens=24) as stream:
            assert stream.get_final_completion().choices[0].message.content == whole
        person = ask(client, "demo", **wishes, response_format=OF_PERSON)
        Person.model_validate_json(person.choices[0].message.content, strict=True)
        call = ask(client, "demo", **wishes, tools=[WEATHER], tool_choice="required").choices[0]
        assert call.message.tool_calls and call.finish_reason == "tool_calls"
        seeded = [ask(client, "demo", **wishes | {"temperature": 1, "seed": 7}, max_tokens=24) for _ in range(2)]
        assert seeded[0].choices[0].message.content == seeded[1].choices[0].message.content


def test_vectors_of_the_demo_model_leave_its_answers_as_they_were(demo_url):
    with client_of(demo_url) as client:
        before = ask(client, "demo", temperature=0, max_tokens=16).choices[0].message.content
        cat, again, other = client.embeddings.create(
            model="demo", input=["The cat sat.", "The cat sat.", "Seven ships " * 20]
        ).data
        assert cat.embedding == again.embedding != other.embedding
        assert sum(each * each for each in cat.embedding) == pytest.approx(1, rel=1e-3)
        assert ask(client, "demo", temperature=0, max_tokens=16).choices[0].message.content == before
