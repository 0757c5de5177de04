"""The curve of memory against speed-up, and the place on it."""

from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from accel.runtime.speculation import (
    BUDGETS,
    ENOUGH,
    LEAVES,
    MODEL,
    WORTH,
    Pace,
    Point,
    Shares,
    best_leaves,
    chain_tokens,
    choose,
    expected_tokens,
    speed_ups,
)
from accel.units import Bytes

SHARES = st.builds(Shares, *(st.floats(0, 1) for _ in range(3)))


def paced(row: float, **more: float) -> Pace:
    """Each row after the first takes so many times as long as the first."""
    return Pace(lambda rows: 1 + (rows - 1) * row, **more)


paces = st.builds(paced, st.floats(0, 1.5), branch=st.floats(0, 0.1), model=st.floats(0, 0.5))


def points_of(pace: Pace, shares: Shares, room: int, model: bool) -> list[Point]:
    """A curve whose nodes take one byte each, and a draft model 10."""
    found = []
    for helped in (False, True) if model else (False,):
        leaves = best_leaves(pace, shares, helped)
        for nodes in BUDGETS:
            memory = Bytes(nodes + 10 * helped)
            ups = speed_ups(pace, shares, nodes, leaves, helped)
            found.append(Point(nodes, leaves, helped, memory, *ups, fits=memory <= room))
    return found


@given(st.floats(0, 1), st.integers(0, 40), st.sampled_from(LEAVES))
@settings(max_examples=100, deadline=None)
def test_more_nodes_and_more_leaves_never_make_fewer_tokens(share, nodes, leaves):
    tree = expected_tokens(share, nodes, leaves)
    assert len(tree) == nodes + 1 and all(tokens <= 1 + n + 1e-9 for n, (tokens, _) in enumerate(tree))
    assert all(after[0] >= before[0] for before, after in pairwise(tree))
    assert max(opened for _, opened in tree) <= leaves
    wider = expected_tokens(share, nodes, 2 * leaves)
    assert all(more[0] >= less[0] - 1e-9 for less, more in zip(tree, wider, strict=True))


@given(st.floats(0.5, 1), st.integers(0, 40))
@settings(max_examples=50, deadline=None)
def test_a_tree_of_one_leaf_is_a_chain(share, nodes):
    tree, chain = expected_tokens(share, nodes), chain_tokens(share, nodes)
    assert [tokens for tokens, _ in tree] == pytest.approx([tokens for tokens, _ in chain])


def test_the_worth_of_a_tree_is_what_its_paths_are_worth():
    (_, one, two, three) = expected_tokens(0.45, 3, 2)
    assert one[0] == pytest.approx(1.45)  # the likeliest
    assert two[0] == pytest.approx(1.45 + 0.45**2)  # and what follows it
    assert three == (pytest.approx(1.45 + 0.45**2 + 0.15), 2)  # which is less than the second likeliest beside it


@given(paces, SHARES, st.sampled_from(LEAVES), st.booleans())
@settings(max_examples=100, deadline=None)
def test_a_larger_budget_is_never_slower_and_none_slower_than_plain_decoding(pace, shares, leaves, model):
    curve = [speed_ups(pace, shares, nodes, leaves, model) for nodes in BUDGETS]
    assert all(min(ups) >= 1 for ups in curve)
    for before, after in pairwise(curve):
        assert before[0] <= after[0] and before[1] <= after[1]


@given(paces, SHARES, st.integers(0, 50), st.booleans(), st.booleans())
@settings(max_examples=200, deadline=None)
def test_the_chosen_budget_fits_and_keeps_enough_and_no_smaller_one_does(pace, shares, room, model, timed):
    points = points_of(pace, shares, room, model)
    chosen = choose(points, timed)
    if chosen is None:
        quick = [point for point in points if point.fits and not point.model]
        assert not quick or all(max(point.repeating, point.other) < WORTH for point in quick)
        return
    assert chosen.fits
    alike = [point for point in points if point.fits and point.model == chosen.model]
    best = [max(getattr(point, kind) for point in alike) for kind in ("repeating", "other")]
    assert chosen.repeating >= ENOUGH * best[0] and chosen.other >= ENOUGH * best[1]
    if timed:
        smaller = [point for point in alike if point.nodes < chosen.nodes]
        assert all(p.repeating < ENOUGH * best[0] or p.other < ENOUGH * best[1] for p in smaller)
    else:
        assert chosen == alike[-1]


@given(paces, SHARES, st.integers(0, 50), st.integers(0, 50), st.booleans())
@settings(max_examples=200, deadline=None)
def test_more_memory_never_makes_the_choice_slower(pace, shares, room, more, model):
    before, after = (choose(points_of(pace, shares, size, model)) for size in (room, room + more))
    if before:
        assert after and after.speed_up >= before.speed_up


def test_where_a_row_costs_as_much_as_another_nothing_ever_pays():
    dear = paced(1.0)
    assert not dear.can_pay and choose(points_of(dear, Shares(1.0, 1.0), 100, False)) is None
    assert paced(0.9).can_pay


def test_a_flat_curve_wants_many_nodes_and_leaves_and_a_steep_one_few():
    flat, steep = (choose(points_of(paced(row), Shares(), 100, False)) for row in (0.01, 0.3))
    assert flat and steep and flat.nodes > 2 * steep.nodes and flat.leaves > 1 == steep.leaves
    slow_to_branch = paced(0.01, branch=0.5)
    assert best_leaves(slow_to_branch, Shares(), False) == 1


def test_a_draft_model_is_taken_where_it_is_quick_and_given_up_first():
    quick, slow = (points_of(paced(0.2, model=node), Shares(), 100, True) for node in (0.02, 0.9))
    with_it, without = choose(quick), choose(slow)
    assert with_it and with_it.model and without and not without.model
    tight = choose(points_of(paced(0.2, model=0.02), Shares(), 9, True))
    assert tight and not tight.model and tight.nodes >= 5
    assert choose(points_of(paced(0.2, model=0.02), Shares(), 0, True)) is None


def test_what_was_seen_moves_what_is_expected_and_a_text_may_always_repeat_itself():
    assert Shares.of({}) == Shares() and "assumed" in str(Shares())
    seen = Shares.of({"copying": 0.1, "ngrams": 0.2, "recycling": 0.65, "model": 0.9})
    assert seen.copied == Shares().copied and seen.others == pytest.approx(0.55)
    assert seen.model == pytest.approx((MODEL + 0.9) / 2) and "seen" in str(seen)
    assert Shares.of({"copying": 0.99}).copied == 0.99
