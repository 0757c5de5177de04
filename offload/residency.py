"""Which experts of a model are in memory now: within a budget, those that a policy finds worth it.

Whoever computes says before each layer which experts it is about to use (`use`), and may say which it expects to use
next (`expect`). Places that hold no copy show the file, so what was not foreseen is slow and never wrong.

An expert may be wanted in full, or where the result may differ a stand-in may do, or nothing at all (HOBBIT, arXiv
2411.01433, section 3.2). A resident expert serves every wish; so does a resident stand-in but for the first.
"""

import time
from collections.abc import Callable, Iterator
from typing import Protocol

import numpy as np

from ..errors import AccelError, EngineError
from ..units import Bytes
from .counts import Counts
from .policy import Policy
from .quotas import floors, least_budget, share_out
from .slots import Slots
from .store import ABSENT, FAILED, QUEUED, READING, RESIDENT

FULL, LOW, SKIP = range(3)  # what a use wants of an expert
_HOT = 2  # uses of a stand-in after which it is worth reading in full


class Reader(Protocol):
    """What moves the bytes: see `store.Store`."""

    state: np.ndarray
    low: np.ndarray
    rooms: tuple[int, ...]

    def load(self, number: int, slot: int, victim: int = -1, urgent: bool = True, low: bool = False) -> None: ...
    def hurry(self, number: int) -> None: ...
    def wait(self, numbers: np.ndarray, seconds: float = 60.0) -> None: ...
    def evict(self, number: int) -> None: ...
    def free(self, slot: int, room: int) -> None: ...
    def touch(self, number: int) -> None: ...
    def forget(self, number: int) -> None: ...


