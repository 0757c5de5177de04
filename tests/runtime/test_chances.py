"""How likely tokens were is told as the model thought it."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from accel.runtime.chances import chance

logits = arrays.arrays(np.float32, st.integers(1, 30), elements=st.floats(-50, 50, width=32))


def piece(token: int) -> bytes:
    return bytes([token])


@given(logits, st.integers(0, 30), st.data())
def test_probabilities_are_the_softmax_and_the_best_are_in_order(logits, best, data):
    token = data.draw(st.integers(0, len(logits) - 1))
    found = chance(logits, token, best, piece)
    shares = np.exp(logits.astype(np.float64) - logits.max())
    shares /= shares.sum()
    assert found.piece == piece(token) and math.exp(found.log) == pytest.approx(shares[token])
    assert len(found.best) == min(best, len(logits))
    order = sorted(range(len(logits)), key=lambda each: (-logits[each], each))
    assert [each for each, _ in found.best] == [piece(each) for each in order[:best]]


def test_a_token_that_cannot_be_has_no_chance():
    assert chance(np.array([0.0, -np.inf], np.float32), 1, 1, piece).log == -math.inf
