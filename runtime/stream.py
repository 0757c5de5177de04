"""One request on its way through the generator."""

import time
from dataclasses import dataclass, field
from threading import Lock

import msgspec

from .engines.base import Chosen, Stop
from .messages import Chance, Event, Finished, Generate, Reason, Text, Timings, Usage
from .sampling import Sampler
from .sequences import Seat
from .text import Chunk, Given, TextStream


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
        "_chunks", "_finished", "_given", "_reading", "_thought", "_untold", "answered", "chances", "decoding", "done",
        "ends", "first_at", "forwarded", "id", "last", "most", "over", "passed", "prompt", "reused", "running", "said",
        "sampler", "seat", "speaks", "started_at", "text", "ticket", "tokens", "told_at",
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
        self.chances: list[Chance] = []  # of the answer's tokens, from the one on that is the first untold
        self._untold = 0  # number of that token in the answer
        self.said = 0  # how many tokens of the answer `text` has seen
        self.speaks = False  # whether somebody is about to call `speak`
        self.over = False  # whether nothing will follow
        self._finished = False
        self._reading = Lock()  # what follows, and `text`
        self._chunks: list[Chunk] = []  # that are not said yet
        self._given: list[Given] = []  # of them
        self._thought = 0  # tokens
        self.seat: Seat | None = None
        self.started_at = 0.0
        self.first_at = 0.0
        self.passed = 0  # rows of others' prompts that were put before its own
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
        with self._reading:
            self._read()
            chunks, self._chunks = self._chunks, []
            given, self._given = self._given, []
            told = self._chances_of(given) if self.tells_chances else {}
            return [Text(self.id, text, kind, self.said, tuple(told.pop(kind, ()))) for text, kind in chunks]

    def finished(self, reason: Reason) -> Finished:
        now = time.monotonic()
        with self._reading:
            self._read()  # whoever is to say the last of it may not have looked yet
        started, first = self.started_at or now, self.first_at or now
        return Finished(
            self.id,
            reason,
            tuple(self.tokens[self.prompt :]),
            Usage(self.prompt, self.reused, self.forwarded, self.answered, self._thought),
            Timings(started - self.ticket.arrived, first - started, now - first),
            self.text.stop,
        )

    def _read(self) -> None:
        """Turns into text what was chosen since the last time."""
        over = self.over
        tokens = self._unsaid()
        self.said += len(tokens)
        self._chunks += self.text.push(*tokens)
        if over and not self._finished:
            self._finished = True
            self._chunks += self.text.finish()
        given = self.text.given()
        self._thought += sum(each.thought for each in given)
        self._given += given if self.tells_chances else ()

    def _chances_of(self, given: list[Given]) -> dict[bool, list[Chance]]:
        """Of the tokens of thoughts, and of the answer. What was chosen and is not given will not be told."""
        chances = tuple(self.chances)  # the thread that computes may add some meanwhile
        told: dict[bool, list[Chance]] = {}
        for token, thought, length in given:
            chance = msgspec.structs.replace(chances[token - self._untold], length=length)
            told.setdefault(thought, []).append(chance)
        if given:
            over = given[-1].token + 1 - self._untold
            del self.chances[:over]
            self._untold += over
        return told

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
