"""What goes first, by every policy; and no policy hits more than the one that knows the future."""

from collections import OrderedDict

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from accel.errors import SettingError
from accel.offload.policy import POLICIES, Cost, Frequent, Hobbit, Recent, Weights, make_policy
from accel.offload.replay import belady, replay

from .traces import EXPERTS, routings


def use(policy, *tokens: list[int]) -> None:
    for token in tokens:
        policy.use(0, np.array(token))
        policy.next_token()


def order(policy) -> list[int]:
    """Experts of layer 0, whoever goes first first."""
    return np.argsort(policy.worth(0)[0], kind="stable").tolist()


def test_lru_lets_go_what_was_used_longest_ago():
    policy = Recent(1, 4)
    use(policy, [2], [0], [3], [0])
    assert order(policy) == [1, 2, 3, 0]


def test_lfu_lets_go_what_was_used_least_and_of_equals_the_older():
    policy = Frequent(1, 4)
    use(policy, [2], [2], [0], [3])
    assert order(policy) == [1, 0, 3, 2]


def test_hobbit_keeps_what_was_wanted_in_full_precision():
    policy = Hobbit(1, 3, Weights(0, 0, 1, 0))
    policy.use(0, np.array([0, 1]), np.array([False, True]))
    assert policy.worth(0)[0, 1] > policy.worth(0)[0, 0]


@pytest.mark.parametrize("kind", [Hobbit, Cost])
def test_a_layer_that_comes_soon_is_worth_more_than_one_that_has_just_passed(kind):
    policy = kind(4, 2)
    for layer in range(4):
        policy.use(layer, np.array([0]))
    policy.next_token()
    worth = policy.worth(2)[:, 0]
    assert worth[2] > worth[3] > worth[0] > worth[1]


def test_a_name_that_is_none_is_refused_with_those_there_are():
    with pytest.raises(SettingError, match="lru2"):
        make_policy("lru2", 1, 1)


@given(st.lists(st.integers(0, EXPERTS - 1), min_size=1, max_size=60), st.integers(1, EXPERTS))
def test_lru_is_the_textbooks(used, quota):
    cache: OrderedDict[int, None] = OrderedDict()
    hits = 0
    for expert in used:
        hits += expert in cache
        cache[expert] = None
        cache.move_to_end(expert)
        if len(cache) > quota:
            cache.popitem(last=False)
    trace = np.array(used)[:, None, None]
    assert replay(trace, Recent(1, EXPERTS), [quota], EXPERTS, [1]).hits[0] == hits


@pytest.mark.parametrize("name", POLICIES)
@given(trace=routings(), quota=st.integers(1, EXPERTS))
@settings(deadline=None, max_examples=30)
def test_no_policy_hits_more_than_the_one_that_knows_the_future(name, trace, quota):
    layers = trace.shape[1]
    quota = max(quota, trace.shape[2])
    best = belady(trace, [quota] * layers, EXPERTS, [3] * layers)
    found = replay(trace, make_policy(name, layers, EXPERTS), [quota] * layers, EXPERTS, [3] * layers)
    assert (found.hits <= best.hits).all() and found.missed_bytes >= best.missed_bytes
    assert found.missed_bytes == 3 * (found.uses - found.hits).sum()


@pytest.mark.parametrize("name", POLICIES)
@given(trace=routings())
@settings(deadline=None, max_examples=20)
def test_where_all_fit_each_is_missed_once(name, trace):
    layers = trace.shape[1]
    found = replay(trace, make_policy(name, layers, EXPERTS), [EXPERTS] * layers, EXPERTS, [1] * layers)
    assert found.missed_bytes == sum(len(np.unique(trace[:, layer])) for layer in range(layers))
