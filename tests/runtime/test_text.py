"""What a reader sees does not depend on how tokens split the bytes."""

from itertools import groupby

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from accel.errors import UsageError
from accel.runtime.engines.fake import FakeVocabulary
from accel.runtime.text import Chunk, Given, Markers, TextStream
from accel.runtime.text import pieces as pieces_of

THINK = Markers("<think>", "</think>")
few = settings(max_examples=200, deadline=None)


def stream(pieces, *rest, **named) -> tuple[list[Chunk], TextStream]:
    text = TextStream(pieces.__getitem__, *rest, **named)
    chunks = [chunk for token in range(len(pieces)) for chunk in text.push(token)]
    return chunks + text.finish(), text


def read(pieces, *rest, **named) -> tuple[str, str, bool]:
    """(thought, answer, stopped)"""
    chunks, text = stream(pieces, *rest, **named)
    return "".join(c.text for c in chunks if c.thought), "".join(c.text for c in chunks if not c.thought), text.stopped


def single(data: bytes) -> list[bytes]:
    return [data[i : i + 1] for i in range(len(data))]


@st.composite
def split(draw, data: bytes) -> list[bytes]:
    cuts = sorted(draw(st.lists(st.integers(0, len(data)), max_size=8)))
    return [data[a:b] for a, b in zip([0, *cuts], [*cuts, len(data)], strict=True)]


@few
@given(st.binary(max_size=40) | st.text(max_size=20).map(str.encode), st.data())
def test_any_split_of_any_bytes_gives_the_text_of_the_whole(data, more):
    assert read(more.draw(split(data)))[1] == data.decode("utf-8", "replace") == read(single(data))[1]


def test_a_character_is_given_with_its_last_byte_and_not_before():
    text = TextStream(single("aé👍b".encode()).__getitem__)
    assert [text.push(i) for i in range(8)] == [
        [Chunk("a")], [], [Chunk("é")], [], [], [], [Chunk("👍")], [Chunk("b")],
    ]  # fmt: skip


def test_bytes_that_are_no_utf8_become_the_replacement_character_and_a_cut_character_too():
    assert read([b"a\xff", b"b\xe2\x82"])[1] == "a\ufffdb\ufffd"


pieces = st.lists(st.sampled_from(["a", "b", "ab", "\n", " ", "<think>", "</think>", "<th", "ink>", "é"]), max_size=12)
stops = st.lists(st.text("ab\n<é", min_size=1, max_size=4), max_size=3)


@few
@given(pieces, stops, st.booleans(), st.integers(1, 5))
def test_tokens_that_are_pushed_together_say_what_they_say_one_by_one(pieces, stops, thinking, size):
    coded = [piece.encode() for piece in pieces]
    text = TextStream(coded.__getitem__, stops, THINK, thinking)
    tokens = range(len(coded))
    chunks = [chunk for at in tokens[::size] for chunk in text.push(*tokens[at : at + size])] + text.finish()
    thought, answer = ("".join(chunk.text for chunk in chunks if chunk.thought is kind) for kind in (True, False))
    assert (thought, answer, text.stopped) == read(coded, stops, THINK, thinking)


@few
@given(pieces.map("".join), stops, st.booleans(), st.booleans(), st.data())
def test_stops_and_thoughts_do_not_depend_on_the_split(whole, stops, thinks, opened, more):
    data = whole.encode()
    rest = (stops, THINK if thinks else None, opened)
    assert read(more.draw(split(data)), *rest) == read([data], *rest) == read(single(data), *rest)


@few
@given(st.text("abc", max_size=30), st.lists(st.text("abc", min_size=1, max_size=4), min_size=1, max_size=3))
def test_the_stop_that_is_complete_first_ends_the_text(whole, stops):
    ended = next((n for n in range(len(whole) + 1) if whole[:n].endswith(tuple(stops))), None)
    if ended is None:
        expected = ("", whole, False)
    else:
        longest = max(len(stop) for stop in stops if whole[:ended].endswith(stop))
        expected = ("", whole[: ended - longest], True)
    assert read(single(whole.encode()), stops) == expected


def test_text_is_held_back_only_while_it_may_become_a_stop():
    text = TextStream([b"He", b"l", b"p!", b"STO", b"Q", b"S", b"TO", b"Px"].__getitem__, ["STOP"])
    given_ = ["".join(chunk.text for chunk in text.push(token)) for token in range(8)]
    assert given_ == ["He", "l", "p!", "", "STOQ", "", "", ""]
    assert text.stopped and not text.push(0) and not text.finish()


def test_what_is_held_at_the_end_is_given():
    assert read([b"abST"], ["STOP"]) == ("", "abST", False)
    assert read([b" <thi"], (), THINK) == ("", " <thi", False)
    assert read([b"<think>so </thi"], (), THINK) == ("so </thi", "", False)


