"""What the target weighed after a token is guessed the next time it stands there: the likeliest paths, in a tree that
is never larger nor broader than was asked for."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from accel.runtime.drafting.draft import NOTHING, Verdict
from accel.runtime.drafting.kept import load_kept, save_kept
from accel.runtime.drafting.recycling import Recycling
from accel.runtime.law import Law

from .drafted import NO_ROWS, SIZE, SomeRows, after, answer, context, one_draft, telling

MODEL = "0" * 32


def row(*likeliest: int) -> np.ndarray:
    """Logits with these tokens first, in this order; all others are lower and equal."""
    logits = np.zeros(SIZE, np.float32)
    logits[list(likeliest)] = range(20, 20 - len(likeliest), -1)
    return logits


def shown(leaves: int = 99, doubt: float = 1.0, **rows: tuple[int, ...]) -> Recycling:
    """One that saw these tokens (t5=...) followed by such logits."""
    drafter = Recycling(SIZE, leaves, doubt)
    for name, likeliest in rows.items():
        drafter.witness(int(name[1:]), Verdict(NOTHING, (), 0, 0), SomeRows({0: row(*likeliest)}))
    return drafter


def learned(seed: int, leaves: int, doubt: float = 1.0) -> Recycling:
    """One that saw random logits after three of four tokens, and verdicts on what it guessed then."""
    rng = np.random.default_rng(seed)
    drafter = Recycling(SIZE, leaves, doubt)
    for token in range(0, SIZE):
        if token % 4:
            rows = SomeRows({0: rng.normal(size=SIZE).astype(np.float32)})
            drafter.witness(token, Verdict(NOTHING, (), 0, 0), rows)
    for _ in range(48):
        draft = one_draft(drafter, context([int(rng.integers(SIZE))]), 12)
        token = draft.tokens[int(rng.integers(len(draft)))] if draft and rng.random() < 0.6 else 0
        drafter.observe([after(NOTHING, [token])], NO_ROWS)
    return drafter


@settings(deadline=None)
@given(st.integers(0, 99), st.integers(1, 24), st.integers(1, 9), st.integers(0, SIZE - 1), st.sampled_from([1.0, 0.9]))
def test_a_draft_is_a_tree_within_its_limits_out_of_candidates_only(seed, limit, leaves, root, doubt):
    drafter = learned(seed, leaves, doubt)
    draft = one_draft(drafter, context([root]), limit)
    draft.children()
    assert len(draft) <= limit and draft.leaves <= leaves
    assert doubt < 1 or bool(draft) == bool(root % 4)
    for token, parent in zip(draft.tokens, draft.parents, strict=True):
        above = root if parent < 0 else draft.tokens[parent]
        assert above % 4 and token in drafter._next[above]


@settings(deadline=None)
@given(st.integers(0, 99), st.integers(1, 24), st.integers(0, SIZE - 1))
def test_the_likeliest_paths_come_first_and_a_smaller_draft_is_the_beginning_of_a_larger_one(seed, limit, root):
    drafter = learned(seed, SIZE)
    draft, larger = (one_draft(drafter, context([root]), nodes) for nodes in (limit, 24))
    assert draft.probabilities is not None
    products: list[float] = []
    for parent, share in zip(draft.parents, draft.probabilities, strict=True):
        products.append(share * (products[parent] if parent >= 0 else 1))
    assert all(one >= other - 1e-9 for one, other in pairwise(products))
    assert (draft.tokens, draft.parents) == (larger.tokens[: len(draft)], larger.parents[: len(draft)])


def test_no_path_that_was_left_out_is_likelier_than_one_that_is_in():
    drafter = learned(3, SIZE)
    for root in (1, 2, 3):
        draft = one_draft(drafter, context([root]), 10)
        assert draft.probabilities is not None
        above = [root if parent < 0 else draft.tokens[parent] for parent in draft.parents]
        ranks = [drafter._next[token].tolist().index(guess) for token, guess in zip(above, draft.tokens, strict=True)]
        depths, worths = list[int](), list[float]()
        for parent, share in zip(draft.parents, draft.probabilities, strict=True):
            depths.append(depths[parent] + 1 if parent >= 0 else 0)
            worths.append(worths[parent] * share if parent >= 0 else share)
        drawn = {(parent, rank) for parent, rank in zip(draft.parents, ranks, strict=True)}
        for parent in range(-1, len(draft)):
            token, depth = (root, 0) if parent < 0 else (draft.tokens[parent], depths[parent] + 1)
            for rank, candidate in enumerate(drafter._next[token]):
                if candidate >= 0 and (parent, rank) not in drawn:
                    product = worths[parent] if parent >= 0 else 1.0
                    assert product * drafter.odds.of(depth * drafter._ranks + rank) <= min(worths) + 1e-9


def test_one_leaf_makes_it_a_chain_of_first_candidates():
    drafter = shown(leaves=1, t1=(2, 9), t2=(3, 9), t3=(4, 9))
    draft = one_draft(drafter, context([0, 1]), 8)
    assert (draft.tokens, draft.parents) == ((2, 3, 4), (-1, 0, 1))


def test_ranks_that_stand_more_often_are_tried_first():
    drafter = shown(t1=(10, 11, 12, 13, 14, 15, 16, 17))
    for _ in range(60):
        one_draft(drafter, context([1]), 8)
        drafter.observe([after(NOTHING, [15])], NO_ROWS)
    assert one_draft(drafter, context([1]), 1).tokens == (15,)


def test_every_row_of_a_draft_is_learned_whether_its_guess_stood_or_fell():
    drafter = shown(t1=(2, 3), t2=(4,))
    draft = one_draft(drafter, context([1]), 3)
    rows = SomeRows({7 + i: row(20 + i, 30 + i) for i in range(1 + len(draft))})
    drafter.observe([Verdict(draft, (), 50, 7)], rows)
    for i, token in enumerate((1, *draft.tokens)):
        assert drafter._next[token, :2].tolist() == [20 + i, 30 + i]


def test_rows_that_nobody_asked_for_or_that_are_no_numbers_teach_nothing():
    drafter = shown(t1=(2, 3))
    before = drafter._next.copy()
    rows = SomeRows({0: np.full(SIZE, np.nan, np.float32)})
    drafter.witness(1, Verdict(NOTHING.chain([2, 3]), (), 9, 0), rows)
    assert np.array_equal(drafter._next, before)


def test_where_few_tokens_are_possible_there_are_few_candidates():
    logits = np.full(SIZE, -np.inf, np.float32)
    logits[[4, 9]] = 1, 2
    drafter = shown(t1=(2, 3, 4, 5))
    drafter.witness(1, Verdict(NOTHING, (), 0, 0), SomeRows({0: logits}))
    assert drafter._next[1].tolist() == [9, 4, -1, -1, -1, -1, -1, -1]


@pytest.mark.parametrize("vocabulary", [2, 2048, 32_000, 151_936, 250_000, 256_000, 2**18])
def test_it_takes_less_than_8_mb_whatever_the_vocabulary(vocabulary):
    assert Recycling(vocabulary, 1)._next.nbytes <= Recycling(vocabulary, 8)._next.nbytes <= 8_000_000


def test_what_was_learned_is_there_after_a_restart(tmp_path):
    drafter = learned(1, 99)
    drafter.save(tmp_path, MODEL)
    again = Recycling(SIZE, 99)
    assert again.load(tmp_path, MODEL) and np.array_equal(again._next, drafter._next)
    fresh = one_draft(again, context([1]), 8)
    assert fresh and len(fresh) == 8


def test_chains_and_trees_take_up_what_the_other_learned(tmp_path):
    trees, chains = learned(1, 99), Recycling(SIZE, 1)
    trees.save(tmp_path, MODEL)
    assert chains.load(tmp_path, MODEL) and np.array_equal(chains._next, trees._next[:, :1])
    chains.save(tmp_path, MODEL)
    again = Recycling(SIZE, 99)
    assert again.load(tmp_path, MODEL) and np.array_equal(again._next[:, :1], chains._next)
    assert (again._next[:, 1:] == -1).all()


def test_without_a_file_of_this_model_it_starts_anew(tmp_path):
    drafter = learned(1, 99)
    assert not drafter.load(tmp_path, MODEL)
    drafter.save(tmp_path, "1" * 32)
    (tmp_path / f"recycling-{'1' * 32}.kept").rename(tmp_path / f"recycling-{MODEL}.kept")
    fresh = Recycling(SIZE, 99)
    assert not fresh.load(tmp_path, MODEL) and (fresh._next == -1).all()
    drafter.save(tmp_path, MODEL)
    assert not Recycling(SIZE + 1, 99).load(tmp_path, MODEL)


@pytest.mark.parametrize("hostile", [{(0, 0): SIZE}, {(63, 7): -2}, {(5, 0): 7, (5, 1): 7}, {(0, 0): 2**31 - 1}])
def test_a_matrix_that_no_model_made_is_not_taken(tmp_path, hostile):
    matrix = learned(1, 99)._next.copy()
    for place, value in hostile.items():
        matrix[place] = value
    save_kept(tmp_path, "recycling", MODEL, matrix.tobytes())
    assert load_kept(tmp_path, "recycling", MODEL, matrix.nbytes) is not None
    fresh = Recycling(SIZE, 99)
    assert not fresh.load(tmp_path, MODEL) and (fresh._next == -1).all()


@settings(max_examples=10, deadline=None)
@given(st.sampled_from([0.0, 0.8]), st.integers(0, 9), st.integers(1, 12), st.sampled_from([0, 3, 16]))
def test_a_text_is_the_same_with_and_without_it(temperature, seed, limit, branches):
    law, engine = Law(temperature=temperature, seed=seed), telling(branches)
    plain, steps = answer(engine, law, "tell", 150, None, 0)
    drafted, fewer = answer(engine, law, "tell", 150, Recycling(engine.vocabulary.size, 1 + branches), limit)
    assert drafted == plain and fewer < steps
