"""Every policy meets the same budgets, and fitted weights are no worse than those they are chosen from."""

from dataclasses import astuple

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from accel.offload.compare import BEST, SHARES, compare, even_quotas
from accel.offload.fit import fit_weights, relative_misses, replay_hobbit, weights_of
from accel.offload.policy import POLICIES, Hobbit, make_policy
from accel.offload.replay import replay
from accel.offload.trace import Trace
from accel.units import Bytes

from .traces import EXPERTS, a_trace


@given(st.integers(0, 1000), st.floats(0.01, 1))
@settings(deadline=None, max_examples=20)
def test_a_budget_is_kept_to_and_all_of_it_hits_no_less_than_a_part(seed, share):
    trace = a_trace(tokens=30, seed=seed)
    quotas = even_quotas(trace, share)
    taken = sum(quota * size for quota, size in zip(quotas, trace.sizes, strict=True))
    assert taken <= max(share * EXPERTS * sum(trace.sizes), sum(trace.sizes))
    some, every = compare(trace, (share, 1.0))
    assert set(some.replays) == {*POLICIES, BEST}
    for name, found in some.replays.items():
        assert found.missed_bytes >= some.replays[BEST].missed_bytes
        assert found.missed_bytes >= every.replays[name].missed_bytes
        assert some.bytes_per_token(name) == found.missed_bytes // 30


def test_each_figure_is_what_the_policy_alone_comes_to():
    trace = a_trace(tokens=60, layers=2, used=3)
    for budget in compare(trace):
        for name in POLICIES:
            alone = replay(trace.chosen, make_policy(name, 2, EXPERTS), budget.quotas, EXPERTS, trace.sizes)
            assert budget.replays[name].hits.tolist() == alone.hits.tolist()
    assert [budget.share for budget in compare(trace)] == list(SHARES)


@pytest.mark.parametrize("ratio", [-np.inf, -3.0, 0.0, 2.5, np.inf])
def test_weights_sum_to_one(ratio):
    weights = weights_of(ratio)
    assert sum(astuple(weights)) == pytest.approx(1) and min(astuple(weights)) >= 0


def popular_and_far() -> Trace:
    """Two experts that come again and again among many that never do: only frequency keeps them."""
    rng = np.random.default_rng(0)
    chosen = np.array([[[token % 2 if token % 5 == 0 else rng.integers(2, 40)]] for token in range(400)], np.uint16)
    return Trace("f", "drawn", 40, (Bytes(10),), chosen)


def walking() -> Trace:
    """Each expert is used some times, and then never again: only recency helps."""
    chosen = np.array([[[token // 8 + token % 2]] for token in range(300)], np.uint16)
    return Trace("f", "drawn", 40, (Bytes(10),), chosen)


def test_where_some_are_popular_frequency_is_fitted_and_misses_less_than_lru():
    trace = popular_and_far()
    weights = fit_weights(trace, (0.1,))
    lru = compare(trace, (0.1,))[0].replays["lru"]
    fitted = replay_hobbit(trace, [even_quotas(trace, 0.1)], weights)
    assert weights.frequency > 0.02 and fitted[0].missed_bytes < 0.95 * lru.missed_bytes


def test_where_nothing_comes_back_recency_is_fitted():
    weights = fit_weights(walking(), (0.1,))
    fitted = replay_hobbit(walking(), [even_quotas(walking(), 0.1)], weights)
    (budget,) = compare(walking(), (0.1,))
    assert weights.recency > weights.frequency
    assert fitted[0].missed_bytes <= budget.replays["lru"].missed_bytes


@given(st.integers(0, 1000))
@settings(deadline=None, max_examples=5)
def test_fitted_weights_are_no_worse_where_they_were_fitted_than_recency_or_frequency_alone(seed):
    trace = a_trace(tokens=40, layers=2, seed=seed)
    done = []
    weights = fit_weights(trace, (0.3, 0.5), done.append)
    quotas = [even_quotas(trace, share) for share in (0.3, 0.5)]
    lru = [budget.replays["lru"] for budget in compare(trace, (0.3, 0.5))]
    best = relative_misses(replay_hobbit(trace, quotas, weights), lru)
    for other in (weights_of(-np.inf), weights_of(np.inf), weights_of(0.0)):
        assert best <= relative_misses(replay_hobbit(trace, quotas, other), lru) + 1e-12
    assert done == sorted(done) and done[-1] == 1


def test_the_distance_decides_nothing_within_a_layer():
    trace = a_trace(tokens=50, layers=3)
    usual = weights_of(0.5)
    near, far = (Hobbit(3, EXPERTS, type(usual)(usual.recency, usual.frequency, usual.high, d)) for d in (0.0, 0.9))
    one, other = (replay(trace.chosen, policy, [4] * 3, EXPERTS, trace.sizes) for policy in (near, far))
    assert one.hits.tolist() == other.hits.tolist()