def test_thoughts_are_told_apart_and_line_breaks_after_markers_go():
    assert read([b"\n<thi", b"nk>\nwhy", b"?</think", b">\n\nTwo", b"."], (), THINK) == ("why?", "Two.", False)


def test_a_prompt_may_have_opened_the_thought():
    assert THINK.opened_by("<|assistant|>\n<think>\n") and not THINK.opened_by("<think>\n\n</think>\n\n")
    assert read([b"hm</thi", b"nk>Yes"], (), THINK, thinking=True) == ("hm", "Yes", False)


def test_a_marker_inside_the_answer_is_text():
    assert read([b"write <think> and </think>"], (), THINK) == ("", "write <think> and </think>", False)
    assert read([b"<think>a</think>b <think>c"], (), THINK) == ("a", "b <think>c", False)


def test_an_empty_thought_and_a_second_one_before_the_answer():
    assert read([b"<think>\n\n</think>\n\n", b"Hi"], (), THINK) == ("", "Hi", False)
    assert read([b"<think>a</think> <think>b</think>c"], (), THINK) == ("ab", "c", False)


def given_of(pieces: list[bytes], *rest, **named) -> list[Given]:
    return stream(pieces, *rest, **named)[1].given()


@few
@given(st.binary(max_size=40) | st.text(max_size=20).map(str.encode), st.data())
def test_every_token_is_told_of_that_has_bytes(data, more):
    tokens = more.draw(split(data))
    assert [each.token for each in given_of(tokens, shares=True)] == [at for at, piece in enumerate(tokens) if piece]


@few
@given(st.text(max_size=20), st.data())
def test_every_character_is_one_tokens(text, more):
    assert sum(each.length for each in given_of(more.draw(split(text.encode())), shares=True)) == len(text)


@few
@given(pieces.map("".join), stops, st.booleans())
def test_bytes_are_told_of_the_text_that_they_spell(whole, stops, opened):
    tokens = single(whole.encode())
    told = given_of(tokens, stops, THINK, opened, shares=True)
    thought, answer, _ = read(tokens, stops, THINK, opened)
    for kind, text in ((True, thought), (False, answer)):
        assert b"".join(tokens[each.token] for each in told if each.thought is kind).decode() == text
        assert sum(each.length for each in told if each.thought is kind) == len(text)


@few
@given(pieces, stops, st.booleans(), st.booleans(), st.integers(1, 5))
def test_what_is_told_of_tokens_does_not_depend_on_how_many_are_pushed_together(pieces, stops, opened, shares, size):
    coded = [piece.encode() for piece in pieces]
    text = TextStream(coded.__getitem__, stops, THINK, opened, shares)
    tokens = range(len(coded))
    for at in tokens[::size]:
        text.push(*tokens[at : at + size])
    text.finish()
    assert text.given() == given_of(coded, stops, THINK, opened, shares=shares)


def test_markers_and_what_goes_with_them_are_nobodys_and_stops_neither():
    tokens = [b"<think>", b"\n", b"so", b" it is", b"</th", b"ink>", b"\n\n", b"\nYes", b".", b"ST", b"OP"]
    thought, answer = [Given(2, True, 2), Given(3, True, 6)], [Given(7, False, 3), Given(8, False, 1)]
    assert given_of(tokens, ["STOP"], THINK, shares=True) == thought + answer
    assert given_of(tokens, ["STOP"], THINK) == thought


def test_a_control_token_is_told_of_nothing():
    assert given_of([b"", b"a", b"", b"b"], shares=True) == [Given(1, False, 1), Given(3, False, 1)]


def test_stops_count_in_the_answer_only():
    assert read([b"<think>a. b.</think>c. d."], ["."], THINK) == ("a. b.", "c", True)


def test_markers_that_are_control_tokens_are_spelled_out():
    vocabulary = FakeVocabulary()
    marks = Markers("<|im_start|>", "<|im_end|>")  # control tokens of this vocabulary
    tokens = vocabulary.encode("<|im_start|>why<|im_end|>Yes</s>")
    for thoughts, expected in ((marks, [("why", True), ("Yes", False)]), (THINK, [("whyYes", False)])):
        text = TextStream(pieces_of(vocabulary, thoughts), (), thoughts)
        chunks = [chunk for token in tokens for chunk in text.push(token)] + text.finish()
        assert [
            ("".join(c.text for c in group), kind) for kind, group in groupby(chunks, lambda c: c.thought)
        ] == expected


@pytest.mark.parametrize("bad", [[""], ["a" * 257], ["a"] * 65])
def test_impossible_stops_are_refused(bad):
    with pytest.raises(UsageError, match="stop string"):
        TextStream([].__getitem__, bad)
