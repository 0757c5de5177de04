"""Calls of tools within a text, however it is cut."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from accel.runtime.messages import Chance
from accel.runtime.serve import calls
from accel.runtime.serve.asked import Call, Words
from accel.runtime.serve.calls import CallReader
from accel.runtime.serve.tool_format import ToolFormat

TOOLS = frozenset({"add", "add_all", "look-up"})
HERMES = ToolFormat("object", "<tool_call>\n", "\n</tool_call>")
BARE = ToolFormat("object", "", "", arguments="parameters")
LIST = ToolFormat("list", "[TOOL_CALLS]", "")
NAMED = ToolFormat("named", "<function=", "</function>", between=">")
SILENT = ToolFormat("named", "[TOOL_CALLS]", "", between="[ARGS]", silent=("[TOOL_CALLS]", "[ARGS]"))
FORMATS = {"hermes": HERMES, "bare": BARE, "list": LIST, "named": NAMED, "silent": SILENT}
CALLS = {
    "hermes": '<tool_call>\n{"name": "add", "arguments": {"a": [1, {"b": "}"}]}}\n</tool_call>',
    "bare": '{"name": "add", "parameters": {"a": [1, {"b": "}"}]}}',
    "list": '[TOOL_CALLS][{"name": "add", "arguments": {"a": [1, {"b": "}"}]}}]',
    "named": '<function=add>{"a": [1, {"b": "}"}]}</function>',
    "silent": 'add{"a": [1, {"b": "}"}]}',
}
ADD = Call("add", '{"a": [1, {"b": "}"}]}')

# What texts may be made of: words, white space, markers and pieces of them, calls that are whole and such as are not.
pieces = st.sampled_from(
    ["a", "add", "{", "}", "[", "<", ">", " ", "\n", "<tool", "_call>", "</tool_call>", "<tool_call>", "[TOOL_CALLS]",
     "<function=", "</function>", '{"name": "no"}', '{"name": "add"', "<tool_call>{}</tool_call>", *CALLS.values()]
)  # fmt: skip
texts = st.lists(pieces, max_size=12).map("".join) | st.text(max_size=30)
formats = st.sampled_from(list(FORMATS.values()))


def read(format: ToolFormat, parts: list[str], opened: bool = False) -> list[Words | Call]:
    """What comes, words that follow one another joined."""
    reader = CallReader(format, TOOLS, opened)
    found: list[Words | Call] = []
    for each in [*(each for part in parts for each in reader.push(part)), *reader.finish()]:
        if isinstance(each, Words) and found and isinstance(found[-1], Words):
            each = Words(found.pop().text + each.text)  # type: ignore[union-attr]
        found.append(each)
    assert reader.called == any(isinstance(each, Call) for each in found)
    return found


@given(formats, texts, st.data(), st.booleans())
def test_what_comes_does_not_depend_on_how_the_text_is_cut(format, text, data, opened):
    cuts = sorted(data.draw(st.lists(st.integers(0, len(text)), max_size=8)))
    parts = [text[start:end] for start, end in zip([0, *cuts], [*cuts, len(text)], strict=True)]
    assert read(format, parts, opened) == read(format, [text], opened) == read(format, list(text), opened)


@given(formats, texts, st.data(), st.booleans())
def test_words_come_with_the_chances_of_their_own_tokens_however_the_text_is_cut(format, text, data, opened):
    cuts = sorted(data.draw(st.lists(st.integers(0, len(text)), max_size=8)))
    reader = CallReader(format, TOOLS, opened)
    found: list[Words | Call] = []
    for start, end in zip([0, *cuts], [*cuts, len(text)], strict=True):
        letters = [Chance(letter.encode(errors="replace"), -1.0, length=1) for letter in text[start:end]]
        found += reader.push(text[start:end], letters)
    words = [each for each in [*found, *reader.finish()] if isinstance(each, Words)]
    for each in words:
        assert b"".join(chance.piece for chance in each.chances) == each.text.encode(errors="replace")


def test_a_token_is_told_with_the_first_of_its_letters_that_is_said():
    tokens = ["Let", " me", " see", ".\n\n", "<tool", "_call>", '{"name": "add"', "}</tool", "_call>", "\n so", " <"]
    reader = CallReader(HERMES, TOOLS)
    found: list[Words | Call] = []
    for token in tokens:
        found += reader.push(token, [Chance(token.encode(), -1.0, length=len(token))])
    words = [each for each in [*found, *reader.finish()] if isinstance(each, Words)]
    told = [(each.text, [chance.piece.decode() for chance in each.chances]) for each in words]
    assert told == [
        ("Let", ["Let"]), (" me", [" me"]), (" see", [" see"]), (".", [".\n\n"]), ("so", ["\n so"]), (" <", [" <"])
    ]  # fmt: skip


def test_the_chances_of_what_looked_like_a_call_and_is_none_come_with_it():
    reader = CallReader(HERMES, TOOLS)
    tokens = ["a ", "<tool_call>", "{}", "</tool_call>"]
    found = [each for token in tokens for each in reader.push(token, [Chance(token.encode(), -1.0, length=len(token))])]
    words = [each for each in found if isinstance(each, Words)]
    assert [[chance.piece.decode() for chance in each.chances] for each in words] == [["a "], tokens[1:]]


@given(formats, texts)
def test_a_text_without_a_call_comes_through_unchanged(format, text):
    found = read(format, [text])
    if not any(isinstance(each, Call) for each in found):
        assert found == ([Words(text)] if text else [])


@given(st.text(max_size=40))
def test_nothing_is_held_back_at_the_end(text):
    assert "".join(each.text for each in read(HERMES, list(text)) if isinstance(each, Words)) == text


@pytest.mark.parametrize("name", FORMATS)
def test_a_call_is_taken_out_with_the_white_space_around_it(name):
    assert read(FORMATS[name], [f"\n {CALLS[name]} \n"]) == [ADD]


@pytest.mark.parametrize("name", ["hermes", "list", "named"])
def test_words_may_stand_before_a_call_that_is_marked(name):
    assert read(FORMATS[name], ["Let me see.\n\n", CALLS[name]]) == [Words("Let me see."), ADD]


@pytest.mark.parametrize("name", ["hermes", "named"])
def test_words_may_stand_between_calls_and_after_them(name):
    call = CALLS[name]
    assert read(FORMATS[name], [f"{call} then {call}\n{call} done "]) == [ADD, Words("then"), ADD, ADD, Words("done ")]


def test_several_calls_may_stand_between_one_pair_of_markers():
    several = '[TOOL_CALLS][{"name": "add", "arguments": {}}, {"name": "look-up", "arguments": {"a": 1}}]'
    assert read(LIST, [several]) == [Call("add", "{}"), Call("look-up", '{"a": 1}')]
    assert read(BARE, ['{"name": "add", "parameters": {}}; {"name": "add"}']) == [Call("add", "{}"), Call("add", "{}")]
    assert read(SILENT, ['add{"a": 1}look-up{}']) == [Call("add", '{"a": 1}'), Call("look-up", "{}")]


def test_an_answer_that_ends_within_a_call_has_made_it_if_it_is_whole():
    assert read(HERMES, ['<tool_call>{"name": "add", "arguments": {}}']) == [Call("add", "{}")]
    assert read(NAMED, ["<function=add>{}"]) == [Call("add", "{}")]


@pytest.mark.parametrize(
    "inside",
    [
        "",
        "add",
        '{"name": "add"',
        '{"name": "unknown", "arguments": {}}',
        '{"name": 5, "arguments": {}}',
        '{"arguments": {}}',
        '{"name": "add", "arguments": 5}',
        '{"name": "add", "arguments": "no json"}',
        '{"name": "add", "arguments": {"a": NaN}}',
        '{"name": "add", "arguments": {}} {"name": "unknown", "arguments": {}}',
        "5",
        "[" * 100_000,
    ],
    ids=lambda text: text[:30],
)
def test_what_is_no_call_of_a_known_tool_is_text(inside):
    text = f"so: <tool_call>{inside}</tool_call> and"
    assert read(HERMES, [text]) == [Words(text)]


def test_arguments_may_be_the_text_of_an_object_and_may_be_left_out():
    assert read(HERMES, ['<tool_call>{"name": "add", "arguments": "{\\"a\\": 1}"}']) == [Call("add", '{"a": 1}')]
    assert read(HERMES, ['<tool_call>{"name": "add"}']) == [Call("add", "{}")]


def test_half_a_character_in_arguments_can_be_sent_all_the_same():
    (call,) = read(HERMES, ['<tool_call>{"name": "add", "arguments": {"a": "\\ud83d", "b": "é"}}'])
    assert isinstance(call, Call) and call.arguments.isascii()
    assert json.loads(call.arguments) == {"a": "\ud83d", "b": "é"}


def test_where_nothing_marks_a_call_only_the_answers_beginning_can_be_one():
    late = f"I call {CALLS['bare']}"
    assert read(BARE, [late]) == [Words(late)]
    assert read(BARE, ['{"a": "plain JSON"}']) == [Words('{"a": "plain JSON"}')]
    assert read(SILENT, ["adding is easy"]) == [Words("adding is easy")]


def test_text_is_given_as_soon_as_it_can_be_no_call():
    reader = CallReader(HERMES, TOOLS)
    assert reader.push("one <") == [Words("one")]
    assert reader.push("two") == [Words(" <two")]
    assert reader.push(" <tool_c") == []
    assert reader.push("ase>") == [Words(" <tool_case>")]


def test_what_the_prompt_has_opened_is_a_call_from_its_first_letter():
    assert read(HERMES, ['{"name": "add", "arguments": {}}'], opened=True) == [Call("add", "{}")]
    assert read(HERMES, ['{"name": "ad'], opened=True) == [Words('{"name": "ad')]


def test_a_call_without_an_end_is_not_held_for_ever(monkeypatch):
    monkeypatch.setattr(calls, "_LONGEST", 100)
    reader = CallReader(HERMES, TOOLS)
    text = "<tool_call>" + "x" * 101
    assert reader.push(text) == [Words(text)]
    assert reader.push(" more") == [Words(" more")]