class Residency:
    """Not for two threads. A layer is counted among those that have experts, as in `Store`."""

    def __init__(
        self, store: Reader, policy: Policy, experts: int, used: int, budget: Bytes, most: int, strict: bool = False
    ) -> None:
        """`experts` in every layer, `used` of them by one token; `most`: experts in memory that the system can map.
        `strict`: a use gets what it wants and nothing better, so that no result depends on what is resident. Raises
        EngineError where the budget is too small for one token."""
        self.store, self.policy, self.strict = store, policy, strict
        self._experts, self._used, self._most = experts, used, most
        layers, count = len(store.rooms), len(store.rooms) * experts
        self.counts = Counts(layers)
        self.held = np.zeros(count, bool)  # has a slot: queued, being read, or resident
        self._slot = np.full(count, -1, np.int64)
        self._number_held = np.zeros(layers, np.int64)
        self._expected = np.zeros(count, bool)  # for a layer whose turn is still to come
        self._ahead = np.zeros(count, bool)  # of them those that were read for it
        self._served = np.zeros(count, np.int64)  # uses of a stand-in since it was read
        self._present = np.zeros(0, np.int32)  # what the layer uses that computes now
        self._beside: list[int] = []
        self._layer = -1
        self.quotas, self._floors = self._share_out(budget)
        self._slots = Slots(store.rooms, experts, budget, store.free)

    @property
    def budget(self) -> Bytes:
        return self._slots.budget

    @property
    def bytes_held(self) -> Bytes:
        """Of memory that slots take now; never more than the budget."""
        return Bytes(self._slots.used)

    @property
    def on_their_way(self) -> int:
        """Experts that are being read, or wait for it."""
        state = self.store.state
        return int(np.count_nonzero((state == QUEUED) | (state == READING)))

    def use(
        self,
        layer: int,
        experts: np.ndarray,
        wanted: np.ndarray | None = None,
        meanwhile: Callable[[], object] = lambda: None,
    ) -> np.ndarray:
        """Before a layer computes with these experts (no two alike): returns once they are there, and which of them
        are; the others must be left out. `wanted`: FULL, LOW or SKIP of each, FULL where nothing is said; `meanwhile`
        is called when all that lacks is asked for, and may expect more. Raises ModelError or EngineError where they
        cannot be read: the layer must then not compute."""
        if layer <= self._layer:
            self.policy.next_token()
        self._layer = layer
        self._leave_beside()
        numbers = (layer * self._experts + experts).astype(np.int32)
        self.policy.use(layer, experts, None if wanted is None else wanted == FULL)
        here = self._serves(numbers, wanted)
        taken = self._taken(here, wanted)
        self._present = numbers[taken]
        lows = np.zeros(len(numbers), bool) if wanted is None else wanted == LOW
        self._count(layer, numbers, here & taken, taken, lows)
        if here[taken].all():
            meanwhile()
        else:
            missing = taken & ~here
            asked = self._ask(layer, numbers[missing].tolist(), lows[missing].tolist())
            meanwhile()
            self._wait(layer, asked)
        if wanted is not None:
            low = self._present[self.store.low[self._present] & self.held[self._present]]
            self._served[low] += 1
            self.counts.low[layer] += len(low)
        return taken

    def _serves(self, numbers: np.ndarray, wanted: np.ndarray | None) -> np.ndarray:
        """Which of these are resident in a precision that will do."""
        here = self.store.state[numbers] == RESIDENT
        low = self.store.low[numbers]
        if wanted is None:
            return here & ~low
        return here & (low == (wanted == LOW) if self.strict else ~low | (wanted != FULL))

    def _taken(self, here: np.ndarray, wanted: np.ndarray | None) -> np.ndarray:
        if wanted is None:
            return np.ones(len(here), bool)
        return (wanted != SKIP) | (here & (not self.strict))

    def _count(self, layer: int, numbers: np.ndarray, here: np.ndarray, taken: np.ndarray, lows: np.ndarray) -> None:
        counts, whole = self.counts, slice(layer * self._experts, (layer + 1) * self._experts)
        counts.uses[layer] += len(numbers)
        counts.hits[layer] += np.count_nonzero(here)
        counts.skipped[layer] += len(numbers) - np.count_nonzero(taken)
        counts.fulfilled[layer] += np.count_nonzero(self._expected[numbers])
        needed = taken & (~here | self._ahead[numbers])
        low = needed & np.where(here, self.store.low[numbers], lows)
        counts.needed_low[layer] += np.count_nonzero(low)
        counts.needed[layer] += np.count_nonzero(needed & ~low)
        self._ahead[numbers] = False
        counts.wasted[layer] += np.count_nonzero(self._ahead[whole])
        self._expected[whole] = self._ahead[whole] = False

    def expect(
        self, layer: int, experts: np.ndarray, most: int, borrow: bool = False, wanted: np.ndarray | None = None
    ) -> int:
        """A layer will use these, the likeliest first: reads `most` of those that are not there; how many it asked for.
        Never at the cost of what the present layer uses, or of what is expected already; beyond the layer's own share
        only if it may borrow, as for a prompt that uses nearly all experts of every layer. `wanted`: as of `use`."""
        numbers = (layer * self._experts + experts).astype(np.int32)
        lows = np.zeros(len(numbers), bool)
        if wanted is not None:
            numbers, lows = numbers[wanted != SKIP], (wanted == LOW)[wanted != SKIP]
        held = self.held[numbers]
        self._expected[numbers[held]] = True
        there = held & ~((self.store.state[numbers] == RESIDENT) & self._other(numbers, lows))
        if most < 1 or there.all():
            return 0
        victims = self._victims(layer, numbers, borrow)
        asked = 0
        for number, low in zip(numbers[~there][:most].tolist(), lows[~there][:most].tolist(), strict=True):
            if self.held[number]:
                self._again(number, low, urgent=False)
            elif not self._load(layer, number, victims, urgent=False, borrow=borrow, low=low):
                break
            self._expected[number] = self._ahead[number] = True
            asked += 1
        self.counts.expected[layer] += asked
        return asked

    def _other(self, numbers: np.ndarray, lows: np.ndarray) -> np.ndarray:
        """Which of these would have to be read again, if they are resident, to be of this precision."""
        low = self.store.low[numbers]
        return low != lows if self.strict else low & ~lows

    def improve(self) -> bool:
        """Has a stand-in that was used again and again read in full, if nothing else is being read; whether it has."""
        if self.strict or self.on_their_way:
            return False
        hot = (self.store.state == RESIDENT) & self.store.low & (self._served >= _HOT)
        hot[self._present] = False
        if not hot.any():
            return False
        self._again(int(np.argmax(np.where(hot, self._served, 0))), low=False, urgent=False)
        return True

    def resize(self, budget: Bytes) -> None:
        """Takes memory back, or gives more, between two forwards. Raises EngineError where that is too small, or
        the disk hangs; the budget is then as it was."""
        quotas, least = self._share_out(budget)
        self._expected[:] = False
        self._present = np.zeros(0, np.int32)
        self._settle()
        self.quotas, self._floors = quotas, least
        self._slots.budget = budget
        self._slots.shrink(budget)
        most = sum(self.quotas)
        worth = self.policy.worth(0).ravel()
        for number in sorted(np.flatnonzero(self.held).tolist(), key=lambda number: worth[number]):
            if self._slots.used <= budget and np.count_nonzero(self.held) <= most:
                return
            self._drop(number)
            self._slots.shrink(budget)

    def drop(self, layer: int, expert: int) -> bool:
        """Evicts one expert if it is resident and not in use; whether it was. For tests of what eviction may not do."""
        number = layer * self._experts + expert
        if self.store.state[number] != RESIDENT or number in self._present:
            return False
        self._drop(number)
        return True

    def _share_out(self, budget: Bytes) -> tuple[tuple[int, ...], tuple[int, ...]]:
        quotas = share_out(self.store.rooms, self._experts, self._used, budget, self._most)
        if quotas is None:
            least = least_budget(self.store.rooms, self._used)
            if budget >= least:
                raise EngineError(
                    f"this system maps {self._most} experts at most, and a token uses more", "raise vm.max_map_count"
                )
            raise EngineError(f"{budget} hold no token's experts", f"give them {least} at least")
        return quotas, floors(quotas)

    def _ask(self, layer: int, missing: list[int], lows: list[bool]) -> list[int]:
        """Has these read, or hurried where they are on their way; which of them will be there."""
        victims = self._victims(layer, self._present, borrow=True)
        asked = []
        for number, low in zip(missing, lows, strict=True):
            if self.store.state[number] == FAILED:
                self._reap(number)
            if self.held[number]:
                self._finish(layer, number, low)
            elif not self._load(layer, number, victims, urgent=True, low=low):
                # What is only expected, some of it still on its way, has the room that is needed now.
                self._settle()
                self._expected[:] = False
                victims = self._victims(layer, self._present, borrow=True)
                if not self._load(layer, number, victims, urgent=True, low=low):
                    self.store.touch(number)
                    self._beside.append(number)
                    continue
            asked.append(number)
        self.counts.beside[layer] += len(self._beside)
        return asked

    def _wait(self, layer: int, asked: list[int]) -> None:
        start = time.perf_counter()
        try:
            self.store.wait(np.array(asked, np.int32))
        finally:
            self.counts.stall[layer] += time.perf_counter() - start
            for number in asked:
                if self.store.state[number] == FAILED:
                    self._reap(number)

    def _finish(self, layer: int, number: int, low: bool) -> None:
        """Hurries one that is on its way, or has it read again where it is, or will be, of another precision."""
        one = np.array([number], np.int32)
        other = bool(self._other(one, np.array([low]))[0])
        if self.store.state[number] != RESIDENT:
            self.counts.late[layer] += 1
            if self.store.state[number] == QUEUED:
                self.store.hurry(number)
            if other:
                self.store.wait(one)
        if other:
            self._again(number, low, urgent=True)

    def _again(self, number: int, low: bool, urgent: bool) -> None:
        """A resident expert in another precision, into the slot it has."""
        self._served[number] = 0
        self.store.load(number, int(self._slot[number]), -1, urgent, low)

    def _load(
        self, layer: int, number: int, victims: Iterator[int], urgent: bool, borrow: bool = True, low: bool = False
    ) -> bool:
        room = self.store.rooms[layer]
        more = self._number_held.sum() < sum(self.quotas)
        may = borrow or self._number_held[layer] < self.quotas[layer]
        slot = self._slots.take(room) if more and may else None
        victim = -1
        while slot is None:
            victim = next(victims, -1)
            if victim < 0:
                return False
            slot = self._hand_over(victim, room)
            if slot is None:  # it had another size
                victim = -1
                slot = self._slots.take(room)
        self.held[number], self._slot[number] = True, slot
        self._number_held[layer] += 1
        self._served[number] = 0
        self.store.load(number, slot, victim, urgent, low)
        return True

    def _hand_over(self, victim: int, room: int) -> int | None:
        """The slot of a victim that another expert is about to be read into; None, and the victim dropped, where it
        has not this size."""
        layer = victim // self._experts
        if self.store.rooms[layer] != room:
            self._drop(victim)
            return None
        slot = int(self._slot[victim])
        self.held[victim], self._slot[victim] = False, -1
        self._number_held[layer] -= 1
        self._left_unused(victim)
        return slot

    def _left_unused(self, number: int) -> None:
        self.counts.wasted[number // self._experts] += self._ahead[number]
        self._ahead[number] = False

    def _drop(self, number: int) -> None:
        self.store.evict(number)
        self._left_unused(number)
        self._release(number)

    def _reap(self, number: int) -> None:
        """A failed read leaves its slot."""
        self.store.state[number] = ABSENT
        self._release(number)

    def _release(self, number: int) -> None:
        layer = number // self._experts
        self._slots.give(int(self._slot[number]), self.store.rooms[layer])
        self.held[number], self._slot[number], self._expected[number] = False, -1, False
        self._number_held[layer] -= 1

    def _victims(self, layer: int, keep: np.ndarray, borrow: bool) -> Iterator[int]:
        """Who goes for an expert of this layer, least worth first: from layers that hold more than their share, if this
        one has less or may borrow; then from this layer; then from all others, if it may borrow, down to what is
        theirs in any case."""
        worth = self.policy.worth(self._layer)
        free = (self.store.state == RESIDENT) & ~self._expected
        free[keep] = False
        free[self._present] = False
        free = free.reshape(worth.shape)
        if borrow or self._number_held[layer] < self.quotas[layer]:
            for other in (self._number_held > np.array(self.quotas)).nonzero()[0].tolist():
                if other != layer:
                    yield from self._of_layer(other, worth, free, self.quotas[other])
        yield from self._of_layer(layer, worth, free, 0)
        if not borrow:
            return
        for other in np.argsort(-self._number_held, kind="stable").tolist():
            if other != layer:
                yield from self._of_layer(other, worth, free, self._floors[other])

    def _of_layer(self, layer: int, worth: np.ndarray, free: np.ndarray, least: int) -> Iterator[int]:
        """Of one layer, as long as it keeps so many."""
        candidates = np.flatnonzero(free[layer])
        for index in candidates[np.argsort(worth[layer, candidates], kind="stable")].tolist():
            if self._number_held[layer] <= least:
                return
            number = layer * self._experts + index
            if self.held[number] and self.store.state[number] == RESIDENT:
                yield number

    def _leave_beside(self) -> None:
        for number in self._beside:
            self.store.forget(number)
        self._beside = []

    def _settle(self) -> None:
        """Until nothing is being read; what fails is not there. Raises where the present layer wants it."""
        for number in np.flatnonzero(self.held & (self.store.state != RESIDENT)).tolist():
            try:
                self.store.wait(np.array([number], np.int32))
            except AccelError:
                failed = self.store.state[number] == FAILED
                if failed:
                    self._reap(number)
                if not failed or number in self._present:  # still on its way, or wanted now
                    raise
                # Whoever wants it will ask again, and hear of it.
