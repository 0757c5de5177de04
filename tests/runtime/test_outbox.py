"""Many small messages travel as few, and none is lost, changed or overtaken."""

import threading
from itertools import groupby, pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from accel.runtime.messages import Drafting, Event, Failed, Loading, Pong, Prefilled, Started, Text
from accel.runtime.outbox import Outbox, merged

ids = st.integers(1, 3)
events = st.lists(
    st.builds(Text, ids, st.text(max_size=3), st.booleans(), st.integers(0, 9))
    | st.builds(Prefilled, ids, st.just(1), st.just(2))
    | st.builds(Loading, st.floats(0, 1)),
    max_size=40,
)


def told(messages, id):
    """What one answer is told, texts of one kind run together."""
    own = [message for message in messages if getattr(message, "id", 0) == id]
    runs = groupby(own, lambda message: message.thought if isinstance(message, Text) else message)
    return [(kind, "".join(text.text for text in run) if isinstance(kind, bool) else len([*run])) for kind, run in runs]


@given(events)
def test_every_answer_is_told_the_same_in_the_same_order(messages):
    for id in (1, 2, 3):
        assert told(merged(messages), id) == told(messages, id)


@given(events)
def test_texts_that_follow_one_another_are_one(messages):
    for id in (1, 2, 3):
        own = [message for message in merged(messages) if getattr(message, "id", 0) == id]
        pairs = pairwise(own)
        assert not any(isinstance(a, Text) and isinstance(b, Text) and a.thought == b.thought for a, b in pairs)


@given(events)
def test_the_count_of_tokens_is_the_last_one(messages):
    for id in (1, 2, 3):
        counts = [message.tokens for message in messages if isinstance(message, Text) and message.id == id]
        found = [message.tokens for message in merged(messages) if isinstance(message, Text) and message.id == id]
        assert found[-1:] == counts[-1:]


@given(events)
def test_of_loading_only_the_last_is_told(messages):
    fractions = [message.fraction for message in messages if isinstance(message, Loading)]
    assert [message.fraction for message in merged(messages) if isinstance(message, Loading)] == fractions[-1:]


class Speaker:
    """Says so much when it is asked, each list once."""

    def __init__(self, *told: list[Event], goes_on: bool = False) -> None:
        self.told = list(told)
        self.goes_on = goes_on

    def speak(self) -> list[Event]:
        return self.told.pop(0) if self.told else []


def test_who_goes_on_is_asked_at_every_beat_until_it_does_not():
    woken: list[None] = []
    outbox = Outbox(lambda: woken.append(None))
    speaker = Speaker([Text(1, "a", False, 1)], [], [Text(1, "b", False, 2)], [Text(1, "c", False, 3)], goes_on=True)
    outbox.put(speaker)
    assert [outbox.take(), outbox.take(), outbox.take()] == [[Text(1, "a", False, 1)], [], [Text(1, "b", False, 2)]]
    assert outbox.beating and len(woken) == 1
    speaker.goes_on = False
    outbox.put(Pong(1))
    assert outbox.take() == [Text(1, "c", False, 3), Pong(1)]
    assert outbox.take() == [] and not outbox.beating


def test_what_is_put_while_others_speak_is_not_left_lying():
    woken: list[None] = []
    outbox = Outbox(lambda: woken.append(None))

    class Slow(Speaker):
        def speak(self) -> list[Event]:
            outbox.put(Text(2, "x", False, 1))  # another thread would
            return []

    outbox.put(Text(1, "a", False, 1))
    outbox.take()
    outbox.put(Slow())
    count = len(woken)
    assert outbox.take() == []
    assert outbox.beating or len(woken) > count
    assert outbox.take() == [Text(2, "x", False, 1)]


def test_the_first_word_wakes_the_sender_and_those_after_it_do_not():
    woken: list[None] = []
    outbox = Outbox(lambda: woken.append(None))
    outbox.put(Text(1, "a", False, 1))
    assert len(woken) == 1
    assert outbox.take() == [Text(1, "a", False, 1)]
    outbox.put(Text(1, "b", False, 2))
    outbox.put(Text(1, "c", False, 3))
    assert len(woken) == 1
    assert outbox.take() == [Text(1, "bc", False, 3)]
    assert outbox.take() == []
    outbox.put(Text(1, "d", False, 4))
    assert len(woken) == 2


