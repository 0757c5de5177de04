"""Waiting for one's turn: `line.py`'s policy for asyncio."""

import asyncio
import math
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from ...errors import Busy, Cancelled
from .line import Limits, Line, Place
from .running import Running

_MEMORY = 0.8  # of how long an answer takes, when another has ended
_USUAL = 5.0  # seconds of an answer, until one was seen
_LONGEST = 600  # seconds that a client is told to wait at most


class Turns:
    """For one worker's requests; of one event loop."""

    def __init__(self, limits: Limits) -> None:
        self.line = Line(limits)
        self._called: dict[Place, asyncio.Future[None]] = {}
        self._seconds = _USUAL

    @asynccontextmanager
    async def turn(self, running: Running, size: int = 1) -> AsyncIterator[None]:
        """Entered when the request's turn has come, for so many sequences. Raises Busy where too many wait already,
        Cancelled where it is cancelled before."""
        place = self.line.join(running.client, size, running.batch)
        if place is None:
            raise Busy("too many requests wait already", "ask again later", self.retry_after)
        called = self._called[place] = asyncio.get_running_loop().create_future()
        try:
            self._call()
            with running.ending(lambda: called.done() or called.set_exception(Cancelled("the request was cancelled"))):
                await called
            began = asyncio.get_running_loop().time()
            yield
            took = asyncio.get_running_loop().time() - began
            self._seconds = _MEMORY * self._seconds + (1 - _MEMORY) * took
        finally:
            del self._called[place]
            self.line.leave(place)
            self._call()

    @property
    def retry_after(self) -> int:
        """Seconds until a new request's turn should come."""
        return min(_LONGEST, max(1, math.ceil(self.line.turns_until() * self._seconds)))

    def _call(self) -> None:
        for place in self.line.admitted():
            if not self._called[place].done():
                self._called[place].set_result(None)
