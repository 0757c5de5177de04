"""The next layers' gates answer for what an earlier layer's gate is given, as far as they have been right."""

import numpy as np
import pytest

from accel.offload.predict import LEAST_RECALL, LEAST_SURE, Gate, Predictor

WIDTH, EXPERTS, USED = 32, 12, 3


def gates(layers: int, seed: int = 0, norms: bool = False) -> dict[int, Gate]:
    random = np.random.default_rng(seed)
    return {
        layer: Gate(
            random.standard_normal((EXPERTS, WIDTH)).astype(np.float32),
            random.random(WIDTH).astype(np.float32) + 0.5 if norms else None,
        )
        for layer in range(layers)
    }


def chosen(weight: np.ndarray, x: np.ndarray) -> set[int]:
    return set(np.argsort(-(weight @ x))[:USED].tolist())


@pytest.mark.parametrize("far", [1, 2])
def test_a_state_that_stays_the_same_is_foreseen_whole(far):
    known, x = gates(4), np.random.default_rng(1).standard_normal((1, WIDTH)).astype(np.float32)
    found = Predictor(known, USED).expect(1, far, x)
    assert found is not None
    assert set(found.tolist()) == chosen(known[1 + far].weight, x[0])
    scores = known[1 + far].weight @ x[0]
    assert (np.diff(scores[found]) <= 0).all()  # the likeliest first


def test_each_layers_own_norm_is_put_on():
    known = gates(2, norms=True)
    state = np.random.default_rng(2).standard_normal(WIDTH).astype(np.float32)
    norm, later = known[0].norm, known[1].norm
    assert norm is not None and later is not None
    found = Predictor(known, USED).expect(0, 1, (state * norm)[None])
    assert found is not None and set(found.tolist()) == chosen(known[1].weight, state * later)


def test_of_many_rows_the_experts_that_most_of_them_want_come_first():
    known, rows = gates(2), np.random.default_rng(3).standard_normal((40, WIDTH)).astype(np.float32)
    found = Predictor(known, USED).expect(0, 1, rows)
    counts = np.zeros(EXPERTS, int)
    for row in rows:
        counts[list(chosen(known[1].weight, row))] += 1
    assert found is not None
    assert set(found.tolist()) == set(np.flatnonzero(counts).tolist())
    assert (np.diff(counts[found]) <= 0).all()


def test_a_layer_that_is_foreseen_badly_is_foreseen_no_more_and_one_that_gets_better_is_again():
    predictor, known = Predictor(gates(2), USED), gates(2)
    x = np.random.default_rng(4).standard_normal((1, WIDTH)).astype(np.float32)
    right = np.array(sorted(chosen(known[1].weight, x[0])))
    wrong = np.array([expert for expert in range(EXPERTS) if expert not in right][:USED])
    while predictor.expect(0, 1, x) is not None:
        predictor.learn(1, wrong)
    assert predictor.recall[1, 1] < LEAST_RECALL
    for _ in range(100):
        predictor.expect(0, 1, x)
        predictor.learn(1, right)
    assert predictor.expect(0, 1, x) is not None


def test_beyond_the_last_layer_nothing_is_expected():
    x = np.zeros((1, WIDTH), np.float32)
    assert Predictor(gates(2), USED).expect(1, 1, x) is None
    assert Predictor({}, USED).expect(0, 1, x) is None


def test_ranks_that_turn_out_to_be_guesses_are_expected_no_more():
    predictor, known, random = Predictor(gates(2), USED), gates(2), np.random.default_rng(6)
    for _ in range(600):
        x = random.standard_normal((1, WIDTH)).astype(np.float32)
        predictor.expect(0, 1, x)
        ranked = np.argsort(-(known[1].weight @ x[0]))
        used = ranked[:USED].copy()
        if random.random() < 0.5:
            used[-1] = ranked[USED]  # the last one is as often the next one
        predictor.learn(1, used)
    found = predictor.expect(0, 1, x)
    assert found is not None and found.tolist() == ranked[: USED - 1].tolist()
    assert (predictor.sure[1, :-1] > 0.9).all() and predictor.sure[1, -1] < LEAST_SURE


def test_a_bias_counts_as_the_gate_adds_it_and_what_is_favoured_is_chosen_but_not_weighed():
    random = np.random.default_rng(7)
    weight = random.standard_normal((EXPERTS, WIDTH)).astype(np.float32)
    bias, favour = 5 * random.standard_normal((2, EXPERTS))
    x = random.standard_normal((1, WIDTH)).astype(np.float32)
    first, logits = Gate(weight), (weight @ x[0]) + bias
    for later, order in (
        (Gate(weight, bias=bias), logits),
        (Gate(weight, bias=bias, favour=favour), np.exp(logits) / np.exp(logits).sum() + favour),
        (Gate(weight, bias=bias, favour=favour, sigmoid=True), 1 / (1 + np.exp(-logits)) + favour),
    ):
        predictor = Predictor({0: first, 1: later}, USED)
        for rows in (x, np.repeat(x, 4, 0)):  # one token's, or a prompt's
            found = predictor.expect(0, 1, rows)
            assert found is not None and set(found.tolist()) == set(np.argsort(-order)[:USED].tolist())
        scores = predictor.scores(0, 1, found, x)
        weighed = 1 / (1 + np.exp(-logits)) if later.sigmoid else np.exp(logits)
        np.testing.assert_allclose(scores / scores.sum(), weighed[found] / weighed[found].sum(), rtol=1e-4)
