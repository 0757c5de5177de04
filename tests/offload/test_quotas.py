"""Every layer gets what one token needs of it, all of them together no more than there is."""

from itertools import accumulate, product

from hypothesis import given
from hypothesis import strategies as st

from accel.offload.curves import HitCurves
from accel.offload.quotas import floors, least_budget, share_by_hits, share_out
from accel.units import Bytes

SHAPES = {
    "rooms": st.lists(st.sampled_from([4096, 12288, 20480]), min_size=1, max_size=12),
    "experts": st.integers(1, 32),
    "used": st.integers(1, 8),
    "budget": st.integers(0, 3_000_000),
    "most": st.integers(0, 400),
}


@given(**SHAPES)
def test_quotas_keep_to_the_budget_and_to_what_can_be_mapped(rooms, experts, used, budget, most):
    quotas = share_out(rooms, experts, used, Bytes(budget), most)
    if quotas is None:
        assert experts < used or budget < least_budget(rooms, used) or most < used * len(rooms)
        return
    assert all(used <= quota <= experts for quota in quotas)
    assert sum(room * quota for room, quota in zip(rooms, quotas, strict=True)) <= budget
    assert sum(quotas) <= most
    assert max(quotas) - min(quotas) <= 1
    assert all(0 <= floor <= quota for floor, quota in zip(floors(quotas), quotas, strict=True))


@given(**SHAPES, more=st.integers(0, 100_000))
def test_more_memory_takes_no_expert_from_any_layer(rooms, experts, used, budget, most, more):
    little = share_out(rooms, experts, used, Bytes(budget), most)
    much = share_out(rooms, experts, used, Bytes(budget + more), most)
    if little:
        assert much and all(more >= less for more, less in zip(much, little, strict=True))


@st.composite
def curves_of(draw: st.DrawFn, layers: int, experts: int) -> HitCurves:
    uses = draw(st.integers(1, 1000))
    counts = st.lists(st.integers(0, uses), min_size=experts - 1, max_size=experts - 1)
    return HitCurves(uses, tuple((0, *sorted(draw(counts)), uses) for _ in range(layers)))


@given(data=st.data(), **SHAPES)
def test_quotas_by_hits_keep_to_the_same_limits(data, rooms, experts, used, budget, most):
    curves = data.draw(curves_of(len(rooms), experts))
    quotas = share_by_hits(rooms, experts, used, Bytes(budget), most, curves)
    if quotas is None:
        assert experts < used or budget < least_budget(rooms, used) or most < used * len(rooms)
        return
    assert all(used <= quota <= experts for quota in quotas)
    taken = sum(room * quota for room, quota in zip(rooms, quotas, strict=True))
    assert taken <= budget and sum(quotas) <= most
    full = all(quota == experts or budget - taken < room for room, quota in zip(rooms, quotas, strict=True))
    assert full or sum(quotas) == most  # what could be given was


@given(data=st.data(), layers=st.integers(1, 4), experts=st.integers(2, 6), extra=st.integers(0, 20))
def test_where_the_next_expert_never_adds_more_than_the_one_before_no_other_quotas_hit_more(
    data, layers, experts, extra
):
    gains = st.lists(st.integers(0, 9), min_size=experts, max_size=experts).map(lambda all: sorted(all, reverse=True))
    steps = [data.draw(gains) for _ in range(layers)]
    curves = HitCurves(1000, tuple((0, *accumulate(step)) for step in steps))
    budget = Bytes(layers + min(extra, layers * (experts - 1)))
    quotas = share_by_hits([1] * layers, experts, 1, budget, 10**6, curves)
    assert quotas and sum(quotas) == budget
    found = sum(curve[quota] for curve, quota in zip(curves.hits, quotas, strict=True))
    others = [shares for shares in product(range(1, experts + 1), repeat=layers) if sum(shares) == budget]
    assert found == max(sum(c[q] for c, q in zip(curves.hits, shares, strict=True)) for shares in others)


def test_what_only_several_experts_together_bring_is_found():
    curves = HitCurves(100, ((0, 10, 10, 10, 100), (0, 10, 30, 40, 50)))
    assert share_by_hits([1, 1], 4, 1, Bytes(5), 99, curves) == (4, 1)


def test_an_expert_that_is_larger_and_hit_as_often_is_as_good():
    curves = HitCurves(100, ((0, 10, 60, 70), (0, 10, 59, 69)))
    assert share_by_hits([1, 3], 3, 1, Bytes(7), 99, curves) == (3, 1)
    assert share_by_hits([1, 3], 3, 1, Bytes(8), 99, curves) == (2, 2)
