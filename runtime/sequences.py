"""Which conversation is cached in which of an engine's sequences: what is there is not forwarded again.

A conversation that runs holds its sequence and promises positions; the others keep their cache until somebody needs
the sequence or the room, those used longest ago first.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from ..devices.files import open_atomic
from ..errors import ContextFull, StateError, UsageError
from .engines.base import Engine
from .engines.state import read_state, write_state

_TOKENS = "tokens of a conversation"  # who made the first of the two blocks in a saved file


@dataclass(slots=True, eq=False)
class Seat:
    """One sequence of the engine, and what is committed in it."""

    number: int
    conversation: str = ""
    tokens: list[int] = field(default_factory=list)
    taken: bool = False


class Sequences:
    """See the module's docstring. Not for two threads."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._seats = [Seat(number) for number in range(engine.can.sequences)]  # used longest ago first
        self.context = engine.can.context
        self.promised = 0  # positions of conversations that run, forwarded or not
        self.idle = 0  # positions of the others

    @property
    def positions(self) -> int:
        """Cached in all sequences."""
        return sum(self._engine.length(seat.number) for seat in self._seats)

    def take(self, conversation: str, tokens: Sequence[int]) -> tuple[Seat, int] | None:
        """A sequence for a conversation that is to run with these tokens, and how many of them it holds already; at
        least one is left to be forwarded. None while there is no sequence, or no room, or it runs already."""
        if self.promised + len(tokens) > self.context:
            return None
        seat = self._find(conversation) or self._spare()
        if not seat or seat.taken:
            return None
        if seat.conversation != conversation:
            self._clear(seat)
            seat.conversation = conversation
        self.idle -= len(seat.tokens)
        reused = self._keep(seat, tokens)
        seat.tokens, seat.taken = [], True
        self.promised += len(tokens)
        self.make_room()
        return seat, reused

    def release(self, seat: Seat, tokens: list[int], promised: int) -> None:
        """The conversation runs no more; `tokens` are what is committed, `promised` the positions it held."""
        self.promised -= promised
        seat.taken = False
        seat.tokens = tokens
        self.idle += len(tokens)
        self._seats.remove(seat)
        self._seats.append(seat)

    def drop(self, seat: Seat, promised: int) -> None:
        """Release it with nothing kept."""
        self._engine.truncate(seat.number, 0)
        self.release(seat, [], promised)
        seat.conversation = ""

    def make_room(self) -> bool:
        """Let caches of others go until all that is promised fits; whether it does."""
        for seat in self._seats:
            if self.promised + self.idle <= self.context:
                return True
            if not seat.taken:
                self._clear(seat)
        return self.promised + self.idle <= self.context

    def make_any_room(self) -> bool:
        """Let one more cache go; whether there was one."""
        seat = next((seat for seat in self._seats if not seat.taken and seat.tokens), None)
        if seat:
            self._clear(seat)
        return seat is not None

    def forget(self, conversation: str) -> None:
        """Raises UsageError while it runs."""
        if seat := self._resting(conversation):
            self._clear(seat)

    def forget_all(self) -> None:
        """But those that run."""
        while self.make_any_room():
            pass

    def save(self, conversation: str, path: Path) -> tuple[int, int]:
        """(positions, bytes) written. Raises UsageError where nothing is cached or it runs, DiskFull, AccelError."""
        seat = self._resting(conversation)
        if not seat or not seat.tokens:
            raise UsageError(f"nothing is cached of the conversation '{conversation}'")
        with open_atomic(path) as sink:
            payload = memoryview(np.array(seat.tokens, np.int32).tobytes())
            write_state(sink, _TOKENS, len(seat.tokens), payload)
            self._engine.save(seat.number, sink)
            return len(seat.tokens), sink.tell()

    def load(self, conversation: str, path: Path) -> int:
        """Positions loaded. Raises UsageError while it runs, StateError, ContextFull; nothing is cached of it then."""
        seat = self._resting(conversation) or self._spare()
        if not seat:
            raise ContextFull("every sequence is in use", "wait until an answer has ended")
        self._clear(seat)
        try:
            with path.open("rb") as source:
                count, payload = read_state(source, _TOKENS, self.context, 4 * self.context)
                if self.promised + count > self.context:
                    raise ContextFull(f"no room for the {count} positions of {path}", "wait until an answer has ended")
                self.promised += count
                self.make_room()
                self.promised -= count
                self._engine.load(seat.number, source)
        except OSError as error:
            raise StateError(f"cannot read {path}: {error.strerror}", "prefill the conversation again") from error
        tokens = np.frombuffer(payload, np.int32)
        known = len(payload) == 4 * count and bool(((tokens >= 0) & (tokens < self._engine.vocabulary.size)).all())
        if not known or self._engine.length(seat.number) != count:
            self._engine.truncate(seat.number, 0)
            raise StateError(f"the tokens and the cache in {path} do not belong together", "prefill it again")
        seat.conversation, seat.tokens = conversation, tokens.tolist()
        self.idle += count
        return count

    def _find(self, conversation: str) -> Seat | None:
        return next((seat for seat in self._seats if seat.conversation == conversation), None)

    def _resting(self, conversation: str) -> Seat | None:
        seat = self._find(conversation)
        if seat and seat.taken:
            raise UsageError(f"the conversation '{conversation}' is being answered", "wait, or cancel the answer")
        return seat

    def _spare(self) -> Seat | None:
        """An empty sequence, or the one used longest ago."""
        free = [seat for seat in self._seats if not seat.taken]
        return next((seat for seat in free if not seat.tokens), free[0] if free else None)

    def _keep(self, seat: Seat, tokens: Sequence[int]) -> int:
        """Cut a sequence down to what it has in common with `tokens`."""
        common = common_prefix(seat.tokens, tokens[:-1])
        if common < len(seat.tokens):
            common = common if self._engine.can.rollback else 0
            self._engine.truncate(seat.number, common)
        return common

    def _clear(self, seat: Seat) -> None:
        self._engine.truncate(seat.number, 0)
        self.idle -= len(seat.tokens)
        seat.conversation, seat.tokens = "", []


def common_prefix(one: Sequence[int], other: Sequence[int]) -> int:
    """How many tokens two sequences begin with in common."""
    same, end = 0, min(len(one), len(other))
    if one[:end] == other[:end]:
        return end
    while end - same > 1:  # they are the same until `same`, and not until `end`
        middle = (same + end) // 2
        if one[same:middle] == other[same:middle]:
            same = middle
        else:
            end = middle
    return same
