"""Conversations on disk: whole or set aside, never half."""

import os

import pytest

from accel.errors import AccelError, StateError, UsageError
from accel.runtime.history import KEPT, Conversation, History, Message

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


def test_another_model_gets_the_words_without_the_tokens():
    other = TALK.of_model("other")
    assert [message.content for message in other.messages] == [message.content for message in TALK.messages]
    assert not any(message.tokens for message in other.messages)
    assert TALK.of_model("m") is TALK
