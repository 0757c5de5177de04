"""One request on its way through the generator."""

import time
from dataclasses import dataclass, field

from .engines.base import Chosen, Stop
from .messages import Chance, Event, Finished, Generate, Reason, Text, Timings, Usage
from .sampling import Sampler
from .sequences import Seat
from .text import Chunk, TextStream


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
        "_finished", "answered", "chances", "decoding", "done", "ends", "first_at", "forwarded", "id", "last", "most",
        "over", "prompt", "reused", "running", "said", "sampler", "seat", "speaks", "started_at", "text", "ticket",
        "tokens", "told_at",
    )  # fmt: skip

    def __init__(
        self,
        ticket: Ticket,
        tokens: list[int],
        sampler: Sampler,
        text: TextStream,
        context: int,
        ends: frozenset[int],
    ) -> None:
        self.id = ticket.request.id
        self.ticket = ticket
        self.tokens = tokens
        self.prompt = len(tokens)
        self.done = 0
        self.decoding = False
        self.last = -1  # token that was chosen
        self.answered = 0  # tokens chosen, the one that ends the turn not counted
        self.reused = 0
        self.forwarded = 0
        self.most = min(ticket.request.most or context + 1, context + 1 - len(tokens))
        self.sampler = sampler
        self.text = text
        self.ends = ends
        self.running: tuple[int, Chosen] | None = None  # answered before a `decode` that runs, and what that chooses
        self.chances: list[Chance] = []  # of tokens whose text is not said yet
        self.said = 0  # how many tokens of the answer `text` has seen
        self.speaks = False  # whether somebody is about to call `speak`
        self.over = False  # whether nothing will follow
        self._finished = False
        self.seat: Seat | None = None
        self.started_at = 0.0
        self.first_at = 0.0
        self.told_at = 0.0  # when it was last said how far its prompt is

    @property
    def pending(self) -> int:
        return len(self.tokens) - self.done

    @property
    def tells_chances(self) -> bool:
        return self.ticket.request.chances is not None

    @property
    def number(self) -> int:
        """Of its sequence; -1 where it has none."""
        return self.seat.number if self.seat else -1

    @property
    def goes_on(self) -> bool:
        """Whether there will be more to say without another word from the generator."""
        return self.running is not None

    def speak(self) -> list[Event]:
        """What the tokens chosen since the last time add to the answer's text; at its end, what was held back too."""
        self.speaks = False  # before the look: what is chosen from now on is for the next time
        over = self.over
        tokens = self._unsaid()
        self.said += len(tokens)
        chunks = self.text.push(*tokens)
        if over and not self._finished:
            self._finished = True
            chunks = [*chunks, *self.text.finish()]
        if self.chances and (chunks or over):
            chunks = chunks or [Chunk("")]
            chances = tuple(self.chances)
            del self.chances[: len(chances)]  # what was added meanwhile, by the thread that computes, stays
            first = Text(self.id, chunks[0].text, chunks[0].thought, self.said, chances)
            return [first, *(Text(self.id, text, thought, self.said) for text, thought in chunks[1:])]
        return [Text(self.id, text, thought, self.said) for text, thought in chunks]

    def finished(self, reason: Reason) -> Finished:
        now = time.monotonic()
        started, first = self.started_at or now, self.first_at or now
        return Finished(
            self.id,
            reason,
            tuple(self.tokens[self.prompt :]),
            Usage(self.prompt, self.reused, self.forwarded, self.answered),
            Timings(started - self.ticket.arrived, first - started, now - first),
            self.text.stop,
        )

    def _unsaid(self) -> list[int]:
        """Tokens of the answer that `text` has not seen, those of a `decode` that runs with them. It may end while we
        look: what it chose is then in `tokens` as well, and counts once."""
        running = self.running
        tokens = self.tokens[self.prompt + self.said :]
        if running:
            before, chosen = running
            fresh = chosen.tokens()[self.said + len(tokens) - before :]
            tokens += fresh[:-1] if fresh and fresh[-1] in self.ends else fresh
        return tokens