@pytest.mark.parametrize("before", [Prefilled(1, 1, 2), Speaker()], ids=["no text", "nothing"])
def test_the_first_word_wakes_the_sender_that_has_just_sent_something_else(before):
    woken: list[None] = []
    outbox = Outbox(lambda: woken.append(None))
    outbox.put(before)
    outbox.take()
    outbox.put(Text(1, "a", False, 1))
    assert len(woken) == 2


def test_the_first_word_of_every_answer_wakes_the_sender_while_others_stream():
    woken: list[None] = []
    outbox = Outbox(lambda: woken.append(None))
    for saying in (Prefilled(1, 2, 2), Text(1, "a", False, 1)):
        outbox.put(saying)
    outbox.take()
    outbox.put(Prefilled(2, 1, 2))  # a part of its prompt
    outbox.put(Text(1, "b", False, 2))
    outbox.take()
    count = len(woken)
    outbox.put(Text(1, "c", False, 3))
    assert len(woken) == count
    outbox.put(Prefilled(2, 2, 2))
    outbox.put(Text(1, "d", False, 4))
    outbox.take()  # before its first word is there
    count = len(woken)
    outbox.put(Text(2, "x", False, 1))
    assert len(woken) == count + 1
    outbox.take()
    for number in range(5):
        outbox.put(Text(1, "e", False, number))
        outbox.put(Text(2, "y", False, number))
    assert len(woken) == count + 1


def test_a_first_word_that_is_held_back_wakes_the_sender_when_it_comes():
    woken: list[None] = []
    outbox = Outbox(lambda: woken.append(None))
    outbox.put(Text(2, "x", False, 1))
    outbox.put(Prefilled(1, 1, 1))
    outbox.take()
    told: list[list[Event]] = [[], [], [Text(1, "a", False, 3)]]
    for events in told:
        count = len(woken)
        outbox.put(Speaker([Text(2, "x", False, 1), *events]))
        assert len(woken) == count + 1
        outbox.take()
    outbox.put(Speaker([Text(1, "b", False, 4)]))
    assert len(woken) == count + 1


@pytest.mark.parametrize(("prompt", "reused", "at_once"), [(64, 0, False), (2000, 1990, False), (2000, 64, True)])
def test_that_a_prompt_is_begun_is_told_with_its_first_word_where_that_follows_at_once(prompt, reused, at_once):
    woken: list[None] = []
    outbox = Outbox(lambda: woken.append(None))
    outbox.put(Started(1, prompt, reused))
    assert len(woken) == at_once
    outbox.put(Prefilled(1, prompt - reused, prompt - reused))
    outbox.put(Text(1, "word", False, 1))
    assert len(woken) == 1 + at_once
    assert [type(message) for message in outbox.take()] == [Started, Prefilled, Text]


def test_an_answer_that_ends_without_a_word_is_awaited_no_more():
    woken: list[None] = []
    outbox = Outbox(lambda: woken.append(None))
    outbox.put(Text(2, "x", False, 1))
    outbox.put(Prefilled(1, 1, 1))
    outbox.put(Failed(1, "EngineError", "what", "do"))
    outbox.take()
    count = len(woken)
    outbox.put(Text(2, "x", False, 1))
    assert len(woken) == count


def test_what_is_no_text_wakes_the_sender_always():
    woken: list[None] = []
    outbox = Outbox(lambda: woken.append(None))
    outbox.put(Text(1, "a", False, 1))
    outbox.take()
    outbox.put(Pong(1))
    assert len(woken) == 2


def test_nothing_is_lost_between_two_threads():
    wake = threading.Event()
    outbox = Outbox(wake.set)
    count = 20_000

    def speak() -> None:
        for number in range(count):
            outbox.put(Text(1, "x", False, number))

    speaker = threading.Thread(target=speak)
    speaker.start()
    heard = 0
    while heard < count:
        found = outbox.take()
        heard += sum(len(message.text) for message in found if isinstance(message, Text))
        if not found:
            assert wake.wait(10)
            wake.clear()
    speaker.join()
    assert heard == count


def test_what_is_drafted_travels_with_the_text_and_wakes_nobody():
    woken: list[None] = []
    outbox = Outbox(lambda: woken.append(None))
    outbox.put(Text(1, "a", False, 1))
    outbox.take()
    count = len(woken)
    outbox.put(Drafting(1, "copying drafts 8"))
    outbox.put(Text(1, "b", False, 2))
    assert len(woken) == count
    assert outbox.take() == [Drafting(1, "copying drafts 8"), Text(1, "b", False, 2)]
