"""How tools are called is learned from the template itself."""

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from accel.runtime.engines.fake import ENDS, FakeVocabulary
from accel.runtime.grammar import Grammar, Grammars
from accel.runtime.renderer import Renderer
from accel.runtime.serve.asked import Call
from accel.runtime.serve.calls import CallReader
from accel.runtime.serve.tool_format import USUAL, ToolFormat, described, learn_format, read_form
from accel.runtime.template import ChatTemplate

TEMPLATES = Path(__file__).resolve().parents[4] / "shared" / "assets" / "chat_templates"
TOOL = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "Of a place.",
        "parameters": {"type": "object", "properties": {"place": {"type": "string"}}, "required": ["place"]},
    },
}
OTHER = {"type": "function", "function": {"name": "roll", "description": "", "parameters": None}}
NAMES = frozenset({"get_weather", "roll"})

_TURNS = (
    "{%% for m in messages %%}<|%%s|>{%% if m.tool_calls %%}%s{%% else %%}{{ m.content }}{%% endif %%}<|end|>\n"
    "{%% endfor %%}{%% if add_generation_prompt %%}<|assistant|>{%% endif %%}"
).replace("%%s", "{{ m.role }}")


def style(calls: str, before: str = "{% if tools %}Tools: {{ tools | tojson }}\n{% endif %}") -> str:
    """A template that writes calls so."""
    return before + _TURNS % calls


_EACH = "{% for c in m.tool_calls %}"
STYLES = {
    "object": style(
        _EACH + '\n<tool_call>\n{"name": "{{ c.function.name }}", "arguments": {{ c.function.arguments | tojson }}}\n'
        "</tool_call>{% endfor %}"
    ),
    "whole_function": style(_EACH + "<call>{{ c.function | tojson }}</call>{% endfor %}"),
    "deeper": style(_EACH + "<call>{{ c | tojson }}</call>{% endfor %}"),
    "bare": style(
        '{"name": "{{ m.tool_calls[0].function.name }}", "parameters": '
        "{{ m.tool_calls[0].function.arguments | tojson }}}"
    ),
    "list": style(
        "[TOOL_CALLS] [" + _EACH + '{"name": "{{ c.function.name }}", "arguments": '
        '{{ c.function.arguments | tojson }}, "id": "{{ c.id }}"}{% if not loop.last %}, {% endif %}{% endfor %}]'
    ),
    "named": style(
        _EACH + "<function={{ c.function.name }}>{{ c.function.arguments | tojson }}</function>{% endfor %}"
    ),
    "name_marked": style(
        _EACH + "[TOOL_CALLS]{{ c.function.name }}[ARGS]{{ c.function.arguments | tojson }}{% endfor %}"
    ),
    "inner_and_outer": style(
        "<calls>" + _EACH + "<call>function<sep>{{ c.function.name }}\n```json\n{{ c.function.arguments | tojson }}\n"
        "```</call>{% endfor %}</calls>"
    ),
    "text_arguments": style(
        _EACH + "<call>{{ c.function.name }}\n{{ '```json\n' + c.function.arguments + '\n```' }}</call>{% endfor %}"
    ),
    "nothing_said": style(_EACH + "<call>{{ c.function | tojson }}</call>{% endfor %}").replace(
        "{% if m.tool_calls %}", "{% if m.content is none %}"
    ),
}


@pytest.fixture(scope="module")
def renderer() -> Iterator[Renderer]:
    found = Renderer()
    yield found
    found.close()


def template(source: str, renderer: Renderer) -> ChatTemplate:
    return ChatTemplate(source, "<s>", "</s>", renderer=renderer)


def written(format: ToolFormat, source: ChatTemplate, *calls: Call) -> str:
    """What the template makes of calls, as a model would write them: what stands between prompt and turn's end."""
    arguments = [call.arguments if format.as_text else json.loads(call.arguments) for call in calls]
    made = [
        {"id": "abcdefghi", "type": "function", "function": {"name": call.name, "arguments": given}}
        for call, given in zip(calls, arguments, strict=True)
    ]
    asks = {"role": "user", "content": "?"}
    calling = {"role": "assistant", "content": format.nothing, "tool_calls": made}
    whole = source.render([asks, calling], [TOOL, OTHER], add_generation_prompt=False)
    prompt = source.render([asks], [TOOL, OTHER])
    assert whole.startswith(prompt)
    return whole.removeprefix(prompt)


