"""A budget gets the best tree there is, however the drafter is asked for it."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from accel.runtime.drafting.draft import Draft
from accel.runtime.drafting.trees import Growth, expand, largest

few = settings(max_examples=60, deadline=None)
SIZE = 3
Path = tuple[int, ...]


class Drafter:
    """Probabilities that depend on the path; with `coarse`, many of them equal, some 0 or 1. Notes what it is asked."""

    def __init__(self, seed: int, size: int = SIZE, coarse: bool = False) -> None:
        self._seed, self._size, self._coarse = seed, size, coarse
        self.asked: list[list[Path]] = []

    def law(self, path: Path) -> np.ndarray:
        chance = np.random.default_rng([self._seed, *path])
        parts = chance.integers(0, 3, self._size).astype(float) if self._coarse else chance.random(self._size) ** 3
        parts[chance.integers(self._size)] += self._coarse
        return parts / parts.sum()

    def laws(self, paths: list[Path]) -> list[np.ndarray]:
        self.asked.append(paths)
        return [self.law(path) for path in paths]

    def value(self, path: Path) -> float:
        return float(np.prod([self.law(path[:n])[path[n]] for n in range(len(path))]))


drafters = st.builds(Drafter, st.integers(0, 999), coarse=st.booleans())


def paths_of(draft: Draft) -> list[Path]:
    paths: list[Path] = [()]
    for token, parent in zip(draft.tokens, draft.parents, strict=True):
        paths.append((*paths[parent + 1], token))
    return paths[1:]


def best_by_trying_all(drafter: Drafter, budget: int) -> float:
    trees = {frozenset[Path]()}
    for _ in range(budget):
        trees |= {
            tree | {(*above, token)} for tree in trees for above in (*tree, ()) for token in range(SIZE)
        }  # fmt: skip
    values = {path: drafter.value(path) for path in set[Path]().union(*trees)}
    return max(sum(values[path] for path in tree) for tree in trees)


@settings(max_examples=25, deadline=None)
@given(drafters, st.integers(0, 4))
def test_no_tree_of_so_many_nodes_is_worth_more(drafter, budget):
    draft = expand(drafter.laws, budget, leaves=budget)
    assert len(draft) <= budget
    assert sum(map(drafter.value, paths_of(draft))) == pytest.approx(best_by_trying_all(drafter, budget))


@few
@given(drafters, st.integers(0, 12), st.integers(0, 5), st.sampled_from([0.0, 0.05, 0.4]), st.integers(1, 4))
def test_the_tree_is_the_same_whether_the_drafter_is_asked_one_by_one_or_in_layers(
    drafter, budget, leaves, least, at_once
):
    trees = [expand(drafter.laws, budget, leaves, least, n) for n in (1, at_once, None)]
    assert trees[0] == trees[1] == trees[2]


@few
@given(drafters, st.integers(0, 12), st.integers(0, 5), st.sampled_from([0.0, 0.05, 0.4]))
def test_a_tree_keeps_to_its_bounds_and_says_its_probabilities(drafter, budget, leaves, least):
    draft = expand(drafter.laws, budget, leaves, least)
    draft.children()  # a tree in topological order, siblings differ
    assert len(draft) <= budget and draft.leaves <= leaves
    values = list(map(drafter.value, paths_of(draft)))
    assert values == sorted(values, reverse=True) or np.allclose(values, sorted(values, reverse=True))
    assert all(value >= least * (1 - 1e-9) and value > 0 for value in values)
    for path, probability in zip(paths_of(draft), draft.probabilities or (), strict=True):
        assert probability == drafter.law(path[:-1])[path[-1]]


@few
@given(drafters, st.integers(0, 10), st.integers(1, 5))
def test_a_larger_budgets_tree_contains_the_smaller_ones(drafter, budget, leaves):
    smaller, larger = (expand(drafter.laws, n, leaves) for n in (budget, budget + 1))
    assert larger.tokens[: len(smaller)] == smaller.tokens and larger.parents[: len(smaller)] == smaller.parents


@few
@given(drafters, st.integers(0, 10))
def test_with_one_leaf_the_tree_is_the_chain_of_the_most_probable_tokens(drafter, budget):
    chain: Path = ()
    for _ in range(budget):
        chain += (int(drafter.law(chain).argmax()),)
    draft = expand(drafter.laws, budget, 1)
    assert draft == Draft.chain(chain, draft.probabilities)


@few
@given(drafters, st.integers(1, 12), st.integers(1, 5))
def test_layers_need_no_more_forwards_than_the_tree_is_deep_and_no_more_rows_than_nodes(drafter, budget, leaves):
    draft = expand(drafter.laws, budget, leaves)
    layers = drafter.asked
    assert all(len(layer) <= budget for layer in layers)
    asked = [path for layer in layers for path in layer]
    assert len(set(asked)) == len(asked)
    drafter.asked = []
    expand(drafter.laws, budget, leaves, at_once=1)
    assert len(layers) <= len(drafter.asked) <= len(draft) + 1


def test_what_cannot_change_the_tree_is_not_asked_for():
    growth = Growth(budget=2, leaves=2)
    growth.learn(-1, [7, 8], [0.6, 0.4])
    assert growth.wanted() == [0]  # 8 is the last of the two already: nothing below it is worth more
    growth.learn(0, [1], [0.9])
    assert growth.draft() == Draft((7, 1), (-1, 0), (0.6, 0.9)) and growth.wanted() == []


def test_no_budget_asks_for_nothing():
    assert Growth(0, 4).wanted() == Growth(4, 0).wanted() == []
    assert expand(lambda paths: [], 0, 3) == Draft((), (), ())


@given(st.lists(st.integers(0, 5), min_size=1, max_size=30), st.integers(0, 40))
def test_the_largest_are_those_of_a_stable_sort(values, k):
    array = np.array(values, float)
    assert largest(array, k).tolist() == sorted(range(len(values)), key=lambda i: (-values[i], i))[:k]
