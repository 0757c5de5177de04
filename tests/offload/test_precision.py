"""What a token wants of its experts follows from their gate scores alone."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from accel.offload.precision import Thresholds
from accel.offload.residency import FULL, LOW, SKIP

SCORES = st.lists(st.floats(0, 1, width=32), min_size=1, max_size=16).map(lambda scores: np.array(scores, np.float32))
SHARES = st.floats(0, 1)


@given(SCORES, SHARES, SHARES)
def test_the_first_is_wanted_in_full_and_none_more_than_one_with_a_higher_score(scores, low, skip):
    wanted = Thresholds(low, skip).wanted(scores)
    assert set(wanted.tolist()) <= {FULL, LOW, SKIP} and wanted[scores.argmax()] == FULL
    order = np.argsort(-scores, kind="stable")
    assert (np.diff(wanted[order].astype(int)) >= 0).all()


@given(SCORES)
def test_thresholds_of_one_want_everything_in_full(scores):
    assert (Thresholds(1.01, 1.01).wanted(scores) == FULL).all()


def test_the_papers_thresholds_on_two_experts():
    """HOBBIT, section 3.2: the second is wanted low where the first has more than 0.6, and not at all beyond 0.9."""
    assert Thresholds().wanted(np.array([0.5, 0.5])).tolist() == [FULL, FULL]
    assert Thresholds().wanted(np.array([0.3, 0.7])).tolist() == [LOW, FULL]
    assert Thresholds().wanted(np.array([0.95, 0.05])).tolist() == [FULL, SKIP]


def test_scores_that_are_all_nothing_leave_nothing_out():
    assert Thresholds().wanted(np.zeros(4)).tolist() == [FULL] * 4
