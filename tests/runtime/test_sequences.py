"""A conversation's cache is used again as far as it can be, and gives way to others when it must."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from accel.errors import ContextFull, DiskFull, StateError, UsageError
from accel.runtime.engines.base import Batch
from accel.runtime.engines.fake import FakeEngine, FakeOptions
from accel.runtime.prefix import common_prefix
from accel.runtime.sequences import Sequences

small = st.lists(st.integers(0, 1), max_size=30)


@given(small, small)
def test_the_common_prefix_is_the_longest_there_is(one, other):
    common = common_prefix(one, other)
    assert one[:common] == other[:common]
    assert common == min(len(one), len(other)) or one[common] != other[common]


def engine(**options: Any) -> Any:
    return FakeEngine(FakeOptions(**options))


def run(engine: Any, sequences: Sequences, conversation: str | None, tokens: list[int]) -> int:
    """A prompt is forwarded and the conversation rests; how many tokens were there already."""
    found = sequences.take(conversation, tokens)
    assert found
    seat, reused = found
    rest = tokens[reused:]
    engine.forward(Batch.chain(seat.number, rest))
    engine.commit(seat.number, range(len(rest)))
    sequences.release(seat, tokens, len(tokens))
    return reused


def test_what_two_prompts_begin_with_in_common_is_forwarded_once():
    fake = engine()
    sequences = Sequences(fake)
    assert run(fake, sequences, "c", [1, 2, 3, 4]) == 0
    assert run(fake, sequences, "c", [1, 2, 3, 4, 5, 6]) == 4
    assert run(fake, sequences, "c", [1, 2, 9, 9]) == 2


def test_the_same_prompt_again_is_forwarded_from_its_last_token():
    fake = engine()
    sequences = Sequences(fake)
    run(fake, sequences, "c", [1, 2, 3])
    assert run(fake, sequences, "c", [1, 2, 3]) == 2


def test_an_engine_that_takes_nothing_back_keeps_all_or_nothing():
    fake = engine(rollback=False)
    sequences = Sequences(fake)
    run(fake, sequences, "c", [1, 2, 3])
    assert run(fake, sequences, "c", [1, 2, 3, 4]) == 3
    assert run(fake, sequences, "c", [1, 2, 9]) == 0
    assert run(fake, sequences, "c", [1, 2, 9]) == 0


def test_the_conversation_used_longest_ago_gives_way():
    fake = engine(sequences=2)
    sequences = Sequences(fake)
    run(fake, sequences, "a", [1, 2, 3])
    run(fake, sequences, "b", [2, 2, 3])
    run(fake, sequences, "a", [1, 2, 3])
    run(fake, sequences, "c", [3, 2, 3])
    assert run(fake, sequences, "a", [1, 2, 3, 4]) == 3
    assert run(fake, sequences, "b", [2, 2, 3, 4]) == 0


def test_caches_give_way_to_a_prompt_that_needs_their_room():
    fake = engine(context=10, sequences=4)
    sequences = Sequences(fake)
    for name in ("a", "b"):
        run(fake, sequences, name, [1, 2, 3, 4])
    run(fake, sequences, "c", [1, 2, 3, 4])
    assert sequences.positions == 8
    assert run(fake, sequences, "b", [1, 2, 3, 4]) == 3


def test_a_prompt_waits_while_those_that_run_need_the_room():
    sequences = Sequences(engine(context=10, sequences=4))
    found = sequences.take("a", [1] * 6)
    assert found and sequences.take("b", [1] * 5) is None
    sequences.release(found[0], [], 6)
    assert sequences.take("b", [1] * 5)


def test_a_conversation_runs_once_at_a_time():
    sequences = Sequences(engine())
    assert sequences.take("a", [1, 2])
    assert sequences.take("a", [1, 2]) is None
    with pytest.raises(UsageError):
        sequences.forget("a")


def test_what_is_forgotten_is_forwarded_again():
    fake = engine()
    sequences = Sequences(fake)
    run(fake, sequences, "a", [1, 2, 3])
    sequences.forget("a")
    sequences.forget("never heard of")
    assert sequences.positions == 0
    assert run(fake, sequences, "a", [1, 2, 3]) == 0


def test_a_saved_conversation_goes_on_in_another_engine(tmp_path):
    fake = engine()
    sequences = Sequences(fake)
    run(fake, sequences, "a", [1, 2, 3, 4])
    positions, size = sequences.save("a", tmp_path / "state")
    assert positions == 4 and size == (tmp_path / "state").stat().st_size
    other = engine()
    loaded = Sequences(other)
    assert loaded.load("z", tmp_path / "state") == 4
    assert run(other, loaded, "z", [1, 2, 3, 4, 5]) == 4
    assert run(fake, sequences, "a", [1, 2, 3, 4, 5]) == 4
    one, two = (each.forward(Batch.chain(0, [6])).row(0) for each in (fake, other))
    assert np.array_equal(one, two)


def test_nothing_to_save_is_said_and_leaves_no_file(tmp_path):
    sequences = Sequences(engine())
    with pytest.raises(UsageError):
        sequences.save("a", tmp_path / "state")
    assert not list(tmp_path.iterdir())


def test_a_full_disk_leaves_no_file(tmp_path):
    resource = pytest.importorskip("resource", reason="no limit of a file's size here")
    fake = engine()
    sequences = Sequences(fake)
    run(fake, sequences, "a", [1, 2, 3, 4])
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100, limits[1]))
    try:
        with pytest.raises(DiskFull):
            sequences.save("a", tmp_path / "state")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert not list(tmp_path.iterdir())


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_a_damaged_file_is_never_loaded(tmp_path_factory, data):
    path = tmp_path_factory.mktemp("states") / "state"
    fake = engine(context=64)
    sequences = Sequences(fake)
    run(fake, sequences, "a", list(range(1, 9)))
    sequences.save("a", path)
    whole = path.read_bytes()
    at = data.draw(st.integers(0, len(whole) - 1))
    if data.draw(st.booleans()):
        path.write_bytes(whole[:at])
    else:
        path.write_bytes(whole[:at] + bytes([whole[at] ^ data.draw(st.integers(1, 255))]) + whole[at + 1 :])
    with pytest.raises(StateError):
        sequences.load("a", path)
    assert sequences.positions == 0
    assert run(fake, sequences, "a", list(range(1, 9))) == 0


def test_a_state_that_is_not_there_or_too_long_is_an_error(tmp_path):
    fake = engine(context=64)
    sequences = Sequences(fake)
    with pytest.raises(StateError):
        sequences.load("a", tmp_path / "missing")
    with pytest.raises(StateError):
        sequences.load("a", tmp_path)
    run(fake, sequences, "a", [1] * 60)
    sequences.save("a", tmp_path / "state")
    with pytest.raises((StateError, ContextFull)):
        Sequences(engine(context=32)).load("a", tmp_path / "state")


def test_a_text_of_nobodys_goes_on_with_what_it_prolongs():
    fake = engine(sequences=2)
    sequences = Sequences(fake)
    run(fake, sequences, None, [1, 2, 3])
    assert run(fake, sequences, None, [1, 2, 3, 4, 5]) == 3
    assert sequences.positions == 5


def test_what_a_text_shares_with_another_is_taken_from_it_and_stays_with_it():
    fake = engine(sequences=3)
    sequences = Sequences(fake)
    run(fake, sequences, "a", [1, 2, 3, 4])
    assert run(fake, sequences, "b", [1, 2, 3, 9]) == 3
    assert run(fake, sequences, None, [1, 2, 8, 8]) == 2
    assert run(fake, sequences, "a", [1, 2, 3, 4, 5]) == 4


def test_what_one_that_runs_has_read_so_far_is_shared():
    fake = engine(sequences=2)
    sequences = Sequences(fake)
    first = sequences.take("a", [1, 2, 3, 4, 5])
    assert first
    fake.forward(Batch.chain(first[0].number, [1, 2, 3]))
    fake.commit(first[0].number, range(3))
    assert sequences.shared([1, 2, 3, 4, 9]) == 3
    second = sequences.take("b", [1, 2, 3, 4, 9])
    assert second and second[1] == 3


def test_what_cannot_be_taken_back_is_shared_whole_or_not_at_all():
    fake = engine(sequences=3, rollback=False)
    sequences = Sequences(fake)
    run(fake, sequences, "a", [1, 2, 3])
    assert run(fake, sequences, "b", [1, 2, 3, 4]) == 3
    assert run(fake, sequences, "c", [1, 2, 9]) == 0


@settings(max_examples=40, deadline=None)
@given(
    st.lists(
        st.tuples(st.sampled_from(["a", "b", None]), st.lists(st.integers(0, 2), min_size=1, max_size=12)), max_size=12
    ),
    st.integers(1, 4),
    st.booleans(),
)
def test_whatever_is_shared_the_next_logits_are_those_of_the_whole_text(texts, seats, rollback):
    fake = engine(sequences=seats, context=40, rollback=rollback)
    sequences = Sequences(fake)
    for conversation, tokens in texts:
        found = sequences.take(conversation, tokens)
        assert found
        seat, reused = found
        row = fake.forward(Batch.chain(seat.number, tokens[reused:])).row(len(tokens) - reused - 1).copy()
        fake.commit(seat.number, range(len(tokens) - reused))
        alone = engine(context=40)
        assert np.array_equal(row, alone.forward(Batch.chain(0, tokens)).row(len(tokens) - 1))
        sequences.release(seat, list(tokens), len(tokens))
        assert sequences.promised == 0 and sequences.idle == sequences.positions <= 40
