"""Who is answered next: requests of many clients before the sequences of one worker. Pure.

Whoever waits for an answer goes before who asked for a batch; of the same kind, the client with the fewest requests
running; of those, whoever came first. So nobody can crowd out the others by asking more often. And nobody waits for
ever: after so many others a batch has its turn, whoever waits.
"""

import itertools
from collections import Counter
from dataclasses import dataclass, field

BATCH_EVERY = 8  # requests that go before a batch's, at most


@dataclass(frozen=True, slots=True)
class Limits:
    running: int  # requests at once
    waiting: int  # requests, of all clients
    a_client: int  # requests of one client, running and waiting


@dataclass(frozen=True, slots=True, eq=False)
class Place:
    """Of one request. `size`: how many sequences it takes."""

    client: str
    size: int
    batch: bool
    number: int = field(default_factory=itertools.count().__next__)


class Line:
    """See the module's docstring."""

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self.running: list[Place] = []
        self.waiting: list[Place] = []
        self._passed = 0  # that went before a batch's since one waits

    def join(self, client: str, size: int = 1, batch: bool = False) -> Place | None:
        """A place at the end of the line; None where the line or the client's share of it is full. Who asks for more
        sequences than there are gets all of them."""
        of_client = sum(place.client == client for place in (*self.running, *self.waiting))
        if of_client >= self.limits.a_client or len(self.waiting) >= self.limits.waiting:
            return None
        place = Place(client, min(size, self.limits.running), batch)
        self.waiting.append(place)
        return place

    def admitted(self) -> list[Place]:
        """Those whose turn has come: they run from now on. A request that needs more than is free holds up the rest,
        or it would wait for ever."""
        found: list[Place] = []
        free = self.limits.running - sum(place.size for place in self.running)
        while self.waiting and (place := self._next()).size <= free:
            self.waiting.remove(place)
            self.running.append(place)
            self._passed = self._passed + 1 if not place.batch and self._batch_waits() else 0
            free -= place.size
            found.append(place)
        return found

    def leave(self, place: Place) -> None:
        """It was answered, or does not want to be any more."""
        (self.running if place in self.running else self.waiting).remove(place)

    def turns_until(self) -> float:
        """How many answers' time passes until a new request's turn comes, about."""
        return (1 + len(self.waiting)) / max(1, self.limits.running)

    def _next(self) -> Place:
        busy = Counter(place.client for place in self.running)
        batch_first = self._passed >= BATCH_EVERY
        return min(self.waiting, key=lambda place: (place.batch != batch_first, busy[place.client], place.number))

    def _batch_waits(self) -> bool:
        return any(place.batch for place in self.waiting)
