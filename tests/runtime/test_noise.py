"""The noise is one fixed function of (seed, position, token): standard Gumbel, and independent in all three."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from accel.runtime.noise import gumbel, gumbel_of, least_bits, noise_bits, seed_key

GOLDEN = {
    (0, 0, 0): -0.08116903215863935,
    (0, 0, 1): -0.2719792283174781,
    (0, 1, 0): -0.6807578025137786,
    (1, 0, 0): 0.1772064934697003,
    (42, 1000, 151935): 2.564320883271916,
    (2**64 - 1, 2**31 - 1, 2**18): -0.7768937207484192,
}
whole = st.integers(0, 2**64 - 1)


def spelled_out(seed: int, position: int, token: int) -> int:
    """The documented hash once more, in Python's integers."""
    m, g = 2**64, 0x9E3779B97F4A7C15

    def mix(z: int) -> int:
        z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9 % m
        z = (z ^ z >> 27) * 0x94D049BB133111EB % m
        return z ^ z >> 31

    return mix((mix((mix((seed + g) % m) + position * g) % m) + (token + 1) * g) % m) >> 12


def uniforms(seeds, positions, tokens) -> np.ndarray:
    """Broadcast over positions and tokens, one seed."""
    return np.array([(noise_bits(seed_key(seeds), p, tokens) + 0.5) * 2.0**-52 for p in positions])


def chi_square(counts: np.ndarray, expected: np.ndarray) -> float:
    """Standard deviations by which the chi-square statistic is off its mean."""
    freedom = counts.size - 1
    return float((((counts - expected) ** 2 / expected).sum() - freedom) / math.sqrt(2 * freedom))


@given(whole, st.integers(0, 2**31), st.lists(st.integers(0, 2**31), min_size=1, max_size=5))
@settings(max_examples=50, deadline=None)
def test_the_hash_is_the_documented_one(seed, position, tokens):
    bits = noise_bits(seed_key(seed), position, np.array(tokens))
    assert bits.tolist() == [spelled_out(seed, position, token) for token in tokens]


@pytest.mark.parametrize(("where", "value"), GOLDEN.items())
def test_golden_values(where, value):
    seed, position, token = where
    assert gumbel(seed, position, np.array([token]))[0] == pytest.approx(value, rel=1e-14)


@pytest.mark.parametrize("kind", [np.int32, np.int64, np.uint32])
def test_the_noise_of_a_token_does_not_depend_on_which_others_are_asked_for(kind):
    tokens = np.arange(1000, dtype=kind)
    whole = gumbel(7, 123, tokens)
    for size in (1, 2, 3, 5, 8, 13, 64):
        assert np.array_equal(gumbel(7, 123, tokens[100 : 100 + size]), whole[100 : 100 + size])
    assert np.array_equal(gumbel(7, 123, tokens[::-7]), whole[::-7])


def test_it_is_uniform_underneath_and_finite_at_both_ends():
    u = uniforms(1, range(100), np.arange(2000))
    assert abs(chi_square(np.histogram(u, 256, (0, 1))[0], np.full(256, u.size / 256))) < 4
    assert 0 < 0.5 * 2.0**-52 and (2.0**52 - 1 + 0.5) * 2.0**-52 < 1


@pytest.mark.parametrize("other", ["token", "position", "seed"])
def test_neighbours_are_independent(other):
    tokens, positions = np.arange(2000), range(100)
    a = uniforms(5, positions, tokens)
    b = {
        "token": lambda: uniforms(5, positions, tokens + 1),
        "position": lambda: uniforms(5, [p + 1 for p in positions], tokens),
        "seed": lambda: uniforms(6, positions, tokens),
    }[other]()
    table = np.histogram2d(a.ravel(), b.ravel(), 16, ((0, 1), (0, 1)))[0]
    assert abs(chi_square(table, np.full((16, 16), a.size / 256))) < 4


def test_the_greatest_of_logits_with_noise_follows_softmax():
    logits = np.array([2.0, 1.0, 1.0, 0.0, -1.0, -3.0, 0.5, 1.7])
    tokens = np.arange(8)
    positions = 200_000
    scores = logits - np.log(-np.log(uniforms(3, range(positions), tokens)))
    counts = np.bincount(scores.argmax(axis=1), minlength=8)
    law = np.exp(logits) / np.exp(logits).sum()
    assert abs(chi_square(counts, law * positions)) < 4


@given(st.floats(-5, 36))
@settings(max_examples=100, deadline=None)
def test_fewer_bits_than_the_least_never_reach_a_noise(noise):
    least = least_bits(noise)
    below = np.array([max(0, least - 1)], np.uint64)
    assert least == 0 or gumbel_of(below)[0] < noise
