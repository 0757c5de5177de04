"""One request on its way through the generator."""

import time
from collections import deque
from dataclasses import dataclass, field

from .engines.base import Stop
from .messages import Event, Generate, Text
from .sampling import Sampler
from .sequences import Seat
from .text import TextStream


@dataclass(slots=True, eq=False)
class Ticket:
    """A request and whether it is still wanted. Any thread may call `cancel`; the rest is the generator's."""

    request: Generate
    cancelled: bool = False
    stop: Stop | None = None  # of the forward that its prompt is in now
    arrived: float = field(default_factory=time.monotonic)

    def cancel(self) -> None:
        """A prompt that is being forwarded ends in the middle of it; what else it takes, `Generator.end_cancelled`
        does."""
        self.cancelled = True
        stop = self.stop
        if stop is not None:
            stop.set()


class Stream:
    """One request being answered. `tokens` is all that its sequence will hold, `done` how many of them it holds."""

    __slots__ = (
        "answered", "decoding", "done", "first_at", "forwarded", "id", "most", "prompt", "reused", "said", "sampler",
        "seat", "speaks", "started_at", "text", "ticket", "tokens", "told_at", "unsaid",
    )  # fmt: skip

    def __init__(self, ticket: Ticket, tokens: list[int], sampler: Sampler, text: TextStream, context: int) -> None:
        self.id = ticket.request.id
        self.ticket = ticket
        self.tokens = tokens
        self.prompt = len(tokens)
        self.done = 0
        self.decoding = False
        self.answered = 0  # tokens chosen, the one that ends the turn not counted
        self.reused = 0
        self.forwarded = 0
        self.most = min(ticket.request.most or context + 1, context + 1 - len(tokens))
        self.sampler = sampler
        self.text = text
        self.unsaid: deque[int] = deque()  # tokens of the answer that `text` has not seen
        self.said = 0  # how many it has
        self.speaks = False  # whether somebody is about to call `speak`
        self.seat: Seat | None = None
        self.started_at = 0.0
        self.first_at = 0.0
        self.told_at = 0.0  # when it was last said how far its prompt is

    @property
    def pending(self) -> int:
        return len(self.tokens) - self.done

    @property
    def number(self) -> int:
        """Of its sequence; -1 where it has none."""
        return self.seat.number if self.seat else -1

    def speak(self) -> list[Event]:
        """What the tokens chosen since the last time add to the answer's text."""
        self.speaks = False  # before the look: what is chosen from now on is for the next time
        tokens = [self.unsaid.popleft() for _ in range(len(self.unsaid))]
        self.said += len(tokens)
        return [Text(self.id, text, thought, self.said) for text, thought in self.text.push(*tokens)]

    def fall_silent(self) -> list[Event]:
        """The rest of its text, and what it held back."""
        rest = self.speak()
        return rest + [Text(self.id, text, thought, self.said) for text, thought in self.text.finish()]
