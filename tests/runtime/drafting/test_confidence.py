"""A drafter is as sure as its guesses were right, and says no more than it is sure of."""

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from accel.errors import EngineError
from accel.runtime.drafting.confidence import Odds, confident
from accel.runtime.drafting.draft import Draft


@st.composite
def drafts(draw):
    parents = [draw(st.integers(-1, node - 1)) for node in range(draw(st.integers(0, 12)))]
    shares = [draw(st.floats(0, 1)) for _ in parents]
    return Draft(tuple(range(len(parents))), tuple(parents), tuple(shares))


def paths(draft: Draft) -> dict[tuple[int, ...], float]:
    """Every node's path of tokens, and the product along it."""
    assert draft.probabilities is not None
    found: list[tuple[tuple[int, ...], float]] = []
    for token, parent, share in zip(draft.tokens, draft.parents, draft.probabilities, strict=True):
        above, product = found[parent] if parent >= 0 else ((), 1.0)
        found.append(((*above, token), product * share))
    return dict(found)


@settings(deadline=None)
@given(drafts(), st.floats(0, 1))
def test_what_stays_is_every_path_that_fails_with_no_more_than_the_doubt(draft, doubt):
    whole, cut = paths(draft), confident(draft, doubt)
    assert list(paths(cut)) == [path for path, product in whole.items() if doubt >= 1 or 1 - product <= doubt]
    assert paths(cut).items() <= whole.items()


@settings(deadline=None)
@given(st.lists(st.floats(0, 1), max_size=8), st.floats(0, 1))
def test_of_a_chain_the_first_guesses_stay(shares, doubt):
    chain = Draft.chain(range(len(shares)), shares)
    cut = confident(chain, doubt)
    assert cut == Draft.chain(range(len(cut)), shares[: len(cut)])
    assert len(cut) == len(chain) or doubt < 1 - math.prod(shares[: len(cut) + 1]) + 1e-12


def test_a_draft_whose_maker_does_not_say_how_sure_he_is_stays_whole():
    assert confident(Draft.chain([1, 2, 3]), 0.0) == Draft.chain([1, 2, 3])


@settings(deadline=None)
@given(st.lists(st.booleans(), max_size=300), st.floats(0.01, 0.99))
def test_odds_lie_between_what_was_assumed_and_what_was_seen(trials, assumed):
    odds = Odds([assumed, 0.5])
    for stood in trials:
        odds.learn(0, stood)
    seen = sum(trials) / len(trials) if trials else assumed
    assert min(seen, assumed) - 1e-9 <= odds.of(0) <= max(seen, assumed) + 1e-9 and odds.of(1) == 0.5


def test_odds_follow_a_change():
    odds = Odds([0.5])
    for stood in [True] * 3000 + [False] * 1500:
        odds.learn(0, stood)
    assert odds.of(0) < 0.1


def test_guesses_that_could_not_have_stood_are_not_judged():
    tree = Draft((7, 8, 1, 2, 3), (-1, -1, 0, 1, 3))
    odds = Odds([0.5] * 5)
    odds.judge(tree, range(5), [8, 5])
    assert [odds.of(kind) for kind in range(5)] == [0.4, 0.6, 0.5, 0.4, 0.5]


def test_guesses_that_were_not_verified_are_judged_by_what_came_in_their_place():
    odds = Odds([0.5] * 3)
    odds.judge(Draft.chain([7, 8, 9]), range(3), [7, 8])
    assert [odds.of(kind) for kind in range(3)] == [0.6, 0.6, 0.5]


def test_what_is_no_tree_is_not_judged():
    with pytest.raises(EngineError, match="no tree"):
        Odds([0.5]).judge(Draft((1, 1), (-1, -1)), (0, 0), [1])
