"""What a draft model would bring: arithmetic that anybody can do again."""

from itertools import product

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from accel.runtime.drafting.payoff import (
    DEEPEST,
    Pace,
    Payoff,
    alike,
    cleared,
    in_words,
    needed,
    payoff,
    seen_in_words,
    standing_of,
)

shares = st.floats(0, 1)
paces = st.builds(
    lambda first, more, guess: Pace(tuple(first * (1 + n * more) for n in range(DEEPEST + 1)), guess * first),
    st.floats(1e-4, 1),
    st.floats(0, 1.5),
    st.floats(0, 2),
)


@given(shares)
def test_a_draft_brings_what_its_outcomes_bring_in_the_mean(share):
    """Every way in which three guesses can turn out, each as often as it happens."""
    tokens = 0.0
    for outcome in product((True, False), repeat=3):
        chance = 1.0
        for stands in outcome:
            chance *= share if stands else 1 - share
        tokens += chance * (1 + (*outcome, False).index(False))
    free = Pace((1.0,) * (DEEPEST + 1), 0.0)
    assert payoff(free, alike(share)[:3]).speed_up == pytest.approx(tokens)


@given(paces, shares, shares)
def test_more_guesses_that_stand_are_never_worth_less(pace, one, other):
    low, high = sorted((one, other))
    assert payoff(pace, alike(low)).speed_up <= payoff(pace, alike(high)).speed_up * (1 + 1e-9)


@given(paces, shares, st.floats(1, 3))
def test_a_slower_draft_model_is_never_worth_more(pace, share, factor):
    slower = Pace(pace.rows, pace.guess * factor)
    assert payoff(slower, alike(share)).speed_up <= payoff(pace, alike(share)).speed_up * (1 + 1e-9)


@given(paces, st.lists(shares, min_size=1, max_size=DEEPEST))
def test_the_best_length_is_the_best_of_all(pace, chances):
    standing = sorted(chances, reverse=True)
    found = payoff(pace, standing)
    for length in range(1, len(standing) + 1):
        tokens, seconds = 1 + sum(standing[:length]), pace.rows[length] + length * pace.guess
        assert tokens * pace.rows[0] / seconds <= found.speed_up * (1 + 1e-9)
    assert 1 <= found.length <= len(standing)


@settings(deadline=None)  # other work on the machine only slows it down
@given(paces)
def test_where_as_many_stand_as_are_needed_drafting_is_as_fast_as_not_drafting(pace):
    least = needed(pace)
    if least is None:
        assert payoff(pace, alike(1.0)).speed_up < 1 and in_words(pace).startswith("cannot pay here: ")
        return
    assert payoff(pace, alike(least)).speed_up >= 1 - 1e-6
    if least > 1e-6:
        assert payoff(pace, alike(least * 0.999)).speed_up < 1
        assert payoff(pace, alike(least)).speed_up == pytest.approx(1, abs=1e-3)


@given(st.lists(st.lists(st.booleans(), max_size=30), max_size=5))
def test_what_stands_is_counted_wherever_a_whole_draft_may_begin(texts):
    found = standing_of(texts, 4)
    begins = [text[at:] for text in texts for at in range(len(text)) if len(text) - at >= 4]
    if not begins:
        assert found == ()
        return
    runs = [(*text, False).index(False) for text in begins]
    assert found == pytest.approx([sum(run >= length for run in runs) / len(runs) for length in range(1, 5)])
    assert list(found) == sorted(found, reverse=True)


@given(st.lists(st.floats(1e-6, 10), min_size=1, max_size=9))
def test_no_forward_takes_longer_than_one_of_more_rows(rows):
    found = cleared(rows)
    assert list(found) == sorted(found) and all(each <= row for each, row in zip(found, rows, strict=True))
    assert cleared(found) == found and found[-1] == rows[-1]


def test_without_anything_that_stands_it_brings_nothing():
    assert payoff(Pace((1.0, 1.0), 0.1), ()) == Payoff(0, 0.0)


def test_the_words_say_what_it_costs_and_what_it_needs():
    dear = Pace(tuple(1 + 0.9 * n for n in range(DEEPEST + 1)), 0.74)
    assert in_words(dear) == "cannot pay here: a draft token costs 74% of the target's own, and checking it 90%"
    cheap = Pace(tuple(1 + 0.2 * n for n in range(DEEPEST + 1)), 0.1)
    assert in_words(cheap).startswith("pays if 30% of its guesses stand: ")
    assert "1.50 times as fast with 3 in a row: 80%" in seen_in_words(cheap, Payoff(3, 1.5), 0.8)
    assert seen_in_words(cheap, Payoff(1, 0.9), 0.2) == "would be slower: 20% of its guesses stand; 30% must"
    assert "cannot pay here" in seen_in_words(dear, Payoff(1, 0.7), 0.99)
