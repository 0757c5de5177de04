"""What is cached in which of an engine's sequences: what is there is not forwarded again.

A text that runs holds its sequence and promises positions; the others keep their cache until somebody needs the
sequence or the room, those used longest ago first. A conversation has a sequence of its own; a text of nobody's goes on
with whatever begins as it does, and shares what it has in common with any other, also with one that runs. What has to
go may be put away, and comes back when a prompt begins with it.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from ..devices.files import open_atomic
from ..errors import ContextFull, StateError, UsageError
from .engines.base import Engine
from .engines.state import read_state, write_state
from .prefix import common_prefix
from .prompt_cache import PromptCache

_TOKENS = "tokens of a conversation"  # who made the first of the two blocks in a saved file
_WORTH_LOADING = 64  # positions more than any sequence has


@dataclass(slots=True, eq=False)
class Seat:
    """One sequence of the engine. `tokens`: what is committed in it; while it is taken, the text's own list, of which
    a part is."""

    number: int
    conversation: str | None = None
    tokens: list[int] = field(default_factory=list)
    taken: bool = False


class Sequences:
    """See the module's docstring. Not for two threads."""

    def __init__(self, engine: Engine, away: PromptCache | None = None) -> None:
        """`away`: where caches are put that have to go."""
        self._engine = engine
        self._away = away
        self._seats = [Seat(number) for number in range(engine.can.sequences)]  # used longest ago first
        self.context = engine.can.context
        self.promised = 0  # positions of texts that run, forwarded or not
        self.idle = 0  # positions of the others

    @property
    def positions(self) -> int:
        """Cached in all sequences."""
        return sum(self._engine.length(seat.number) for seat in self._seats)

    def take(self, conversation: str | None, tokens: list[int]) -> tuple[Seat, int] | None:
        """A sequence for a text that is to run with these tokens, and how many of them it holds already; at least one
        is left to be forwarded. None while there is no sequence, or no room, or its conversation runs already."""
        if self.promised + len(tokens) > self.context:
            return None
        source, common = self._closest(tokens)
        seat = self._find(conversation) or self._spare(source, common, conversation)
        if not seat or seat.taken:
            return None
        kept = self._common(seat, tokens)
        if source is None or common <= kept:
            source = seat
        if 2 * kept < len(seat.tokens) and (conversation is None or seat.conversation != conversation):
            self._put_away(seat)
        self.idle -= len(seat.tokens)
        self.promised += len(tokens)
        if source is seat:
            self._cut(seat, kept)
        else:
            self._engine.fork(source.number, seat.number, common)
        seat.conversation, seat.tokens, seat.taken = conversation, tokens, True
        self._set_idle_aside()
        self.make_room()
        return seat, self._brought_back(seat, max(kept, common))

    def shared(self, tokens: Sequence[int]) -> int:
        """How many of a prompt's tokens some sequence holds that it could go on with."""
        return self._closest(tokens)[1]

    def lend(self, positions: int) -> Seat | None:
        """An empty sequence for so many positions, until it is dropped; None while there is none, or no room."""
        seat = self._free()
        if not seat or self.promised + positions > self.context:
            return None
        self._put_away(seat)
        self._clear(seat)
        seat.taken = True
        self.promised += positions
        self.make_room()
        return seat

    def release(self, seat: Seat, tokens: list[int], promised: int) -> None:
        """The text runs no more; `tokens` are what is committed, `promised` the positions it held."""
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
        seat.conversation = None

    def make_room(self) -> bool:
        """Let caches of others go until all that is promised fits; whether it does."""
        for seat in self._seats:
            if self.promised + self.idle <= self.context:
                return True
            if not seat.taken:
                self._put_away(seat)
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

    def put_all_away(self) -> None:
        """Of those that do not run: the process is about to end."""
        for seat in self._seats:
            if not seat.taken:
                self._put_away(seat)

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
        seat = self._resting(conversation) or self._free()
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

    def _find(self, conversation: str | None) -> Seat | None:
        if conversation is None:
            return None
        return next((seat for seat in self._seats if seat.conversation == conversation), None)

    def _resting(self, conversation: str) -> Seat | None:
        seat = self._find(conversation)
        if seat and seat.taken:
            raise UsageError(f"the conversation '{conversation}' is being answered", "wait, or cancel the answer")
        return seat

    def _closest(self, tokens: Sequence[int]) -> tuple[Seat | None, int]:
        """Who has most of a prompt, and how much; those that run, too."""
        best: Seat | None = None
        most = 0
        for seat in self._seats:
            if seat.tokens and (common := self._common(seat, tokens)) > most:
                best, most = seat, common
        return best, most

    def _common(self, seat: Seat, tokens: Sequence[int]) -> int:
        """How much of a prompt that can be gone on with: a state that cannot be taken back is all or nothing."""
        held = self._engine.length(seat.number)
        common = min(common_prefix(seat.tokens, tokens), held, len(tokens) - 1)
        return common if common == held or self._engine.can.rollback else 0

    def _spare(self, source: Seat | None, common: int, conversation: str | None) -> Seat | None:
        """A sequence for a text that has none: one of nobody's that it only prolongs, or an empty one, or that used
        longest ago; what it could share with is the last to go."""
        if source and not source.taken and source.conversation is None is conversation and common == len(source.tokens):
            return source
        return self._free(source)

    def _free(self, but: Seat | None = None) -> Seat | None:
        """An empty sequence, or the one used longest ago."""
        free = [seat for seat in self._seats if not seat.taken]
        order = sorted(free, key=lambda seat: (bool(seat.tokens), seat is but))
        return order[0] if order else None

    def _cut(self, seat: Seat, length: int) -> None:
        if length < len(seat.tokens):
            self._engine.truncate(seat.number, length)

    def _clear(self, seat: Seat) -> None:
        self._engine.truncate(seat.number, 0)
        self.idle -= len(seat.tokens)
        seat.conversation, seat.tokens = None, []

    def _set_idle_aside(self) -> None:
        """What no text is at goes to memory, if there is some for it: a forward passes over all positions in use, and
        each of those costs whoever runs a part of every token."""
        if self._away is None or not self._away.in_memory:
            return
        for seat in self._seats:
            if not seat.taken and seat.tokens and self._away.put(seat.number, seat.tokens):
                self._clear(seat)

    def _put_away(self, seat: Seat) -> None:
        if self._away is not None and seat.tokens:
            self._away.put(seat.number, seat.tokens)

    def _brought_back(self, seat: Seat, held: int) -> int:
        """How much of its text a sequence holds, once what was put away is taken into account."""
        if self._away is None:
            return held
        room = self.context - self.promised - self.idle + len(seat.tokens)
        found = self._away.closest(seat.tokens, room)
        if not found or found.common < held + _WORTH_LOADING:
            return held
        if not self._away.load(found.entry, seat.number):
            return self._engine.length(seat.number)
        common = min(found.common, len(seat.tokens) - 1)
        self._engine.truncate(seat.number, common)
        return common
