"""Requests that are being answered, each under a number by which anybody may end it."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from ...errors import UsageError


@dataclass(slots=True, eq=False)
class Running:
    """One request. `cancel` ends its answers with their next step, whatever they do."""

    id: str
    client: str = ""
    model: str = ""
    batch: bool = False
    since: float = field(default_factory=time.monotonic)
    cancelled: bool = False
    _then: list[Callable[[], object]] = field(default_factory=list)

    def cancel(self) -> None:
        self.cancelled = True
        for call in list(self._then):
            call()

    @contextmanager
    def ending(self, call: Callable[[], object]) -> Iterator[None]:
        """`call` is called where the request is cancelled inside the block, or was before."""
        self._then.append(call)
        try:
            if self.cancelled:
                call()
            yield
        finally:
            self._then.remove(call)


class Requests:
    """By number."""

    def __init__(self) -> None:
        self._running: dict[str, Running] = {}

    def __len__(self) -> int:
        return len(self._running)

    def __iter__(self) -> Iterator[Running]:
        return iter(list(self._running.values()))

    @contextmanager
    def open(self, request: Running) -> Iterator[Running]:
        """Raises UsageError where one with the same number is being answered."""
        if request.id in self._running:
            raise UsageError(f"request {request.id} is being answered already", "give each another `x-request-id`")
        self._running[request.id] = request
        try:
            yield request
        finally:
            del self._running[request.id]

    def cancel(self, id: str) -> bool:
        """Whether there was such a request."""
        if found := self._running.get(id):
            found.cancel()
        return found is not None
