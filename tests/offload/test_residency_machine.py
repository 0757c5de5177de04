"""Whatever is used, expected, dropped or resized in whatever order, and whatever reads fail, hang or come late: a
residency keeps to its budget, its books agree with the reader's, and nothing in use goes."""

import numpy as np
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from accel.errors import EngineError, ModelUnreadable
from accel.offload.policy import POLICIES, make_policy
from accel.offload.quotas import floors, least_budget
from accel.offload.residency import FULL, LOW, SKIP, Residency
from accel.offload.store import FAILED, QUEUED, RESIDENT
from accel.units import Bytes

from .test_residency import EXPERTS, USED, Reader

MOST = 400_000
wishes = st.none() | st.lists(st.sampled_from([FULL, LOW, SKIP]), min_size=EXPERTS, max_size=EXPERTS)
some = st.lists(st.integers(0, EXPERTS - 1), min_size=1, max_size=EXPERTS, unique=True)


class Watched(Reader):
    """Knows what a layer computes with, and lets nobody take it."""

    def __init__(self, rooms: tuple[int, ...]) -> None:
        super().__init__(rooms)
        self.in_use: set[int] = set()

    def load(self, number: int, slot: int, victim: int = -1, urgent: bool = True, low: bool = False) -> None:
        assert victim not in self.in_use
        assert urgent or number not in self.in_use
        super().load(number, slot, victim, urgent, low)

    def evict(self, number: int) -> None:
        assert number not in self.in_use
        super().evict(number)

    def some_come(self, numbers: list[int]) -> None:
        for number in numbers:
            if self.state[number] == QUEUED and number not in self.hung:
                self._finish(number)


class Machine(RuleBasedStateMachine):
    @initialize(
        rooms=st.lists(st.sampled_from([4096, 12288]), min_size=1, max_size=4),
        policy=st.sampled_from(sorted(POLICIES)),
        most=st.sampled_from([1000, 12]),
        strict=st.booleans(),
        data=st.data(),
    )
    def open(self, rooms: list[int], policy: str, most: int, strict: bool, data: st.DataObject) -> None:
        self.layers, self.layer, self.next = len(rooms), 0, 0
        self.least = int(least_budget(rooms, USED))
        self.reader, self.asked = Watched(tuple(rooms)), data.draw(st.integers(self.least, MOST))
        self.residency = Residency(
            self.reader, make_policy(policy, self.layers, EXPERTS), EXPERTS, USED, Bytes(self.asked), most, strict
        )

    @rule(experts=some, prompt=st.booleans(), wishes=wishes)
    def use(self, experts: list[int], prompt: bool, wishes: list[int] | None) -> None:
        """The next layer, or the first once more."""
        self.layer, self.next = self.next, (self.next + 1) % self.layers
        experts = experts if prompt else experts[:USED]
        wanted = None if prompt or wishes is None else np.array(wishes[: len(experts)])
        numbers = [self.layer * EXPERTS + expert for expert in experts]
        skipped = (
            set() if wanted is None else {number for number, wish in zip(numbers, wanted, strict=True) if wish == SKIP}
        )
        self.reader.in_use, self.reader.touched = set(numbers) - skipped, []
        try:
            taken = self.residency.use(self.layer, np.array(experts), wanted)
        except (EngineError, ModelUnreadable):
            assert self.reader.broken or self.reader.hung
            self.reader.in_use = set()  # the layer does not compute
            self.next = 0
            return
        used = {number for number, here in zip(numbers, taken, strict=True) if here}
        assert set(numbers) - used <= skipped
        self.reader.in_use = used
        there = {number for number in used if self.reader.state[number] == RESIDENT}
        assert used - there == set(self.reader.touched)
        assert prompt or not self.reader.touched
        for number, wish in zip(numbers, [FULL] * len(numbers) if wanted is None else wanted, strict=True):
            if number in there:
                assert not (wish == FULL and self.reader.low[number])
                assert not self.residency.strict or self.reader.low[number] == (wish == LOW)

    @rule(far=st.integers(1, 2), experts=some, most=st.integers(0, EXPERTS), borrow=st.booleans(), wishes=wishes)
    def expect(self, far: int, experts: list[int], most: int, borrow: bool, wishes: list[int] | None) -> None:
        if self.next and self.layer + far < self.layers:
            loads = self.reader.loads
            wanted = None if wishes is None else np.array(wishes[: len(experts)])
            asked = self.residency.expect(self.layer + far, np.array(experts), most, borrow, wanted)
            assert asked == self.reader.loads - loads <= most

    @rule()
    def improve(self) -> None:
        loads = self.reader.loads
        assert self.residency.improve() == (self.reader.loads > loads)

    @rule(layer=st.integers(0, 3), expert=st.integers(0, EXPERTS - 1))
    def drop(self, layer: int, expert: int) -> None:
        number = layer % self.layers * EXPERTS + expert
        gone = self.residency.drop(layer % self.layers, expert)
        assert not gone or self.reader.state[number] != RESIDENT

    @rule(data=st.data())
    def resize(self, data: st.DataObject) -> None:
        """Between two forwards."""
        self.reader.in_use, self.next = set(), 0
        budget = data.draw(st.integers(self.least - 5000, MOST))
        try:
            self.residency.resize(Bytes(budget))
        except EngineError:
            assert budget < self.least or self.reader.hung
        else:
            self.asked = budget

    @rule(numbers=st.lists(st.integers(0, 4 * EXPERTS - 1), max_size=4))
    def come(self, numbers: list[int]) -> None:
        """Reads end while nobody waits for them."""
        self.reader.some_come([number for number in numbers if number < len(self.reader.state)])

    @rule(numbers=st.lists(st.integers(0, 4 * EXPERTS - 1), max_size=2), hangs=st.booleans())
    def fail(self, numbers: list[int], hangs: bool) -> None:
        """From now on; others work again."""
        self.reader.broken, self.reader.hung = (set(), set(numbers)) if hangs else (set(numbers), set())

    @precondition(lambda self: self.reader.broken or self.reader.hung)
    @rule()
    def work_again(self) -> None:
        self.reader.broken, self.reader.hung = set(), set()

    @invariant()
    def keeps_to_the_budget(self) -> None:
        if hasattr(self, "residency"):
            assert self.reader.memory <= self.residency.bytes_held <= self.residency.budget == self.asked
            assert self.residency._number_held.sum() <= sum(self.residency.quotas)

    @invariant()
    def books_agree(self) -> None:
        if not hasattr(self, "residency"):
            return
        residency, state = self.residency, self.reader.state
        held = np.flatnonzero(residency.held).tolist()
        assert {number for number in held if state[number] != FAILED} == set(self.reader.slots)
        assert all(residency._slot[number] == self.reader.slots[number] for number in self.reader.slots)
        assert np.array_equal(residency._slot >= 0, residency.held)
        assert np.array_equal(residency.held.reshape(-1, EXPERTS).sum(axis=1), residency._number_held)
        assert not (residency._expected & ~residency.held).any()
        assert residency._floors == floors(residency.quotas)

    @invariant()
    def what_is_in_use_is_there(self) -> None:
        if hasattr(self, "residency"):
            beside = set(self.reader.touched)
            assert all(self.reader.state[number] == RESIDENT for number in self.reader.in_use - beside)


Machine.TestCase.settings = settings(deadline=None, max_examples=80, stateful_step_count=30)
TestResidency = Machine.TestCase
