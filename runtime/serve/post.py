"""From other threads to an event loop."""

import asyncio
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from typing import Any


class Post:
    """`put` from any thread; the loop is woken once for all that came since it looked, since that takes a system call.
    Of one event loop."""

    def __init__(self) -> None:
        self._put: deque[tuple[Callable[[Any], object], Any]] = deque()
        self._woken = False

    def put(self, loop: asyncio.AbstractEventLoop, call: Callable[[Any], object], what: Any) -> None:
        """Has the loop call it, in the order in which it was put. Nothing happens where the loop has ended."""
        self._put.append((call, what))
        if not self._woken:
            self._woken = True
            with suppress(RuntimeError):
                loop.call_soon_threadsafe(self._deliver)

    def _deliver(self) -> None:
        self._woken = False  # before the look: what is put from now on wakes it again
        while self._put:
            call, what = self._put.popleft()
            call(what)
