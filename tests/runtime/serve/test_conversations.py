"""Conversations are kept whole or not at all, found again, and a damaged file ends nothing."""

import shutil
import sqlite3
import threading
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from accel.errors import Busy, DiskFull, NotThere, StateError, UsageError
from accel.runtime.serve import conversations
from accel.runtime.serve.conversations import Conversations, Message, excerpt_of, title_of
from accel.runtime.serve.running import Running

ASKED, SAID = Message("user", "What is the sea?"), Message("assistant", "Salt water.", "hm", (1, 2, 3), "end", 1)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "conversations.db"


def test_what_was_put_is_there_after_a_restart(file):
    store = Conversations(file)
    made = store.create("demo", "Be brief.")
    store.put(made.id, 0, (ASKED, SAID), "fingerprint", 0)
    store.close()
    kept = Conversations(file).get(made.id)
    assert kept.messages == (ASKED, SAID)
    assert (kept.title, kept.model, kept.system, kept.fingerprint) == (
        "What is the sea?", "demo", "Be brief.", "fingerprint",
    )  # fmt: skip
    assert file.stat().st_mode & 0o077 == 0


def test_without_a_file_nothing_is_written(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    store = Conversations()
    store.put(store.create().id, 0, (ASKED,))
    assert [heading.title for heading in store.headings()] == ["What is the sea?"] and not list(tmp_path.iterdir())


def test_a_message_takes_the_place_of_all_that_stood_from_there_on():
    store = Conversations()
    id = store.create().id
    store.put(id, 0, (ASKED, SAID, Message("user", "And?"), SAID))
    store.put(id, 2, (Message("user", "Why?"),))
    assert [message.content for message in store.get(id).messages] == ["What is the sea?", "Salt water.", "Why?"]


def test_tokens_of_another_model_are_let_go():
    store = Conversations()
    id = store.create().id
    store.put(id, 0, (ASKED, SAID), "one")
    store.put(id, 2, (Message("user", "And?"), SAID), "one")
    assert [message.tokens for message in store.get(id).messages] == [(), (1, 2, 3), (), (1, 2, 3)]
    store.put(id, 2, (Message("user", "And?"), SAID), "another")
    assert [message.tokens for message in store.get(id).messages] == [(), (), (), (1, 2, 3)]


def test_what_is_changed_is_changed_alone():
    store = Conversations()
    made = store.create("demo", "Be brief.")
    store.change(made.id, title="Sea")
    store.put(made.id, 0, (ASKED,))
    assert (store.get(made.id).title, store.get(made.id).system) == ("Sea", "Be brief.")


def test_a_search_finds_titles_and_messages_in_letters_of_either_case():
    store = Conversations()
    first, second = store.create().id, store.create().id
    store.put(first, 0, (Message("user", "Über das Meer"), Message("assistant", f"{'a' * 200} SALZ {'b' * 200}")))
    store.put(second, 0, (Message("user", "100% cotton_wool"),))
    (found,) = store.headings("salz")
    assert found.id == first and found.excerpt.startswith("…a") and "SALZ" in found.excerpt and len(found.excerpt) < 150
    assert [heading.id for heading in store.headings("ÜBER")] == [first]
    assert [heading.id for heading in store.headings("0%")] == [second] and not store.headings("0_")
    assert [heading.id for heading in store.headings()] == [second, first]


def test_what_is_not_there_is_said():
    store = Conversations()
    for use in (store.get, store.delete, store.change):
        with pytest.raises(NotThere):
            use("nothing")
    with pytest.raises(NotThere):
        store.put("nothing", 0, (ASKED,))


def test_what_is_deleted_is_gone_with_its_messages(file):
    store = Conversations(file)
    id = store.create().id
    store.put(id, 0, (ASKED, SAID))
    store.delete(id)
    assert store.headings() == [] and store.headings("sea") == []
    store.close()
    assert sqlite3.connect(file).execute("SELECT count(*) FROM message").fetchone() == (0,)


def test_there_is_a_bound_to_everything(monkeypatch, file):
    monkeypatch.setattr(conversations, "MOST_CONVERSATIONS", 1)
    monkeypatch.setattr(conversations, "MOST_MESSAGES", 2)
    monkeypatch.setattr(conversations, "MOST_BYTES", 2**16)
    store = Conversations(file)
    id = store.create().id
    with pytest.raises(UsageError, match="delete some"):
        store.create()
    with pytest.raises(UsageError, match="begin another"):
        store.put(id, 0, (ASKED, SAID, ASKED))
    with pytest.raises(DiskFull):
        store.put(id, 0, (Message("user", "a" * 2**17),))
    store.put(id, 0, (ASKED,))
    assert store.get(id).messages == (ASKED,)


def test_another_process_that_cut_the_conversation_is_noticed(file):
    store, other = Conversations(file), Conversations(file)
    id = store.create().id
    store.put(id, 0, (ASKED, SAID))
    other.put(id, 0, ())
    with pytest.raises(StateError, match="another process"):
        store.put(id, 2, (ASKED, SAID))


def test_one_answer_is_given_at_a_time():
    store, running = Conversations(), Running("one")
    with store.answering("a", running), store.answering("b", Running("two")):
        with pytest.raises(Busy), store.answering("a", Running("three")):
            pass
        assert store.stop("a") and running.cancelled
    assert not store.stop("a")


def test_many_threads_may_use_it(file):
    store = Conversations(file)

    def use() -> None:
        for _ in range(5):
            store.put(store.create().id, 0, (ASKED, SAID))

    threads = [threading.Thread(target=use) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(store.headings()) == 20


@pytest.mark.parametrize("what", ["noise", "another version", "no tables", "a wrong turn", "no text"])
def test_a_damaged_file_is_set_aside_and_told(file, what):
    store = Conversations(file)
    id = store.create().id
    store.put(id, 0, (ASKED, SAID))
    store.close()
    damage(file, what)
    again = Conversations(file)
    with suppress(NotThere, StateError):  # it shows where it is read
        again.headings()
        again.get(id)
    assert again.headings() == [] and again.create().id
    assert len(again.notices) == 1 and "set aside as" in again.notices[0]
    assert file.with_name(f"{file.name}.damaged").is_file()


def damage(file: Path, what: str) -> None:
    if what == "noise":
        file.write_bytes(b"no database at all" * 1000)
        return
    with sqlite3.connect(file) as connection:
        if what == "another version":
            connection.execute("PRAGMA user_version = 99")
        elif what == "no tables":
            connection.execute("DROP TABLE message")
            connection.execute("DROP TABLE conversation")
        elif what == "a wrong turn":
            connection.execute("UPDATE message SET role = 'system' WHERE number = 1")
        else:
            connection.execute("UPDATE conversation SET title = x'00ff'")
    connection.close()


@pytest.fixture(scope="module")
def whole(tmp_path_factory) -> Path:
    file = tmp_path_factory.mktemp("whole") / "conversations.db"
    store = Conversations(file)
    for _ in range(3):
        store.put(store.create().id, 0, (ASKED, SAID) * 20)
    store.close()
    return file


@settings(max_examples=40, deadline=None)
@given(st.data())
def test_whatever_is_wrong_with_the_file_is_an_error_of_ours_or_none(whole, tmp_path_factory, data):
    file = tmp_path_factory.mktemp("damaged") / "conversations.db"
    shutil.copy(whole, file)
    raw = bytearray(file.read_bytes())
    for at in data.draw(st.lists(st.integers(0, len(raw) - 1), max_size=20)):
        raw[at] ^= data.draw(st.integers(1, 255))
    file.write_bytes(raw[: data.draw(st.one_of(st.just(len(raw)), st.integers(0, len(raw))))])
    store = Conversations(file)
    for _ in range(4):
        try:
            for heading in store.headings("sea"):
                store.put(store.get(heading.id).id, 0, (ASKED,))
            break
        except StateError:
            continue
    store.put(store.create().id, 0, (ASKED,))
    assert store.headings()[0].title == "What is the sea?"
    store.close()


@given(st.text(max_size=300))
def test_a_title_is_short_and_of_one_line(text):
    title = title_of(text)
    assert len(title) <= 61 and title == " ".join(title.split())


@given(st.text(max_size=300), st.text(min_size=1, max_size=5))
def test_an_excerpt_is_short(text, wanted):
    assert len(excerpt_of(text, wanted)) <= 130
