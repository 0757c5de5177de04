"""The sampler against its rule written out plainly."""

import math
import shutil

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from accel.errors import EngineError, SettingError
from accel.runtime.law import Law
from accel.runtime.noise import gumbel
from accel.runtime.sampling import Largest, Recent, Sampler, compiled

few = settings(max_examples=150, deadline=None)
laws = st.builds(
    Law,
    temperature=st.sampled_from([0.0, 0.3, 0.8, 1.0, 3.0]),
    top_k=st.sampled_from([0, 1, 3, 40, 1000]),
    top_p=st.sampled_from([0.0, 0.31, 0.61, 0.9531, 1.0]),
    min_p=st.sampled_from([0.0, 0.013, 0.31, 1.0]),
    repeat_penalty=st.sampled_from([0.7, 1.0, 1.3]),
    frequency_penalty=st.sampled_from([0.0, 0.25]),
    presence_penalty=st.sampled_from([0.0, -0.5, 0.5]),
    penalty_last=st.sampled_from([0, 2, 5]),
    logit_bias=st.sampled_from([(), ((0, 1.5), (3, -math.inf))]),
    seed=st.integers(0, 2**64 - 1),
)


@st.composite
def rows(draw, least: int = 5, most: int = 300) -> np.ndarray:
    """Logits with many ties, or with none, some of them -inf, the first never."""
    size = draw(st.integers(least, most))
    chance = np.random.default_rng(draw(st.integers(0, 2**32)))
    row = chance.normal(0, 3, size).astype(np.float32)
    if draw(st.booleans()):
        row = row.round()
    if draw(st.booleans()):
        row[chance.random(size) < 0.4] = -np.inf
        row[0] = 1
    return row


def plainly(law: Law, row: np.ndarray, before: list[int], position: int) -> int:
    """The rule of the module's docstring, one statement after another."""
    row = row.copy()
    recent = before[-law.penalty_last :] if law.penalty_last else []
    for token in set(recent):
        x = row[token]
        x = x / np.float32(law.repeat_penalty) if x > 0 else x * np.float32(law.repeat_penalty)
        charge = np.float32(recent.count(token)) * np.float32(law.frequency_penalty) + np.float32(law.presence_penalty)
        row[token] = x - charge
    for token, bias in law.logit_bias:
        row[token] += np.float32(bias)
    if law.temperature == 0:
        return int(row.argmax())
    left = sorted((t for t in range(len(row)) if row[t] > -np.inf), key=lambda t: (-row[t], t))
    if law.top_k:
        left = left[: law.top_k]
    shares = np.exp([float(row[t]) - float(row[left[0]]) for t in left])
    shares /= shares.sum()
    n = next((i + 1 for i in range(len(left)) if shares[: i + 1].sum() >= law.top_p - 1e-7), len(left))
    left = [t for t, share in zip(left[:n], shares, strict=False) if share >= law.min_p * shares[0] * (1 - 1e-12)]
    noise = gumbel(law.seed, position, np.arange(len(row)))
    return min(left, key=lambda t: (-(float(row[t]) / law.temperature + noise[t]), t))


@few
@given(laws, rows(), st.lists(st.integers(0, 4), max_size=8), st.integers(0, 100_000))
def test_the_token_is_the_one_of_the_rule_written_plainly(law, row, before, position):
    sampler = Sampler(law, len(row))
    sampler.observe(before)
    kept = row.copy()
    assert sampler.choose(row, position) == plainly(law, row, before, position)
    assert np.array_equal(row, kept)


@few
@given(rows(1, 3000), st.integers(1, 400))
def test_the_largest_are_those_of_a_full_sort(row, k):
    row[0] = 0
    tokens, x = Largest(len(row), min(k, len(row)))(row)
    order = (-row.astype(np.float64)).argsort(kind="stable")[:k]
    assert np.array_equal(tokens, order[row[order] > -np.inf])
    assert np.array_equal(x, row[tokens].astype(np.float64))


@pytest.mark.skipif(not shutil.which("cc"), reason="no C compiler")
def test_the_rule_was_compiled():
    assert compiled()


@st.composite
def odd_rows(draw) -> np.ndarray:
    """Rows of any length, of nothing but -inf too, some with a logit that is no number."""
    row = draw(rows(1, 200) | rows(1000, 3000) | st.integers(1, 100).map(lambda n: np.full(n, -np.inf, np.float32)))
    places = draw(st.lists(st.integers(0, len(row) - 1), max_size=3))
    row[places] = draw(st.sampled_from([math.nan, math.inf, -math.inf, 3e38, -3e38, 0.0, -0.0]))
    return row