def read(format: ToolFormat, text: str) -> list[object]:
    reader = CallReader(format, NAMES)
    return [*reader.push(text), *reader.finish()]


ONE, TWO = Call("get_weather", '{"place": "Zürich"}'), Call("roll", "{}")
MANY = [name for name in STYLES if name != "bare"]


@pytest.mark.parametrize("name", STYLES)
def test_a_call_as_the_template_writes_it_is_read_back(name, renderer):
    source = template(STYLES[name], renderer)
    format = learn_format(source)
    assert format.native
    assert read(format, written(format, source, ONE).removesuffix("<|end|>\n")) == [ONE]


@pytest.mark.parametrize("name", MANY)
def test_several_calls_are_read_back_too(name, renderer):
    source = template(STYLES[name], renderer)
    format = learn_format(source)
    assert read(format, written(format, source, ONE, TWO).removesuffix("<|end|>\n")) == [ONE, TWO]


def test_the_parts_of_a_form_are_found(renderer):
    found = {name: learn_format(template(source, renderer)) for name, source in STYLES.items()}
    assert found["object"] == ToolFormat("object", "<tool_call>\n", "\n</tool_call>")
    assert found["bare"] == ToolFormat("object", "", "", arguments="parameters")
    assert found["list"] == ToolFormat("list", "[TOOL_CALLS] ", "")
    assert found["named"] == ToolFormat("named", "<function=", "</function>", between=">")
    assert found["deeper"].within == "function"
    assert found["inner_and_outer"].open == "<calls><call>function<sep>"
    assert found["text_arguments"].as_text and found["nothing_said"].nothing is None


def test_control_tokens_come_without_text_and_are_not_waited_for(renderer):
    source = template(STYLES["list"], renderer)
    format = learn_format(source, ["[TOOL_CALLS]", "</s>", "x"])
    assert format.silent == ("[TOOL_CALLS]",) and format.open == "[TOOL_CALLS] " and not format.begin
    assert read(format, '[{"name": "roll", "arguments": {}}]') == [TWO]
    named = learn_format(template(STYLES["name_marked"], renderer), ["[TOOL_CALLS]", "[ARGS]"])
    assert read(named, "roll{}") == [TWO]


@pytest.mark.parametrize(
    "source",
    [
        style("{{ m.tool_calls | tojson }}", before=""),  # which tells the model of no tools
        style("some words"),
        style("<call>{{ m.tool_calls[0].function.name }}</call>"),
        style("{{ raise_exception('no tools') }}"),
        "{{ raise_exception('nothing at all') }}",
        "{% if %}",
        style('{"name": "probe_tool", "arguments": [' + "[" * 5000),
    ],
    ids=range(7),
)
def test_a_template_that_knows_of_no_tools_is_given_the_usual_form(source, renderer):
    assert learn_format(template(source, renderer)) == USUAL
    assert not USUAL.native


def test_who_is_told_in_words_is_told_of_every_tool_and_of_the_usual_form():
    words = described([TOOL, OTHER])
    assert "get_weather" in words and "roll" in words
    example = words[words.index(USUAL.begin) :]
    reader = CallReader(USUAL, frozenset({"the name"}))
    assert [*reader.push(example), *reader.finish()] == [Call("the name", '{"a": "value"}')]


@pytest.mark.parametrize("body", ["", "{", "[]", "[1]", "{}", '{"name": "other"}', '{"probe_tool": {}}', "}{" * 100])
def test_what_is_no_form_is_none(body):
    assert read_form(body) is None


