"""The screen: every word once, in order, and nothing that grows beyond the window."""

import io
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.console import Console

from accel.runtime.chat.screen import PlainScreen, TerminalScreen

ANSWER = "# Title\n\nSome *words*.\n\n1. one\n2. two\n\n```python\nprint(1)\n\nprint(2)\n```\n\nThe end."


def shown(pieces: list[tuple[str, bool]], height: int = 24) -> str:
    """What stays on a terminal once the answer is over."""
    out = io.StringIO()
    screen = TerminalScreen(Console(file=out, force_terminal=False, width=60, height=height))
    screen.begin()
    for text, thought in pieces:
        screen.show(text, thought)
    screen.end()
    return out.getvalue()


def cut(text: str, places: list[int]) -> list[tuple[str, bool]]:
    ends = sorted(place % (len(text) + 1) for place in places)
    return [(text[a:b], False) for a, b in zip([0, *ends], [*ends, len(text)], strict=True)]


def test_an_answer_stands_there_once():
    lines = [line.strip() for line in shown([(ANSWER, False)]).splitlines()]
    assert [line for line in lines if line] == [
        *("Title", "Some words.", "1 one", "2 two", "print(1)", "print(2)", "The end.")
    ]
    assert lines[0] and lines[-1]
    assert not re.search(r"\n\s*\n\s*\n\s*\n", "\n".join(lines))


@settings(max_examples=30)
@given(st.lists(st.integers(0, 200), max_size=8))
def test_however_it_arrives_the_words_are_the_same(places):
    assert shown(cut(ANSWER, places)).split() == shown([(ANSWER, False)]).split()


def test_thoughts_come_before_the_answer_and_are_kept_apart():
    text = shown([("one\ntw", True), ("o", True), ("three", False)])
    assert [line.strip() for line in text.splitlines() if line.strip()] == ["one", "two", "three"]


def test_what_still_grows_never_exceeds_the_window():
    console = Console(file=io.StringIO(), force_terminal=True, width=60, height=10)
    screen = TerminalScreen(console)
    screen.begin()
    screen.status("working")
    screen.show("```\n" + "x\n" * 100, False)
    lines = console.render_lines(screen._tail(), pad=False)
    assert len(lines) <= 10 and "working" in "".join(segment.text for segment in lines[-1])
    screen.end()


@pytest.mark.parametrize("thought", [True, False])
def test_a_model_cannot_give_the_terminal_orders(thought):
    assert "\x1b]" not in shown([("a\x1b]0;title\x07b\n\n", thought)])


def test_plain_answers_are_the_text_itself_and_end_their_line():
    out, talk = io.StringIO(), io.StringIO()
    screen = PlainScreen(out, talk)
    for answer in ("**a**\x1b", "b\n", ""):
        screen.begin()
        screen.show("hm", True)
        screen.status("working")
        screen.show(answer[:1], False)
        screen.show(answer[1:], False)
        screen.end()
    screen.say("talk")
    assert out.getvalue() == "**a**\x1b\nb\n"
    assert talk.getvalue() == "hm\nhm\nhm\ntalk\n"
