"""Streaming Markdown is cut only where what follows cannot change what was printed."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from accel.runtime.chat.blocks import printable, split_blocks

PIECES = st.lists(
    st.sampled_from(["a", "\n", "\n\n", "```", "~~~~", "    ", "- x", "# t", "`", "\r", " "]), max_size=25
)


@pytest.mark.parametrize(
    ("text", "finished"),
    [
        ("", ""),
        ("a", ""),
        ("a\n", ""),
        ("a\n\n", "a\n\n"),
        ("a\n\nb", "a\n\n"),
        ("```\na\n\nb\n", ""),
        ("```\na\n\nb\n```\n\nc", "```\na\n\nb\n```\n\n"),
        ("~~~\n```\n\n~~~\n\nc", "~~~\n```\n\n~~~\n\n"),
        ("````\n```\n\n````\n\nc", "````\n```\n\n````\n\n"),
        ("``` `x`\n\nc", "``` `x`\n\n"),
    ],
)
def test_finished_ends_at_a_blank_line_outside_a_fence(text, finished):
    assert split_blocks(text) == (finished, text[len(finished) :])


@given(PIECES)
def test_nothing_is_lost_and_what_is_finished_stays_so(pieces):
    text, seen = "", ""
    for piece in pieces:
        text += piece
        finished, rest = split_blocks(text)
        assert finished + rest == text
        assert finished.startswith(seen)
        seen = finished


@given(PIECES)
def test_the_open_part_can_be_split_by_itself(pieces):
    text = "".join(pieces)
    finished, rest = split_blocks(text)
    assert split_blocks(rest) == ("", rest)
    assert split_blocks(finished) == (finished, "")


def test_a_terminal_gets_no_orders():
    assert printable("a\x1b[31mb\x07\r\x9bc\x7f\u202ed\te\nf\N{SNOWMAN}") == "a[31mbcd\te\nf\N{SNOWMAN}"
