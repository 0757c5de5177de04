"""Prompts that had to go come back, also after a restart, within bounds, and never wrong."""

import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from accel.runtime.engines.base import Batch
from accel.runtime.engines.fake import FakeEngine, FakeOptions
from accel.runtime.prompt_cache import LEAST, PromptCache
from accel.runtime.prompt_files import Lying, clear, folder_of, lying
from accel.runtime.sequences import Sequences
from accel.units import Bytes

LARGE = Bytes.from_mib(1)


def engine(**options: Any) -> Any:
    return FakeEngine(FakeOptions(**{"context": 2000, **options}))


def text(first: int, length: int = 2 * LEAST) -> list[int]:
    return [first, *range(100, 99 + length)] if length < 150 else [first, *([7] * (length - 1))]


def put(cache: PromptCache, fake: Any, tokens: list[int]) -> None:
    fake.truncate(0, 0)
    fake.forward(Batch.chain(0, tokens))
    fake.commit(0, range(len(tokens)))
    kept, found = cache.put(0, tokens), cache.closest(tokens, 2000)
    assert kept is (len(tokens) >= LEAST and found is not None and found.common == len(tokens))


def brought_back(cache: PromptCache, fake: Any, tokens: list[int]) -> int:
    """Of a prompt, how many tokens come back; they are what was put away."""
    fake.truncate(0, 0)
    found = cache.closest(tokens, 2000)
    if not found or not cache.load(found.entry, 0):
        assert fake.length(0) == 0
        return 0
    fake.truncate(0, found.common)
    alone = engine()
    alone.forward(Batch.chain(0, tokens[: found.common]))
    alone.commit(0, range(found.common))
    one, two = (each.forward(Batch.chain(0, [5])).row(0) for each in (fake, alone))
    assert np.array_equal(one, two)
    return found.common


@pytest.mark.parametrize("memory", [Bytes(0), LARGE], ids=["on disk", "in memory"])
def test_what_a_prompt_begins_with_comes_back(tmp_path, memory):
    fake = engine()
    cache = PromptCache(fake, tmp_path, memory, LARGE)
    put(cache, fake, text(1))
    put(cache, fake, text(2))
    assert len(cache) == 2 and bool(cache.held) is bool(memory) and bool(cache.on_disk) is not bool(memory)
    assert brought_back(cache, fake, [*text(1)[:100], 9, 9, 9]) == 100
    assert brought_back(cache, fake, [3, 3, 3]) == 0


def test_after_a_restart_it_is_there(tmp_path):
    fake = engine()
    cache = PromptCache(fake, tmp_path, LARGE, LARGE)
    put(cache, fake, text(1))
    cache.flush()
    other = engine()
    again = PromptCache(other, tmp_path, LARGE, LARGE)
    assert brought_back(again, other, text(1)) == len(text(1))


