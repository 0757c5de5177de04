"""What is drafted for all texts of a step fits the rows and branches there are, and is the most valuable part of it."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from accel.runtime.drafting.bounds import Bounds
from accel.runtime.drafting.draft import NOTHING, Draft
from accel.runtime.drafting.trees import expand
from accel.runtime.engines.base import Batch
from accel.runtime.engines.fake import FakeEngine, FakeOptions

from .test_trees import drafters, paths_of


@st.composite
def trees(draw: st.DrawFn) -> tuple[Draft, list[float]]:
    """A draft with a value for each node, some above their parents'."""
    nodes = draw(st.lists(st.tuples(st.integers(0, 10**6), st.integers(0, 6)), max_size=10))
    parents = [place % (i + 1) - 1 for i, (place, _) in enumerate(nodes)]
    return Draft(tuple(range(len(nodes))), tuple(parents)), [value / 6 for _, value in nodes]


@settings(max_examples=200, deadline=None)
@given(st.lists(trees(), min_size=1, max_size=5), st.integers(0, 30), st.integers(0, 6))
def test_an_engine_takes_what_stays_of_drafts_and_whatever_is_left_of_that(texts, nodes, branches):
    drafts, values = [draft for draft, _ in texts], [value for _, value in texts]
    bounds = Bounds(nodes, branches)
    kept = [draft.part(stay) for draft, stay in zip(drafts, bounds.within(drafts, values), strict=True)]
    assert bounds.hold(kept) and (not bounds.hold(drafts) or kept == drafts)
    for left in (kept, [draft.part(range(len(draft) // 2)) for draft in kept]):
        engine = FakeEngine(FakeOptions(sequences=5, branches=branches))
        columns: list[list[int]] = [[], [], []]
        for seq, draft in enumerate(left):
            columns[0] += [0, *draft.tokens]
            columns[1] += [seq] * (1 + len(draft))
            columns[2] += [-1, *(parent + 1 for parent in draft.parents)]
        engine.forward(Batch(*(np.array(column, np.int32) for column in (*columns, [1] * len(columns[0])))))


@settings(max_examples=200, deadline=None)
@given(trees(), st.integers(0, 12), st.integers(0, 6))
def test_a_node_that_goes_is_worth_no_more_than_those_that_stay_or_has_no_branch(tree, nodes, branches):
    draft, values = tree
    (kept,) = Bounds(nodes, branches).within([draft], [values])
    worth = [
        min(values[n], *(values[a] for a in above)) if (above := ancestors(draft, n)) else values[n]
        for n in range(len(draft))
    ]
    for node in set(range(len(draft))) - set(kept):
        whole = draft.part(sorted({*kept, node})) if draft.parents[node] in {-1, *kept} else None
        fits = whole is not None and whole.leaves - 1 <= branches
        if fits:  # then there were too many nodes
            assert len(kept) == nodes and all(worth[node] <= worth[other] for other in kept)


def ancestors(draft: Draft, node: int) -> list[int]:
    found: list[int] = []
    while (node := draft.parents[node]) >= 0:
        found.append(node)
    return found


@settings(max_examples=60, deadline=None)
@given(drafters, st.integers(0, 10), st.integers(1, 4), st.integers(0, 12))
def test_a_tree_cut_down_is_the_tree_of_the_smaller_budget(drafter, budget, leaves, most):
    draft = expand(drafter.laws, budget, leaves)
    values = list(map(drafter.value, paths_of(draft)))
    if len(set(values)) == len(values):
        (kept,) = Bounds(most, leaves - 1).within([draft], [values])
        assert draft.part(kept) == expand(drafter.laws, min(most, budget), leaves)


@settings(max_examples=100, deadline=None)
@given(st.lists(trees(), min_size=2, max_size=2), st.integers(0, 20))
def test_texts_share_what_there_is_by_value_alone(texts, nodes):
    (one, other), (first, second) = [draft for draft, _ in texts], [value for _, value in texts]
    joined = Draft(
        tuple(range(len(one) + len(other))),
        one.parents + tuple(parent + len(one) if parent >= 0 else -1 for parent in other.parents),
    )
    apart, together = Bounds(nodes).within([one, other], [first, second]), Bounds(nodes)
    assert [*apart[0], *(node + len(one) for node in apart[1])] == together.within([joined], [[*first, *second]])[0]


def test_of_equals_the_first_stay():
    assert Bounds(2).within([Draft((1, 2, 3), (-1, -1, -1)), NOTHING], [[0.5, 0.5, 0.5], []]) == [[0, 1], []]
    assert Bounds(branches=1).within([Draft((1, 2, 3), (-1, -1, -1))], [[0.1, 0.5, 0.5]]) == [[1, 2]]
    assert Bounds(3).within([NOTHING], [[]]) == [[]]
