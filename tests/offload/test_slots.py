"""Slots never take more memory than the budget, and no two experts get the same one."""

from hypothesis import given
from hypothesis import strategies as st

from accel.offload.slots import Slots
from accel.units import Bytes


@given(
    rooms=st.lists(st.sampled_from([4096, 8192, 20480]), min_size=1, max_size=4),
    experts=st.integers(1, 6),
    budget=st.integers(0, 400_000),
    moves=st.lists(st.tuples(st.booleans(), st.integers(0, 30)), max_size=60),
)
def test_slots_lie_apart_and_their_memory_within_the_budget(rooms, experts, budget, moves):
    returned: list[tuple[int, int]] = []
    slots = Slots(rooms, experts, Bytes(budget), lambda slot, room: returned.append((slot, room)))
    held: list[tuple[int, int]] = []
    for take, which in moves:
        if take:
            room = rooms[which % len(rooms)]
            slot = slots.take(room)
            if slot is not None:
                assert all(slot + room <= other or other + size <= slot for other, size in held)
                assert slot + room <= sum(rooms) * experts
                held.append((slot, room))
        elif held:
            slots.give(*held.pop(which % len(held)))
        assert sum(room for _, room in held) <= slots.used <= budget


def test_what_was_filled_is_used_again_before_anything_else():
    slots = Slots([4096], 4, Bytes(4 * 4096), lambda *_: None)
    first, second = slots.take(4096), slots.take(4096)
    assert first is not None and second is not None
    slots.give(first, 4096)
    assert slots.take(4096) == first and slots.used == 2 * 4096


def test_memory_of_another_size_is_given_back_where_the_budget_is_short():
    returned: list[tuple[int, int]] = []
    slots = Slots([4096, 8192], 2, Bytes(8192), lambda slot, room: returned.append((slot, room)))
    small = [slots.take(4096), slots.take(4096)]
    assert slots.take(8192) is None and not returned
    for slot in small:
        assert slot is not None
        slots.give(slot, 4096)
    assert slots.take(8192) is not None
    assert sorted(slot for slot, _ in returned) == sorted(small) and slots.used == 8192  # type: ignore[type-var]