def test_another_engine_takes_nothing_of_it(tmp_path):
    fake = engine()
    put(PromptCache(fake, tmp_path, Bytes(0), LARGE), fake, text(1))
    (path,) = tmp_path.iterdir()
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 3] + b"x" * (len(whole) - len(whole) // 3))
    (tmp_path / ".1234.part").write_bytes(b"half")
    other = engine()
    again = PromptCache(other, tmp_path, Bytes(0), LARGE)
    assert brought_back(again, other, text(1)) == 0
    assert not list(tmp_path.iterdir())


def test_a_prompt_that_grew_takes_the_place_of_what_it_was(tmp_path):
    fake = engine()
    cache = PromptCache(fake, tmp_path, Bytes(0), LARGE)
    put(cache, fake, text(1)[:70])
    put(cache, fake, text(1))
    put(cache, fake, text(1)[:80])  # is there already, as a part
    assert len(cache) == 1 == len(list(tmp_path.iterdir()))
    assert brought_back(cache, fake, text(1)) == len(text(1))


def test_few_tokens_are_not_worth_a_file(tmp_path):
    fake = engine()
    cache = PromptCache(fake, tmp_path, LARGE, LARGE)
    put(cache, fake, [1] * (LEAST - 1))
    assert len(cache) == 0


def test_all_of_it_can_be_let_go(tmp_path):
    fake = engine()
    cache = PromptCache(fake, tmp_path, Bytes(4000), LARGE)
    for first in range(8):
        put(cache, fake, text(first))
    cache.clear()
    assert len(cache) == cache.held == cache.on_disk == 0 and not list(tmp_path.iterdir())


def test_how_often_one_came_back_is_counted(tmp_path):
    fake = engine()
    cache = PromptCache(fake, tmp_path, LARGE, LARGE)
    put(cache, fake, text(1))
    assert brought_back(cache, fake, text(2)) == 0 == cache.hits
    assert brought_back(cache, fake, text(1)) and brought_back(cache, fake, text(1)) and cache.hits == 2


def test_files_that_somebody_clears_cost_it_what_they_held_and_nothing_that_comes_later(home):
    fake = engine()
    cache = PromptCache(fake, folder_of("fake"), Bytes(0), LARGE)
    put(cache, fake, text(1))
    assert lying("fake") == Lying(1, cache.on_disk)
    clear()
    assert brought_back(cache, fake, text(1)) == 0 == len(cache) and cache.hits == 0
    put(cache, fake, text(2))
    assert brought_back(cache, fake, text(2)) == len(text(2)) and lying().prompts == 1


def test_prompts_on_disk_cost_no_more_memory_than_their_tokens(tmp_path):
    fake = engine(batch=2000)
    cache = PromptCache(fake, tmp_path, Bytes(0), LARGE)
    for first in range(16):
        put(cache, fake, text(first, 2000))
    tracemalloc.start()
    try:
        again = PromptCache(fake, tmp_path, Bytes(0), LARGE)
        assert len(again) == 16 and tracemalloc.get_traced_memory()[0] < 6 * 16 * 2000  # each token has 4 bytes
    finally:
        tracemalloc.stop()


def test_a_disk_that_fails_costs_the_cache_and_nothing_else(tmp_path):
    fake = engine()
    folder = tmp_path / "prompts"
    cache = PromptCache(fake, folder, Bytes(0), LARGE)
    folder.rmdir()
    put(cache, fake, text(1))
    assert len(cache) == 0


@settings(max_examples=40, deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 9), st.integers(LEAST, 149)), max_size=15),
    st.integers(0, 6000),
    st.integers(0, 6000),
)
def test_the_bounds_hold_and_the_latest_stay(tmp_path_factory, texts, memory, disk):
    folder: Path = tmp_path_factory.mktemp("prompts")
    fake = engine()
    cache = PromptCache(fake, folder, Bytes(memory), Bytes(disk))
    for first, length in texts:
        put(cache, fake, text(first, length))
        assert cache.held <= memory
        assert cache.on_disk == sum(path.stat().st_size for path in folder.iterdir()) <= disk
    kept = [entry.tokens for entry in cache._entries]
    again = PromptCache(engine(), folder, Bytes(memory), Bytes(disk))
    assert all(entry.tokens in kept for entry in again._entries)


def run(fake: Any, sequences: Sequences, tokens: list[int]) -> int:
    """A prompt is read, and rests; how much of it was there."""
    found = sequences.take(None, tokens)
    assert found
    seat, reused = found
    fake.forward(Batch.chain(seat.number, tokens[reused:]))
    fake.commit(seat.number, range(len(tokens) - reused))
    sequences.release(seat, list(tokens), len(tokens))
    return reused


def test_where_there_is_memory_for_it_what_no_text_is_at_leaves_the_cache_to_those_that_run(tmp_path):
    fake = engine(sequences=4)
    sequences = Sequences(fake, PromptCache(fake, tmp_path, LARGE, Bytes(0)))
    short = [3] * (LEAST - 1)
    assert run(fake, sequences, text(1)) == run(fake, sequences, short) == run(fake, sequences, text(2)) == 0
    assert sequences.positions == sequences.idle == len(text(2)) + len(short)  # that is not worth it
    assert run(fake, sequences, [*text(1), 8]) == len(text(1))
    assert sequences.positions == sequences.idle == len(text(1)) + 1 + len(short)


def test_without_memory_for_it_it_stays_where_it_is(tmp_path):
    fake = engine(sequences=4)
    cache = PromptCache(fake, tmp_path, Bytes(0), LARGE)
    sequences = Sequences(fake, cache)
    assert run(fake, sequences, text(1)) == run(fake, sequences, text(2)) == 0
    assert sequences.positions == 2 * len(text(1)) and not len(cache)


def test_a_sequence_that_is_needed_puts_its_text_away_and_it_comes_back(tmp_path):
    fake = engine(sequences=1)
    sequences = Sequences(fake, PromptCache(fake, tmp_path, LARGE, LARGE))
    assert run(fake, sequences, text(1)) == 0
    assert run(fake, sequences, text(2)) == 0
    assert run(fake, sequences, [*text(1), 8]) == len(text(1))
    assert run(fake, sequences, [*text(2), 8]) == len(text(2))
    sequences.put_all_away()
    assert sequences.positions == fake.length(0)