def test_a_grammar_lets_nothing_pass_but_a_call_of_these_tools():
    kind, text = ToolFormat("object", "", "").grammar([TOOL])
    schema = json.loads(text)
    assert kind == "json_schema" and schema["properties"]["name"] == {"const": "get_weather"}
    assert schema["required"] == ["name", "arguments"] and schema["additionalProperties"] is False
    kind, text = ToolFormat("list", "", "").grammar([TOOL, OTHER])
    assert len(json.loads(text)["items"]["anyOf"]) == 2 and json.loads(text)["minItems"] == 1
    kind, text = ToolFormat("object", "", "", within="function").grammar([TOOL])
    assert list(json.loads(text)["properties"]) == ["function"]
    kind, text = ToolFormat("named", "", "", between=">").grammar([TOOL, OTHER])
    assert kind == "lark" and text.startswith("start: call0 | call1")


@pytest.mark.parametrize("name", STYLES)
def test_a_grammar_lets_a_call_pass_and_it_is_read_as_what_it_is(name, renderer):
    format = learn_format(template(STYLES[name], renderer), ["[ARGS]"])
    kind, text = format.grammar([TOOL, OTHER])
    inner = {format.name: "get_weather", format.arguments: {"place": "x"}}
    value = {format.within: inner} if format.within else inner
    named = 'get_weather{"place": "x"}' if format.silent else f'get_weather{format.between}{{"place": "x"}}'
    call = {"named": named, "list": json.dumps([value]), "object": json.dumps(value)}[format.shape]
    for wanted, passes in ((call, True), (call.replace("get_weather", "get_money"), False)):
        assert lets_pass(Grammars(FakeVocabulary()).compile(kind, text), wanted) is passes
    reader = CallReader(format, NAMES, opened=True)
    assert [*reader.push(call), *reader.finish()] == [Call("get_weather", '{"place": "x"}')]


@pytest.mark.parametrize("name", STYLES)
def test_the_arguments_of_a_call_may_be_indented_and_white_space_in_them_ends(name, renderer):
    kind, text = learn_format(template(STYLES[name], renderer), ["[ARGS]"]).grammar([TOOL])
    grammar = Grammars(FakeVocabulary()).compile(kind, text)
    while grammar.mask()[ord("{")] or not grammar.mask()[ord(" ")]:  # what may come at first is forced
        grammar.accept(int(np.flatnonzero(grammar.mask())[-1]))
    assert all(lets_go_on(grammar, white) for white in (" ", "\n", "\n    ", "\n\t\t"))
    assert not any(lets_go_on(grammar, white) for white in ("  ", "\n\n", f"\n{' ' * 25}"))


def test_a_tools_schema_does_not_say_how_its_json_is_written():
    lax = {**TOOL["function"], "parameters": {**TOOL["function"]["parameters"], "x-guidance": {"lenient": True}}}
    _, text = ToolFormat("named", "", "").grammar([{"type": "function", "function": lax}])
    assert '"lenient": true' not in text


def lets_go_on(grammar: Grammar, text: str) -> bool:
    grammar = grammar.fork()
    for token in text.encode():
        if not grammar.mask()[token]:
            return False
        grammar.accept(token)
    return True


def lets_pass(grammar: Grammar, text: str) -> bool:
    for token in text.encode():
        if not grammar.mask()[token]:
            return False
        grammar.accept(token)
    return bool(grammar.mask()[list(ENDS)].any())


@pytest.mark.skipif(not TEMPLATES.exists(), reason="no ../shared/assets here")
@pytest.mark.parametrize(
    ("name", "form"),
    [
        ("Qwen-Qwen2.5-7B-Instruct", ToolFormat("object", "<tool_call>\n", "\n</tool_call>")),
        ("meta-llama-Llama-3.1-8B-Instruct", ToolFormat("object", "", "", arguments="parameters")),
        ("mistralai-Mistral-Nemo-Instruct-2407", ToolFormat("list", "[TOOL_CALLS]", "")),
        ("google-gemma-2-2b-it", USUAL),
        ("microsoft-Phi-3.5-mini-instruct", USUAL),
    ],
)
def test_real_templates_are_read(name, form, renderer):
    source = template((TEMPLATES / f"{name}.jinja").read_text(), renderer)
    format = learn_format(source)
    assert format == form
    if format.native:
        text = written(format, source, ONE).removesuffix("<|im_end|>\n").removesuffix("<|eot_id|>").removesuffix("</s>")
        assert read(format, text) == [ONE]
