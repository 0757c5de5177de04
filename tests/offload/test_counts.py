"""Shares are of all uses, whatever is counted."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from accel.offload.counts import shares_of

counts = st.integers(0, 10**9)


@given(counts, counts, counts, counts)
def test_shares_of_uses_are_shares(hits, misses, low, skipped):
    uses = hits + misses
    found = shares_of(uses, hits, min(low, uses), min(skipped, misses))
    assert all(0 <= share <= 1 for share in found) and found.skipped <= found.missed + 1e-9


def test_what_was_missed_may_have_been_read_served_by_a_stand_in_or_left_out():
    assert shares_of(200, 120, 40, 6) == pytest.approx((0.4, 0.2, 0.03))
