"""Which text a draft model has cached in which of its engine's sequences: what it shares with the text is not forwarded
again.

The cache may be ahead of the text, by what was guessed. A text that goes on otherwise cuts it down to what both have in
common; a text that is over leaves its cache to whoever begins alike, such as the next turn of the same conversation.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

from ..engines.base import Engine
from ..prefix import common_prefix


@dataclass(slots=True, eq=False)
class Seat:
    """One sequence of the draft model's engine."""

    sequence: int
    number: int | None = None  # of the text that has it
    tokens: list[int] = field(default_factory=list)  # committed: the text, and where a chain was drafted, beyond it
    nodes: list[tuple[int, int]] = field(default_factory=list)  # (token, parent): a tree below them, not committed
    text: int = 0  # length of the text when it was last drafted for
    guesses: list[tuple[int, float]] = field(default_factory=list)  # the chain that goes on from there, and how sure
    used: int = 0


class Seats:
    """Not for two threads. Every method may raise what the engine does."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._seats = [Seat(sequence) for sequence in range(engine.can.sequences)]
        self._clock = 1

    def take(self, number: int, tokens: Sequence[int], chain: bool = True) -> Seat | None:
        """The text's seat, which then holds only what begins the text, or for a chain what was guessed if it came true;
        None while others have all seats. It is the text's until `end_round`."""
        seat = self._find(number, tokens)
        if seat:
            if seat.number != number or len(tokens) < seat.text:
                seat.guesses, seat.text = [], 0
            seat.guesses = seat.guesses if chain else []
            seat.number, seat.used = number, self._clock
            self._follow(seat, tokens)
        return seat

    def end_round(self) -> None:
        """All seats may be taken from now on; those longest unused go first."""
        self._clock += 1

    def knows(self, number: int) -> bool:
        """Whether the text has a seat."""
        return any(seat.number == number for seat in self._seats)

    def make_room(self, positions: int) -> bool:
        """Empties seats that nobody took in this round until so many positions are free; whether they are."""
        held = sum(len(seat.tokens) + len(seat.nodes) for seat in self._seats)
        for seat in sorted(self._seats, key=lambda seat: seat.used):
            if held + positions <= self._engine.can.context:
                break
            if seat.used < self._clock:
                held -= len(seat.tokens) + len(seat.nodes)
                self._cut(seat, 0)
                seat.number = None
        return held + positions <= self._engine.can.context

    def free_branches(self) -> None:
        """Of trees that nobody asked to go on in this round."""
        for seat in self._seats:
            if seat.nodes and seat.used < self._clock:
                self._engine.commit(seat.sequence, ())
                seat.nodes = []

    def forget(self, number: int) -> None:
        """The text is over; what is cached of it may serve another one."""
        for seat in self._seats:
            if seat.number == number:
                seat.number = None

    def clear(self) -> None:
        """Trusts nothing that is cached."""
        for seat in self._seats:
            self._cut(seat, 0)
            seat.number = None

    def _find(self, number: int, tokens: Sequence[int]) -> Seat | None:
        if seat := next((seat for seat in self._seats if seat.number == number), None):
            return seat
        free = [seat for seat in self._seats if seat.number is None]
        if free:
            return max(free, key=lambda seat: (common_prefix(seat.tokens, tokens[: len(seat.tokens)]), -seat.used))
        others = [seat for seat in self._seats if seat.used < self._clock]
        return min(others, key=lambda seat: seat.used, default=None)

    def _follow(self, seat: Seat, tokens: Sequence[int]) -> None:
        """The last token, of the text or of what was guessed, is left to be forwarded: what follows it is not known."""
        if seat.nodes:
            path = self._path(seat, tokens)
            self._engine.commit(seat.sequence, path)
            seat.tokens += [seat.nodes[node][0] for node in path]
            seat.nodes = []
        came, guessed = list(tokens[seat.text :]), [token for token, _ in seat.guesses]
        if came == guessed[: len(came)] and len(came) < len(guessed):
            guesses = seat.guesses[len(came) :]
            self._cut(seat, min(len(seat.tokens), len(tokens) + len(guesses) - 1))
            seat.guesses = guesses
        else:
            common = min(seat.text, len(seat.tokens))  # of one number's text what was there stays
            common += common_prefix(seat.tokens[common:], list(tokens[common:]))
            self._cut(seat, min(common, len(tokens) - 1))
        seat.text = len(tokens)

    def _path(self, seat: Seat, tokens: Sequence[int]) -> list[int]:
        """The nodes that came true, but for the last token of the text."""
        path, above = list[int](), -1
        for token in tokens[len(seat.tokens) : -1]:
            above = next((node for node, (t, p) in enumerate(seat.nodes) if t == token and p == above), -2)
            if above < 0:
                break
            path.append(above)
        return path

    def _cut(self, seat: Seat, length: int) -> None:
        if length < len(seat.tokens) or seat.nodes:
            self._engine.truncate(seat.sequence, length)
            del seat.tokens[length:]
        seat.nodes, seat.guesses, seat.text = [], [], min(seat.text, length)
