"""Conversations on disk: whole or set aside, never half."""

import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from accel.errors import AccelError, ContextFull, StateError, UsageError
from accel.runtime.history import KEPT, Conversation, History, Message, fitted, most_tokens

TALK = Conversation(model="m", system="Be brief.").add(
    Message("user", "Hallo, Welt! \N{SNOWMAN}"), Message("assistant", "Ja.", (1, 2, 3))
)


@pytest.fixture
def history(tmp_path):
    return History(tmp_path / "sessions")


def test_what_was_saved_is_loaded(history):
    history.save("my chat", TALK)
    assert history.load("my chat") == TALK
    assert history.names() == ["my chat"]


@pytest.mark.parametrize("name", ["", ".", "..", "../x", "a/b", "a\0b", "-x", "x" * 65, "x ", "x.", "a\nb", "C:x"])
def test_a_name_that_leaves_the_folder_is_refused(history, name):
    with pytest.raises(UsageError):
        history.save(name, TALK)
    with pytest.raises(UsageError):
        history.load(name)
    assert not list(history.folder.iterdir())


def test_an_unknown_name_tells_those_that_are_there(history):
    history.save("one", TALK)
    with pytest.raises(UsageError, match="there are: one"):
        history.load("two")


@pytest.mark.parametrize(
    "damage",
    [
        b"",
        b"{}x",
        b"[" * 100_000,
        b'{"version": 2}',
        b'{"unknown": 1}',
        b'{"messages": [{"role": "assistant", "content": "first"}]}',
        b'{"messages": [{"role": "robot", "content": "x"}]}',
        b'{"messages": [{"role": "user", "content": "x", "tokens": [-1]}]}',
        b'{"messages": [], "forgotten": 2}',
        b'{"messages": [], "forgotten": -2}',
        b'{"system": 1}',
    ],
)
def test_a_damaged_file_is_set_aside_with_its_cache_gone(history, damage):
    (history.folder / "x.json").write_bytes(damage)
    history.state("x").write_bytes(b"cache")
    with pytest.raises(StateError, match="set aside"):
        history.load("x")
    assert (history.folder / "x.json.damaged").read_bytes() == damage
    assert sorted(path.name for path in history.folder.iterdir()) == ["x.json.damaged"]


def test_a_file_cut_anywhere_is_damaged_or_gone(history):
    history.save("x", TALK)
    whole = (history.folder / "x.json").read_bytes()
    for end in range(len(whole)):
        (history.folder / "x.json").write_bytes(whole[:end])
        with pytest.raises(StateError):
            history.load("x")


def test_a_file_that_cannot_be_read_is_said_and_left_where_it_is(history):
    (history.folder / "odd.json").mkdir()
    with pytest.raises(AccelError, match="'odd' cannot be read"):
        history.load("odd")
    assert (history.folder / "odd.json").is_dir()


def test_names_come_newest_first(history):
    for age, name in enumerate(["new", "old", "older"]):
        history.save(name, TALK)
        os.utime(history.folder / f"{name}.json", ns=(10**18 - age, 10**18 - age))
    assert history.names() == ["new", "old", "older"]


def test_a_new_name_is_one_that_is_not_there(history):
    names = set()
    for _ in range(3):
        names.add(name := history.new_name())
        history.save(name, TALK)
    assert len(names) == 3


def test_unnamed_chats_are_kept_up_to_a_number_and_named_ones_for_ever(history):
    for number in range(KEPT + 5):
        name = f"2026-01-01-{number:06d}-000"
        history.save(name, TALK)
        history.state(name).touch()
        os.utime(history.folder / f"{name}.json", ns=(10**18 + number, 10**18 + number))
    history.save("mine", TALK)
    history.state("mine").touch()
    newest = f"2026-01-01-{KEPT + 4:06d}-000"
    history.tidy(newest)
    assert len(history.names()) == KEPT + 1
    assert sorted(path.stem for path in history.folder.glob("*.state")) == [newest, "mine"]


def test_forgotten_messages_are_not_shown_but_kept():
    talk = TALK.add(Message("user", "b"), Message("assistant", "c")).forget(2)
    assert [message.content for message in talk.prompt()] == ["Be brief.", "b", "c"]
    assert len(talk.messages) == 4
    assert talk.until(1).forgotten == 1


def letters(conversation: Conversation) -> int:
    """A tokenizer's count, where every letter is a token and a template adds none."""
    return sum(len(message.content) for message in conversation.prompt())


def never(conversation: Conversation) -> int:
    raise AssertionError("this was not to be counted")


@given(
    st.lists(st.integers(1, 400), min_size=1, max_size=15),
    st.integers(8, 600),
    st.integers(1, 700) | st.none(),
    st.booleans(),
)
def test_what_is_shown_fits_and_only_whole_turns_are_forgotten(lengths, context, most, bounded):
    texts = tuple("x" * length for length in lengths[: len(lengths) - (len(lengths) + 1) % 2])
    roles = ("user", "assistant")
    messages = tuple(Message(roles[number % 2], text) for number, text in enumerate(texts))
    asked = Conversation(messages=messages)
    try:
        shown = fitted(asked, context, most, letters, most_tokens(messages) if bounded else None)
    except ContextFull:
        assert len(texts[-1]) >= context
        return
    assert letters(shown) < context and shown.forgotten % 2 == 0 and shown.messages == messages
    assert shown.forgotten == 0 or letters(asked) > context - min(context // 4, most or context)


def test_nothing_is_counted_that_surely_fits():
    assert fitted(TALK, 4096, None, never, most_tokens(TALK.prompt())) is TALK
    with pytest.raises(AssertionError):
        fitted(TALK, 4096, None, never)
    with pytest.raises(AssertionError):
        fitted(TALK, 4096, None, never, 3 * 1024 + 1)


def test_a_question_that_alone_is_too_long_is_refused_with_what_can_be_done():
    asked = TALK.add(Message("user", "x" * 300))
    with pytest.raises(
        ContextFull, match=r"309 of 256 tokens of context; shorten it, the system prompt, or .*--context"
    ):
        fitted(asked, 256, None, letters)


def test_another_model_gets_the_words_without_the_tokens():
    other = TALK.of_model("other")
    assert [message.content for message in other.messages] == [message.content for message in TALK.messages]
    assert not any(message.tokens for message in other.messages)
    assert TALK.of_model("m") is TALK