cuts = st.builds(
    Law,
    temperature=st.sampled_from([0.0, 1e-30, 0.01, 0.8, 100.0]),
    top_k=st.sampled_from([1, 2, 3, 31, 40, 256]),
    top_p=st.sampled_from([0.0, 5e-324, 0.25, 0.5, 0.95, 1 - 2**-53, 1.0]) | st.floats(0, 1),
    min_p=st.sampled_from([0.0, 5e-324, 0.05, 1.0]) | st.floats(0, 1),
    seed=st.integers(0, 2**64 - 1),
)


@pytest.mark.skipif(not compiled(), reason="not compiled")
@settings(max_examples=400, deadline=None)
@given(cuts, odd_rows(), st.integers(0, 2**31))
def test_the_compiled_rule_is_the_rule(law, row, position):
    both = Sampler(law, len(row)), Sampler(law, len(row))
    both[1]._compiled = None
    found: list[object] = []
    for sampler in both:
        try:
            found.append([sampler.choose(row, position + n) for n in range(5)])
        except EngineError as error:
            found.append(str(error))
    assert found[0] == found[1]


@pytest.mark.skipif(not compiled(), reason="not compiled")
def test_the_compiled_rule_reads_the_row_that_it_is_given():
    sampler = Sampler(Law(temperature=0), 3000)
    rows = [np.roll(np.array([1.0] + [0.0] * 2999, np.float32), n) for n in range(5)]
    views = [np.stack([row, -row], axis=1)[:, 0] for row in rows]
    assert [sampler.choose(row, 0) for row in (*rows, *views, *(row.astype(np.float64) for row in rows))] == [
        *range(5)
    ] * 3


@pytest.mark.parametrize("law", [Law(temperature=0.7, seed=9), Law(temperature=1.3, top_k=0, top_p=1), Law(top_k=0)])
def test_a_large_vocabulary_obeys_the_same_rule(law):
    row = np.random.default_rng(1).normal(0, 2.5, 50_021).astype(np.float32)
    sampler = Sampler(law, len(row))
    assert [sampler.choose(row, n) for n in range(5)] == [plainly(law, row, [], n) for n in range(5)]


@pytest.mark.parametrize("law", [Law(temperature=0.7, top_k=6), Law(temperature=0.7, top_k=0, top_p=1)])
def test_tokens_are_drawn_as_often_as_softmax_says(law):
    law = msgspec.structs.replace(law, top_p=1.0)
    row = np.array([1.0, 0.5, -0.5, 1.5, 0.0, 0.7], np.float32)
    draws = 20_000
    counts = np.bincount([Sampler(law, 6).choose(row, n) for n in range(draws)], minlength=6)
    share = np.exp(row / 0.7) / np.exp(row / 0.7).sum()
    assert ((counts - draws * share) ** 2 / (draws * share)).sum() < 20.5  # chi-square, 5 degrees: 1 in 1000


def test_the_first_of_equals_at_temperature_zero_and_at_the_cut():
    row = np.zeros(5000, np.float32)
    assert Sampler(Law(temperature=0), 5000).choose(row, 3) == 0
    assert {Sampler(Law(top_k=3, top_p=1), 5000).choose(row, n) for n in range(50)} == {0, 1, 2}


def test_one_of_equal_logits_is_drawn_from_all_of_them_where_nothing_cuts():
    row = np.zeros(4, np.float32)
    assert {Sampler(Law(top_k=0, top_p=1), 4).choose(row, n) for n in range(50)} == {0, 1, 2, 3}


@pytest.mark.parametrize(
    "law", [Law(), Law(temperature=0), Law(top_k=0), Law(top_k=0, top_p=1), Law(logit_bias=((1, 2),))]
)
@pytest.mark.parametrize("size", [4, 5000])
@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_logits_that_are_no_numbers_are_an_error_and_never_a_token(law, size, bad):
    row = np.zeros(size, np.float32)
    row[size - 2] = bad
    with pytest.raises(EngineError, match="no numbers"):
        Sampler(law, size).choose(row, 0)
    with pytest.raises(EngineError, match="no numbers"):
        Sampler(law, size).choose(np.full(size, -np.inf, np.float32), 0)


def test_a_fork_goes_its_own_way():
    law = Law(temperature=0, repeat_penalty=10)
    row = np.array([1.0, 0.9, 0.8], np.float32)
    sampler = Sampler(law, 3)
    fork = sampler.fork()
    fork.accept(0)
    assert (sampler.choose(row, 0), fork.choose(row, 0)) == (0, 1)
    sampler.accept(0)
    sampler.accept(1)
    assert (sampler.choose(row, 0), fork.choose(row, 0)) == (2, 1)


