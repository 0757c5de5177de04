"""The simulation of drafting: what it says follows from the recording alone, and from its costs."""

import importlib
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from accel.tools.bench.speculate_rivals import RIVALS, Cache, MapK, Simple

BENCH = Path(__file__).parents[2] / "tools" / "bench"
STORY = [*range(10, 40)]
TOKENS = st.lists(st.integers(0, 3), min_size=2, max_size=60)


@pytest.fixture(scope="module")
def tools() -> Iterator[Any]:
    """The programs of tools/bench import one another as programs do."""
    sys.path.insert(0, str(BENCH))
    try:
        yield importlib.import_module("speculate_simulate")
    finally:
        sys.path.remove(str(BENCH))


def recording(texts: list[tuple[int, list[int]]], step: float, guesses: bool = False) -> Any:
    """Of texts (length of the prompt, tokens): the first is tuned with, the others reported. A row more costs `step`
    more than one alone."""
    records = importlib.import_module("speculate_recording")
    look = records.Look(1e-6, 1e-7)
    steps = tuple(1 + step * more for more in range(32))
    looks = dict.fromkeys(("copying", "ngrams", "recycling", "model"), look)
    world = records.World(1.0, steps, (1, 32), (1.0, steps[-1]), looks, 1e-6, look, 64)
    recorded = tuple(
        records.Recorded(
            f"text {number}",
            "report" if number else "tune",
            prompt,
            tuple(tokens),
            tuple((token,) for token in tokens[prompt:]),
            tuple((tuple(tokens[at : at + 4]), (0.9,) * len(tokens[at : at + 4])) for at in range(prompt, len(tokens)))
            if guesses
            else (),
        )
        for number, (prompt, tokens) in enumerate(texts)
    )
    return records.Recording("m", "k", 0.0, True, world, recorded, {})


def test_text_that_repeats_is_written_faster_than_plainly_and_no_faster_than_an_oracle_could(tools):
    found = tools.simulate(recording([(40, STORY * 4), (40, STORY * 4)], step=0.05))
    assert 3 < found["ours"] <= found["oracle"] and found["fixed"] <= found["fixed_in_hindsight"]


def test_where_every_row_costs_as_much_as_the_first_nothing_is_gained_and_little_lost(tools):
    found = tools.simulate(recording([(40, STORY * 8), (40, STORY * 8)], step=1.0))
    assert found["oracle"] == pytest.approx(1, abs=1e-3) and 0.95 < found["ours"] <= 1.0
    assert found["fixed"] == found["llama_simulated"] == 1.0


def test_the_same_recording_gives_the_same_figures(tools):
    record = recording([(40, STORY * 4), (30, STORY * 3)], step=0.1, guesses=True)
    assert tools.simulate(record) == tools.simulate(record)
    assert tools.simulate(record, noise=0.3)["ours"] != tools.simulate(record)["ours"]


def test_a_recording_is_read_as_it_was_written(tools, tmp_path):
    record = recording([(40, STORY * 2), (40, STORY * 2)], step=0.1, guesses=True)
    assert tools.load(record.save(tmp_path)) == record


@given(TOKENS.filter(lambda tokens: len(tokens) > 3), st.floats(0, 1), st.integers(1, 4))
def test_an_oracle_of_true_guesses_takes_the_cheapest_of_all_ways(tools, tokens, step, first):
    record = recording([(1, tokens), (1, tokens)], step, guesses=True)
    world, end = record.world, len(tokens)
    drafters = {"model": tools.fresh(record).drafters["model"]}
    tools_recorded = importlib.import_module("speculate_oracle").oracle_seconds(drafters, record, 1)

    def cheapest(at: int) -> float:
        if at == end:
            return 0.0
        ways = [world.plain + rest[at + 1]]
        ways += [
            world.looks["model"].of(n) + world.step(1 + n) + rest[at + 1 + n] for n in range(1, 5) if at + 1 + n <= end
        ]
        return min(ways)

    rest = [0.0] * (end + 1)
    for at in range(end - 1, 1, -1):
        rest[at] = cheapest(at)
    assert tools_recorded["all"] == pytest.approx(rest[2] if end > 2 else 0.0)


@given(TOKENS, st.integers(1, 4), st.integers(1, 6))
def test_ngram_simple_guesses_what_a_search_backwards_finds(tokens, n, m):
    rival = Simple(n, m)
    rival.begin(tokens[:1])
    for length in range(2, len(tokens) + 1):
        assert rival.draft(tokens[:length]) == _searched(tokens[: length - 1], tokens[length - 1], n, m)


def _searched(tokens: list[int], sampled: int, n: int, m: int) -> list[int]:
    """As common_ngram_simple_draft goes about it."""
    if len(tokens) <= n + m + 1:
        return []
    pattern = [*tokens[len(tokens) - n + 1 :], sampled]
    for start in range(len(tokens) - n - 1, 0, -1):
        if tokens[start : start + n] == pattern:
            count = min(m, len(tokens) - (start + n))
            return tokens[start + n : start + n + count] if count >= n else []
    return []


def test_ngram_map_k_guesses_no_more_than_stood_before():
    rival, text = MapK(2, 3), STORY * 2
    rival.begin(text[:-1])
    assert rival.draft(text) == STORY[:3]
    rival.accept(1)
    assert rival.draft(text) == STORY[:1]


def test_ngram_cache_guesses_what_followed_in_most_cases():
    rival = Cache(1)
    assert rival.draft([1, 2, 3, 1, 2, 4, 1, 2, 3, 9, 1, 2]) == [3]
    rival.begin([])
    assert rival.draft([5, 6]) == []


@pytest.mark.parametrize("name", RIVALS)
def test_every_rival_may_be_asked_at_any_length(name):
    rival = RIVALS[name]()
    for text in ([1], STORY * 3, [2, 1]):
        rival.begin(text[:-1])
        for length in range(max(1, len(text) - 20), len(text) + 1):
            assert set(rival.draft(text[:length])) <= set(text)
            rival.accept(0)
