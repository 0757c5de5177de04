"""Messages about calls, as templates take them."""

import pytest

from accel.runtime.serve.tool_format import USUAL, ToolFormat
from accel.runtime.serve.tool_messages import for_template

PLAIN = {"role": "user", "content": "How is the weather?"}
CALL = {"id": "call_123456789012", "type": "function", "function": {"name": "look", "arguments": {"at": "Zürich"}}}
CALLING = {"role": "assistant", "content": "", "tool_calls": [CALL]}
ANSWER = {"role": "tool", "content": "rain", "tool_call_id": CALL["id"]}
NATIVE = ToolFormat("object", "<call>", "</call>")


def test_what_has_nothing_to_do_with_tools_is_left_alone():
    assert for_template([PLAIN], NATIVE) == for_template([PLAIN], USUAL) == [PLAIN]


def test_a_call_that_says_nothing_has_the_content_that_the_template_takes():
    for nothing in ("", None):
        _, calling = for_template([PLAIN, CALLING], ToolFormat("object", "", "", nothing=nothing))
        assert calling["content"] == nothing
    (calling,) = for_template([{**CALLING, "content": "Let me look."}], ToolFormat("object", "", "", nothing=None))
    assert calling["content"] == "Let me look."


def test_arguments_are_an_object_or_its_text_as_the_template_takes_them():
    (calling,) = for_template([CALLING], NATIVE)
    assert calling["tool_calls"][0]["function"]["arguments"] == {"at": "Zürich"}
    (calling,) = for_template([CALLING], ToolFormat("named", "", "", as_text=True))
    assert calling["tool_calls"][0]["function"]["arguments"] == '{"at": "Zürich"}'


def test_ids_are_short_and_plain_the_same_for_a_call_and_its_answer_every_time():
    calling, answer = for_template([CALLING, ANSWER], NATIVE)
    id = calling["tool_calls"][0]["id"]
    assert id == answer["tool_call_id"] and len(id) == 9 and id.isalnum()
    assert for_template([CALLING, ANSWER], NATIVE) == [calling, answer]
    (kept,) = for_template([{**ANSWER, "tool_call_id": "abc123DEF"}], NATIVE)
    assert kept["tool_call_id"] == "abc123DEF"


def test_a_template_that_knows_of_no_tools_is_shown_text_and_the_users_turn():
    shown = for_template([PLAIN, {**CALLING, "content": "Well."}, ANSWER, {**ANSWER, "content": "sun"}], USUAL)
    assert [message["role"] for message in shown] == ["user", "assistant", "user"]
    assert shown[1]["content"] == ('Well.\n<tool_call>\n{"name": "look", "arguments": {"at": "Zürich"}}\n</tool_call>')
    assert shown[2]["content"] == "<tool_response>\nrain\n</tool_response>\n<tool_response>\nsun\n</tool_response>"


@pytest.mark.parametrize("format", [NATIVE, USUAL], ids=["native", "usual"])
def test_what_was_sent_stays_as_it_is(format):
    before = {**CALLING, "tool_calls": [dict(CALL)]}
    for_template([before, ANSWER], format)
    assert before == CALLING and ANSWER["tool_call_id"] == CALL["id"]