@given(st.lists(st.integers(0, 5), max_size=30), st.integers(1, 6))
@settings(max_examples=60, deadline=None)
def test_what_is_recent_is_counted(tokens, last):
    recent = Recent(last)
    for token in tokens:
        recent.add(token)
    row = np.zeros(6, np.float32)
    recent.penalise(row, Law(frequency_penalty=1, penalty_last=last))
    assert [-int(x) for x in row] == [tokens[-last:].count(token) for token in range(6)]


def test_the_same_seed_gives_the_same_tokens_and_another_gives_others():
    row = np.random.default_rng(0).normal(0, 1, 500).astype(np.float32)
    first, again, other = ([Sampler(Law(seed=seed), 500).choose(row, n) for n in range(30)] for seed in (1, 1, 2))
    assert first == again != other


def test_a_bias_beyond_the_vocabulary_is_refused():
    with pytest.raises(SettingError, match="logit_bias"):
        Sampler(Law(logit_bias=((5, 1.0),)), 5)


@pytest.mark.parametrize("bias", [-1e30, -1e308, -math.inf])
def test_a_token_can_be_forbidden(bias):
    row = np.array([9.0, 1.0], np.float32)
    assert Sampler(Law(temperature=0, logit_bias=((0, bias),)), 2).choose(row, 0) == 1
    assert {Sampler(Law(logit_bias=((0, bias),)), 2).choose(row, n) for n in range(20)} == {1}


@few
@given(laws, rows(), st.lists(st.integers(0, 4), max_size=8))
def test_probabilities_are_those_of_the_rule_written_plainly(law, row, before):
    sampler = Sampler(law, len(row))
    sampler.observe(before)
    chosen = {plainly(law, row, before, position) for position in range(20)}
    found = sampler.probabilities(row)
    assert found.sum() == pytest.approx(1) and all(found[token] > 0 for token in chosen)
    if law.temperature == 0:
        assert found.max() == 1
    elif not law.penalises and not law.logit_bias:
        left = found.nonzero()[0]
        odds = np.log(found[left]) - row[left].astype(float) / law.temperature
        assert np.ptp(odds) < 1e-6 or found[left].min() < 1e-300


def test_over_many_positions_a_token_is_chosen_as_often_as_it_is_probable():
    row = np.random.default_rng(1).normal(0, 1.5, 60).astype(np.float32)
    for law in (Law(temperature=0.8, top_k=8), Law(temperature=1.3, top_k=0, top_p=0.9), Law(top_k=0, top_p=1, seed=3)):
        sampler = Sampler(law, len(row))
        probable = sampler.probabilities(row)
        counts = np.bincount([sampler.choose(row, position) for position in range(8000)], minlength=len(row))
        left = probable > 0
        statistic = ((counts - 8000 * probable)[left] ** 2 / (8000 * probable[left])).sum()
        freedom = left.sum() - 1
        assert counts[~left].sum() == 0 and statistic < freedom + 4 * (2 * freedom) ** 0.5


@few
@given(laws, rows(), st.lists(st.integers(0, 4), max_size=8), st.integers(0, 100_000), st.integers(1, 5))
def test_the_likeliest_begin_with_the_token_that_is_chosen(law, row, before, position, most):
    sampler = Sampler(law, len(row))
    sampler.observe(before)
    chosen = sampler.choose(row, position)
    tokens, probable = sampler.likeliest(row, position, most)
    assert tokens[0] == chosen and len(set(tokens.tolist())) == len(tokens) <= most
    assert (np.diff(probable) <= 0).all() and 0 < probable.sum() < 1 + 1e-9
    token, share = sampler.choose_surely(row, position)
    assert token == chosen and 0 <= share <= 1 + 1e-6


def test_how_probable_a_choice_is_counts_what_a_bias_forbids_out():
    row = np.array([5, 5, 1], np.float32)
    assert Sampler(Law(temperature=0), 3).choose_surely(row, 0)[1] == pytest.approx(1 / (2 + math.exp(-4)))
    sampler = Sampler(Law(temperature=0.5, logit_bias=((0, -math.inf), (1, -math.inf))), 3)
    assert sampler.choose_surely(row, 0) == (2, 1.0)


def test_a_fork_apart_shares_no_working_memory():
    sampler = Sampler(Law(temperature=0.7, top_k=0, repeat_penalty=1.2), 40)
    twin = sampler.fork(apart=True)
    row = np.random.default_rng(0).normal(0, 2, 40).astype(np.float32)
    assert twin.choose(row, 3) == sampler.choose(row, 3)
    shared = {
        name for name, value in vars(sampler).items() if isinstance(value, np.ndarray) and vars(twin)[name] is value
    }
    assert shared <= {"_biased", "_bias"} and twin._largest is not sampler._largest
