"""Every layer gets what one token needs of it, all of them together no more than there is."""

from hypothesis import given
from hypothesis import strategies as st

from accel.offload.quotas import floors, least_budget, share_out
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
