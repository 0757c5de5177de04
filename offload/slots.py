"""Places in memory that hold an expert each, within a budget. Pure bookkeeping: offsets and sizes."""

from collections import Counter
from collections.abc import Callable, Sequence

from ..units import Bytes


class Slots:
    """A slot has the size (room) of an expert of some layer. One that was filled once takes memory until it is given
    back, whoever holds it; those never filled take none."""

    def __init__(
        self, rooms: Sequence[int], experts: int, budget: Bytes, give_back: Callable[[int, int], None]
    ) -> None:
        """`rooms`: of every layer; `give_back(offset, room)` returns a slot's memory to the system."""
        self.budget = budget
        self.used = 0  # bytes of slots that were filled
        self._give_back = give_back
        self._idle: dict[int, list[int]] = {}  # by room: filled and held by nobody
        self._empty: dict[int, list[int]] = {}  # by room: without memory
        start = 0
        for room, layers in sorted(Counter(rooms).items()):
            end = start + room * layers * experts
            self._empty[room] = list(range(start, end, room))[::-1]
            self._idle[room] = []
            start = end

    def take(self, room: int) -> int | None:
        """The offset of a slot of this size, or None where the budget has no room for another."""
        if self._idle[room]:
            return self._idle[room].pop()
        if self.used + room > self.budget:
            self.shrink(Bytes(max(0, self.budget - room)))
        if self.used + room > self.budget or not self._empty[room]:
            return None
        self.used += room
        return self._empty[room].pop()

    def give(self, slot: int, room: int) -> None:
        """Nobody holds it any more; its memory stays for the next one."""
        self._idle[room].append(slot)

    def shrink(self, most: Bytes) -> None:
        """Gives memory of slots that nobody holds back, until no more than this is used, or none is left."""
        for room, slots in self._idle.items():
            while slots and self.used > most:
                slot = slots.pop()
                self._give_back(slot, room)
                self._empty[room].append(slot)
                self.used -= room
