"""Residency keeps to its budget whatever is asked, what a layer uses is there when it computes, and quotas protect
every layer from the others. On a reader that moves no bytes."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from accel.errors import EngineError, ModelUnreadable
from accel.offload.policy import POLICIES, make_policy
from accel.offload.residency import FULL, LOW, SKIP, Residency
from accel.offload.store import ABSENT, FAILED, QUEUED, RESIDENT
from accel.units import Bytes

EXPERTS, USED = 8, 2


class Reader:
    """Reads when it is waited for, or at once; `broken` experts fail, and those of `hung` never come while they are.
    Checks that nobody's slot is overwritten."""

    def __init__(self, rooms: tuple[int, ...], at_once: bool = False) -> None:
        self.rooms = rooms
        self.state = np.zeros(len(rooms) * EXPERTS, np.uint8)
        self.low = np.zeros(len(rooms) * EXPERTS, bool)
        self.slots: dict[int, int] = {}
        self.broken: set[int] = set()
        self.hung: set[int] = set()
        self.touched: list[int] = []
        self.forgotten: list[int] = []
        self.loads = self.hurried = 0
        self.at_once = at_once

    def _span(self, number: int) -> tuple[int, int]:
        return self.slots[number], self.slots[number] + self.rooms[number // EXPERTS]

    def load(self, number: int, slot: int, victim: int = -1, urgent: bool = True, low: bool = False) -> None:
        if self.state[number] == RESIDENT:  # again, in another precision
            assert self.slots[number] == slot and victim < 0 and self.low[number] != low
        else:
            assert self.state[number] in (ABSENT, FAILED)
        self.low[number] = low
        if victim >= 0:
            assert self.state[victim] == RESIDENT and self.slots.pop(victim) == slot
            self.state[victim] = ABSENT
        self.slots[number], self.state[number] = slot, QUEUED
        start, end = self._span(number)
        for other in self.slots:
            assert other == number or self._span(other)[1] <= start or end <= self._span(other)[0]
        self.loads += 1
        if self.at_once:
            self._finish(number)

    def _finish(self, number: int) -> None:
        self.state[number] = FAILED if number in self.broken else RESIDENT
        if number in self.broken:
            del self.slots[number]

    def hurry(self, number: int) -> None:
        self.hurried += 1

    def wait(self, numbers: np.ndarray, seconds: float = 60.0) -> None:
        for number in numbers.tolist():
            if self.state[number] == QUEUED and number not in self.hung:
                self._finish(number)
        if (self.state[numbers] == QUEUED).any():
            raise EngineError("reading takes too long", "check the disk")
        if (self.state[numbers] == FAILED).any():
            raise ModelUnreadable("the disk fails", "check it")

    def evict(self, number: int) -> None:
        assert self.state[number] == RESIDENT
        del self.slots[number]
        self.state[number] = ABSENT

    def free(self, slot: int, room: int) -> None:
        assert all(slot + room <= self._span(other)[0] or self._span(other)[1] <= slot for other in self.slots)

    def touch(self, number: int) -> None:
        self.touched.append(number)

    def forget(self, number: int) -> None:
        self.forgotten.append(number)

    @property
    def memory(self) -> int:
        return sum(self.rooms[number // EXPERTS] for number in self.slots)


def make(layers: int = 3, each: int = 4, policy: str = "lru", room: int = 4096, most: int = 1000, **of_reader: bool):
    reader = Reader((room,) * layers, **of_reader)
    budget = Bytes(layers * each * room)
    return reader, Residency(reader, make_policy(policy, layers, EXPERTS), EXPERTS, USED, budget, most)


def token(residency: Residency, *layers: tuple[int, ...]) -> None:
    for layer, experts in enumerate(layers):
        residency.use(layer, np.array(experts))


@settings(deadline=None, max_examples=150)
@given(
    rooms=st.lists(st.sampled_from([4096, 12288]), min_size=1, max_size=4),
    budget=st.integers(0, 400_000),
    policy=st.sampled_from(sorted(POLICIES)),
    at_once=st.booleans(),
    strict=st.booleans(),
    data=st.data(),
)
def test_the_budget_holds_and_what_is_used_is_there_in_the_precision_it_needs(
    rooms, budget, policy, at_once, strict, data
):
    reader = Reader(tuple(rooms), at_once)
    layers = len(rooms)
    try:
        made = make_policy(policy, layers, EXPERTS)
        residency = Residency(reader, made, EXPERTS, USED, Bytes(budget), 1000, strict)
    except EngineError:
        assert budget < USED * sum(rooms)
        return
    some = st.lists(st.integers(0, EXPERTS - 1), min_size=1, max_size=EXPERTS, unique=True).map(np.array)
    for _ in range(data.draw(st.integers(1, 12))):
        what = data.draw(st.sampled_from(["token", "prompt", "resize", "drop"]))
        if what == "resize":
            budget = data.draw(st.integers(USED * sum(rooms), 400_000))
            residency.resize(Bytes(budget))
        elif what == "drop":
            residency.drop(data.draw(st.integers(0, layers - 1)), data.draw(st.integers(0, EXPERTS - 1)))
        else:
            for layer in range(layers):
                experts = data.draw(some)[: USED if what == "token" else EXPERTS]
                wishes = st.lists(st.sampled_from([FULL, LOW, SKIP]), min_size=len(experts), max_size=len(experts))
                wanted = data.draw(st.none() | wishes.map(np.array)) if what == "token" else None
                taken = residency.use(layer, experts, wanted)
                if wanted is None:
                    wanted = np.full(len(experts), FULL)
                assert (taken | (wanted == SKIP)).all() and not (strict and taken[wanted == SKIP].any())
                experts, wanted = experts[taken], wanted[taken]
                numbers = layer * EXPERTS + experts
                here = reader.state[numbers] == RESIDENT
                low = reader.low[numbers[here]]
                assert not low[wanted[here] == FULL].any() and not (strict and (low != (wanted[here] == LOW)).any())
                beside = [number for number in numbers[~here].tolist() if number not in reader.touched]
                assert not beside  # there, or read through the file and known to be
                assert here.all() or what == "prompt"
                for far in range(1, 3):
                    if layer + far < layers:
                        most, borrow = data.draw(st.integers(0, 4)), what == "prompt"
                        likely = data.draw(some)
                        wishes = st.lists(
                            st.sampled_from([FULL, LOW, SKIP]), min_size=len(likely), max_size=len(likely)
                        )
                        guess = data.draw(st.none() | wishes.map(np.array)) if what == "token" else None
                        residency.expect(layer + far, likely, most, borrow, guess)
                residency.improve()
                assert reader.memory <= residency.bytes_held <= budget
        assert reader.memory <= residency.bytes_held <= budget
        assert np.count_nonzero(residency.held) == len(reader.slots)


def test_a_token_that_uses_the_same_again_reads_nothing():
    reader, residency = make()
    for _ in range(3):
        token(residency, (0, 1), (2, 3), (4, 5))
    assert reader.loads == 6
    assert residency.counts.hits.tolist() == [4, 4, 4] and residency.counts.uses.tolist() == [6, 6, 6]


def test_a_layer_that_uses_many_takes_no_other_layers_share():
    _, residency = make(each=3)
    token(residency, (0, 1), (0, 1), (0, 1))
    for expert in range(EXPERTS):
        residency.use(0, np.array([expert]))
    assert [residency.held[layer * EXPERTS : (layer + 1) * EXPERTS].sum() for layer in (1, 2)] == [2, 2]


def test_a_long_prompt_borrows_and_leaves_every_layer_its_floor():
    reader, residency = make(layers=4, each=5)
    token(residency, *[(0, 1, 2, 3, 4)] * 4)
    residency.use(0, np.arange(EXPERTS))
    held = [int(residency.held[layer * EXPERTS : (layer + 1) * EXPERTS].sum()) for layer in range(4)]
    assert held[0] == EXPERTS and min(held[1:]) >= 2
    residency.use(1, np.arange(EXPERTS))  # takes back what the first holds beyond its share
    assert residency.held[EXPERTS : 2 * EXPERTS].sum() == EXPERTS
    assert residency.held[:EXPERTS].sum() >= 2 and not reader.touched


def test_what_no_room_is_left_for_is_read_through_the_file_and_left_again():
    reader, residency = make(layers=2, each=2)
    residency.use(0, np.arange(EXPERTS))
    assert len(reader.touched) == EXPERTS - 4 and residency.counts.beside[0] == len(reader.touched)
    residency.use(1, np.array([0]))
    assert reader.forgotten == reader.touched


def test_what_is_expected_is_read_ahead_and_stays_until_its_turn():
    reader, residency = make(each=2)
    token(residency, (0, 1), (0, 1), (0, 1))
    residency.use(0, np.array([0, 1]))
    assert residency.expect(1, np.array([5, 0]), most=2) == 1
    residency.use(1, np.array([5, 0]))
    assert residency.counts.fulfilled[1] == 2 and residency.counts.expected[1] == 1
    assert residency.counts.late[1] == 1 and reader.hurried == 1  # the read had not begun


def test_the_present_layer_is_never_taken_from_for_what_is_expected():
    reader, residency = make(layers=2, each=2)
    residency.use(0, np.array([0, 1]))
    residency.expect(1, np.arange(EXPERTS), most=EXPERTS)
    assert (reader.state[[0, 1]] == RESIDENT).all()


def test_an_expert_that_cannot_be_read_stops_its_layer_and_is_tried_again():
    reader, residency = make()
    reader.broken.add(3)
    with pytest.raises(ModelUnreadable):
        residency.use(0, np.array([2, 3]))
    assert not residency.held[3] and residency.bytes_held >= reader.memory
    reader.broken.clear()
    residency.use(0, np.array([2, 3]))
    assert reader.state[3] == RESIDENT


def test_an_expert_that_fails_while_room_is_made_for_others_stops_its_layer():
    """Room is short, so everything on its way is waited for, the layer's own among it."""
    reader, residency = make(layers=2, each=2)
    token(residency, (0, 1), (0, 1))
    reader.broken.add(EXPERTS + 3)
    with pytest.raises(ModelUnreadable):
        residency.use(1, np.array([3, 4, 5, 6]))
    assert not residency.held[EXPERTS + 3]


def test_an_expected_expert_that_hangs_keeps_its_slot_until_it_has_come():
    """Else another would be read into the same slot, and both show what came last."""
    reader, residency = make(layers=2, each=2)
    residency.use(0, np.array([0, 1]))
    reader.hung |= {EXPERTS + 4, EXPERTS + 5}
    assert residency.expect(1, np.array([4, 5]), most=2) == 2
    for _ in range(2):
        with pytest.raises(EngineError, match="too long"):
            residency.use(1, np.array([0, 1]))
        assert residency.held[[EXPERTS + 4, EXPERTS + 5]].all()
    reader.hung.clear()
    residency.use(1, np.array([0, 1]))
    assert (reader.state[[EXPERTS, EXPERTS + 1]] == RESIDENT).all() and reader.memory <= residency.bytes_held


def test_an_expected_expert_that_cannot_be_read_harms_nobody_who_does_not_want_it():
    reader, residency = make(at_once=True)
    residency.use(0, np.array([0, 1]))
    reader.broken.add(EXPERTS + 5)
    residency.expect(1, np.array([5]), most=1)
    residency.use(1, np.array([0, 1]))
    with pytest.raises(ModelUnreadable):
        residency.use(1, np.array([5]))


def test_a_smaller_budget_takes_memory_back_and_keeps_what_was_used_last():
    reader, residency = make(layers=1, each=6)
    for expert in range(6):
        residency.use(0, np.array([expert]))
    residency.resize(Bytes(3 * 4096))
    assert np.flatnonzero(residency.held).tolist() == [3, 4, 5]
    assert reader.memory == residency.bytes_held == 3 * 4096
    residency.use(0, np.array([0, 1]))
    assert residency.bytes_held <= 3 * 4096


def test_a_budget_below_one_token_is_refused_and_says_what_is_needed():
    with pytest.raises(EngineError, match=r"24\.0 KiB at least"):
        make(each=1)
    with pytest.raises(EngineError, match="max_map_count"):
        make(most=5)


def test_a_stand_in_serves_who_does_not_need_more_and_is_read_again_for_who_does():
    reader, residency = make(layers=1)
    two = np.array([0, 1])
    assert residency.use(0, two, np.array([FULL, LOW])).all() and reader.low[:2].tolist() == [False, True]
    residency.use(0, two, np.array([LOW, LOW]))
    assert reader.loads == 2 and residency.counts.low[0] == 2 and not reader.low[0]  # better than was wanted
    residency.use(0, two)
    assert reader.loads == 3 and not reader.low[:2].any() and reader.slots[1] != reader.slots[0]


def test_who_may_be_left_out_is_used_where_it_is_there_and_not_read_for_it():
    reader, residency = make(layers=1)
    residency.use(0, np.array([0]))
    assert residency.use(0, np.array([0, 1, 2]), np.array([SKIP, SKIP, FULL])).tolist() == [True, False, True]
    assert reader.loads == 2 and residency.counts.skipped[0] == 1


def test_strictly_a_use_gets_what_it_wants_whatever_is_there():
    reader = Reader((4096,))
    residency = Residency(reader, make_policy("lru", 1, EXPERTS), EXPERTS, USED, Bytes(4 * 4096), 1000, strict=True)
    residency.use(0, np.array([0, 1]))
    assert residency.use(0, np.array([0, 1]), np.array([LOW, SKIP])).tolist() == [True, False]
    assert reader.low[0] and reader.loads == 3 and not residency.improve()


def test_a_stand_in_that_stays_hot_is_read_in_full_once_nothing_else_is_read():
    reader, residency = make(layers=2)
    residency.use(0, np.array([0]), np.array([LOW]))
    residency.use(1, np.array([0]))
    assert not residency.improve()  # it was used once
    residency.use(0, np.array([0]), np.array([LOW]))
    assert not residency.improve()  # it is in use now
    residency.use(1, np.array([0]))
    residency.expect(1, np.array([5]), most=1)
    assert not residency.improve()  # something is on its way
    residency.use(1, np.array([5]))
    assert residency.improve() and not reader.low[0] and reader.loads == 4


def test_what_was_read_ahead_for_nothing_is_counted():
    _, residency = make(at_once=True)
    residency.use(0, np.array([0, 1]))
    residency.expect(1, np.array([3, 4]), most=2)
    residency.use(1, np.array([4, 5]))
    assert residency.counts.wasted.tolist() == [0, 1, 0]


def test_what_uses_had_read_for_them_is_counted_once_and_apart_from_what_was_read_in_vain():
    reader, residency = make(layers=1, at_once=True)
    counts, both = residency.counts, np.array([0, 1])
    residency.use(0, both, np.array([FULL, LOW]))
    assert (counts.needed[0], counts.needed_low[0]) == (1, 1)
    residency.use(0, both, np.array([FULL, LOW]))  # both are there
    assert (counts.needed[0], counts.needed_low[0]) == (1, 1)
    residency.use(0, both, np.array([FULL, FULL]))  # the stand-in will not do
    assert (counts.needed[0], counts.needed_low[0]) == (2, 1)
    residency.expect(0, np.array([2, 3]), 2, wanted=np.array([FULL, LOW]))
    assert reader.loads == 5 and counts.needed[0] == 2  # nobody has used them yet
    residency.use(0, np.array([2, 4]), np.array([FULL, SKIP]))
    assert (counts.needed[0], counts.needed_low[0]) == (3, 1) and counts.wasted[0] == 1
    residency.use(0, np.array([2, 3]), np.array([FULL, LOW]))  # which was wasted and is there all the same
    assert (counts.needed[0], counts.needed_low[0]) == (3, 1)
