"""One pass over a trace counts what a cache of every size would have hit."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from accel.offload.policy import POLICIES, Policy, Recent, make_policy
from accel.offload.replay import belady, beladys, hit_curves, lru_replays, replay, replays, resident, stack_distances

from .traces import EXPERTS, routings

quotas_of = st.lists(st.integers(0, EXPERTS), min_size=4, max_size=4)


def counted(trace: np.ndarray, policy: Policy, quotas: list[int]) -> list[int]:
    """Hits of every layer, expert by expert: what `replay` is to come to."""
    tokens, layers, _ = trace.shape
    inside: list[set[int]] = [set() for _ in range(layers)]
    hits = [0] * layers
    for token in range(tokens):
        for layer in range(layers):
            wanted = trace[token, layer].tolist()
            hits[layer] += len(inside[layer] & set(wanted))
            policy.use(layer, trace[token, layer])
            inside[layer] |= set(wanted)
            worth = policy.worth(layer)[layer]
            going = sorted(inside[layer] - set(wanted), key=lambda expert: (worth[expert], expert)) + sorted(wanted)
            inside[layer] -= set(going[: max(0, len(going) - quotas[layer])])
        policy.next_token()
    return hits


@pytest.mark.parametrize("name", POLICIES)
@given(trace=routings(), some=quotas_of, others=quotas_of)
@settings(deadline=None, max_examples=30)
def test_all_budgets_together_hit_what_each_hits_counted_one_by_one(name, trace, some, others):
    layers = trace.shape[1]
    budgets = [some[:layers], others[:layers]]
    found = replays(trace, make_policy(name, layers, EXPERTS), budgets, EXPERTS, [5] * layers)
    for quotas, result in zip(budgets, found, strict=True):
        assert result.hits.tolist() == counted(trace, make_policy(name, layers, EXPERTS), quotas)
        assert result.missed_bytes == 5 * (result.uses - result.hits).sum()


@given(trace=routings(), some=quotas_of)
@settings(deadline=None, max_examples=60)
def test_stack_distances_give_lru_at_any_quota(trace, some):
    layers = trace.shape[1]
    distances = stack_distances(trace, EXPERTS)
    (found,) = lru_replays(distances, trace, [some[:layers]], [3] * layers)
    wanted = replay(trace, Recent(layers, EXPERTS), some[:layers], EXPERTS, [3] * layers)
    assert found.hits.tolist() == wanted.hits.tolist() and found.missed_bytes == wanted.missed_bytes


@given(trace=routings(), quota=st.integers(0, EXPERTS - 1))
@settings(deadline=None, max_examples=40)
def test_who_knows_the_future_hits_no_less_in_a_larger_cache(trace, quota):
    layers = trace.shape[1]
    few, more = beladys(trace, [[quota] * layers, [quota + 1] * layers], EXPERTS, [1] * layers)
    assert (few.hits <= more.hits).all()
    assert belady(trace, [quota] * layers, EXPERTS, [1] * layers).hits.tolist() == few.hits.tolist()


def test_who_knows_the_future_keeps_what_comes_again_first():
    trace = np.array([1, 2, 3, 1, 2, 3])[:, None, None]
    assert belady(trace, [2], 4, [1]).hits.tolist() == [2]
    assert replay(trace, Recent(1, 4), [2], 4, [1]).hits.tolist() == [0]


@given(trace=routings(), quota=st.integers(1, EXPERTS))
@settings(deadline=None, max_examples=40)
def test_no_more_is_kept_than_may_be_and_a_hit_is_what_was_kept(trace, quota):
    layers = trace.shape[1]
    kept = resident(trace, Recent(layers, EXPERTS), [quota] * layers, EXPERTS)
    assert (np.count_nonzero(kept, axis=2) <= quota).all()
    before = np.concatenate([np.zeros_like(kept[:1]), kept[:-1]])
    hits = np.take_along_axis(before, trace.astype(np.intp), 2).sum(axis=(0, 2))
    assert (
        hits.tolist() == replay(trace, Recent(layers, EXPERTS), [quota] * layers, EXPERTS, [1] * layers).hits.tolist()
    )


@given(routings())
@settings(deadline=None, max_examples=40)
def test_curves_climb_from_nothing_to_all(trace):
    curves = hit_curves(trace, EXPERTS)
    layers = trace.shape[1]
    assert curves.sound(layers, EXPERTS) and not curves.sound(layers + 1, EXPERTS)
    assert not curves.sound(layers, EXPERTS - 1)
    rates = [curves.rate(share, [7] * layers) for share in (0.0, 0.2, 0.5, 0.77, 1.0)]
    assert rates[0] == 0 and rates[-1] == 1 and rates == sorted(rates)


def test_a_curve_tells_what_a_filled_cache_hits():
    trace = np.array([expert % 4 for expert in range(400)])[:, None, None]
    curves = hit_curves(trace, 8)
    assert curves.uses == 300
    assert curves.hits == ((0, 0, 0, 0, 300, 300, 300, 300, 300),)
    assert curves.rate(3.5 / 8, [1]) == pytest.approx(0.5)


def test_a_layer_of_larger_experts_counts_for_more():
    local, far = np.zeros(40, int), np.arange(40) % 4
    curves = hit_curves(np.stack([local, far], axis=1)[:, :, None], 4)
    assert curves.rate(0.5, [1, 1]) == pytest.approx(0.5)
    assert curves.rate(0.5, [3, 1]) == pytest.approx(0.75)
