"""The step loop: schedule -> forward -> sample, for all conversations that are being answered.

What a conversation gets depends on its own request alone. Where the engine's room does not suffice for all that run,
the one that came last steps back and is forwarded again later: that costs time and changes no token.
"""

import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np

from ..errors import AccelError, ContextFull, EngineError, UsageError
from .engines.base import Batch, Engine, Rows, Stop, Stopped
from .grammar import Grammars
from .messages import Event, Finished, Generate, Prefilled, Reason, Started, Text, Timings, Usage, failed
from .sampling import Sampler
from .schedule import next_rows, turned
from .sequences import Seat, Sequences
from .text import Chunk, TextStream, pieces


@dataclass(slots=True, eq=False)
class Ticket:
    """A request on its way. Only `cancel` may be called by another thread than the one that answers it."""

    request: Generate
    cancelled: bool = False
    stop: Stop | None = None  # of the forward that its prompt is in now
    arrived: float = field(default_factory=time.monotonic)

    def cancel(self) -> None:
        """Its answer ends after this step; a prompt that is being forwarded, in the middle of it."""
        self.cancelled = True
        stop = self.stop
        if stop is not None:
            stop.set()


class Stream:
    """One request being answered. `tokens` is all that its sequence will hold, `done` what it holds."""

    __slots__ = (
        "answered", "decoding", "done", "first_at", "forwarded", "most", "prompt", "reused", "sampler", "seat",
        "started_at", "text", "ticket", "tokens",
    )  # fmt: skip

    def __init__(self, ticket: Ticket, tokens: list[int], sampler: Sampler, text: TextStream, context: int) -> None:
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
        self.seat: Seat | None = None
        self.started_at = 0.0
        self.first_at = 0.0

    @property
    def id(self) -> int:
        return self.ticket.request.id

    @property
    def pending(self) -> int:
        return len(self.tokens) - self.done


class Generator:
    """Give it tickets with `add`, then call `step` as long as it returns True. `emit` gets what the front is told."""

    def __init__(self, engine: Engine, sequences: Sequences, emit: Callable[[Event], None]) -> None:
        self._engine = engine
        self._sequences = sequences
        self._emit = emit
        self._ends = engine.vocabulary.ends
        self._grammars = Grammars(engine.vocabulary)
        self._most_running = min(engine.can.sequences, engine.can.outputs, engine.can.rows)
        self._waiting: deque[Stream] = deque()
        self._running: list[Stream] = []
        self._crowded = False  # the engine had less room than it said: who stepped back waits until someone leaves
        self._rows = _RowBuffer(engine.can.rows)
        self.forwards = 0
        self.rows = 0
        self.generated = 0

    @property
    def running(self) -> int:
        return len(self._running)

    @property
    def waiting(self) -> int:
        return len(self._waiting)

    def encode(self, prompt: Sequence[str | Sequence[int]]) -> list[int]:
        """The tokens of a prompt. Raises UsageError where it has none, or names one that does not exist."""
        vocabulary = self._engine.vocabulary
        tokens: list[int] = []
        for part in prompt:
            if isinstance(part, str):
                tokens += vocabulary.encode(part, special=True, start=not tokens)
            else:
                tokens += part
        if not tokens:
            raise UsageError("the prompt is empty", "say something")
        if max(tokens) >= vocabulary.size:
            raise UsageError(f"the prompt holds a token beyond the model's {vocabulary.size}", "send it as text")
        return tokens

    def add(self, ticket: Ticket) -> None:
        """Raises UsageError, SettingError, GrammarError, or ContextFull for what can never be answered."""
        request = ticket.request
        tokens = self.encode(request.prompt)
        if len(tokens) > self._sequences.context:
            raise ContextFull(
                f"the prompt has {len(tokens)} tokens and the context holds {self._sequences.context}",
                "shorten it, or open the model with a larger context",
            )
        grammar = self._grammars.compile(request.grammar.kind, request.grammar.text) if request.grammar else None
        sampler = Sampler(request.law, self._engine.vocabulary.size, grammar)
        sampler.observe(tokens)
        text = TextStream(
            pieces(self._engine.vocabulary, request.thoughts), request.stops, request.thoughts, request.thinking
        )
        self._waiting.append(Stream(ticket, tokens, sampler, text, self._sequences.context))

    def step(self) -> bool:
        """One forward, and the tokens that follow from it; False where there is nothing to do."""
        self._end_cancelled()
        if self._waiting and not (self._crowded and self._running):
            self._admit()
        shares = next_rows(self._running, self._engine.can.rows)
        if not shares:
            return False
        rows = self._forward(shares)
        if rows is None:
            return True
        last = -1
        for stream, taken in shares:
            last += taken
            self._engine.commit(self._seat(stream).number, range(taken))
            stream.done += taken
            stream.forwarded += taken
            if not stream.decoding:
                self._tell_prefilled(stream)
            if stream.done == len(stream.tokens):
                self._choose(stream, rows.row(last))
        self._make_room()
        return True

    def _end_cancelled(self) -> None:
        for stream in [stream for stream in (*self._running, *self._waiting) if stream.ticket.cancelled]:
            self._finish(stream, "cancelled")

    def _admit(self) -> None:
        """Those that wait, in their order, as far as there is room; a conversation's requests one after another."""
        busy = {stream.ticket.request.conversation for stream in self._running}
        for stream in list(self._waiting):
            if len(self._running) == self._most_running:
                return
            conversation = stream.ticket.request.conversation
            if conversation in busy:
                continue
            found = self._sequences.take(conversation, stream.tokens)
            if not found:
                return
            busy.add(conversation)
            self._waiting.remove(stream)
            self._running.append(stream)
            stream.seat, stream.done = found
            if not stream.started_at:
                stream.started_at = time.monotonic()
                stream.reused = stream.done
                self._emit(Started(stream.id, stream.prompt, stream.reused))

    def _forward(self, shares: list[tuple[Stream, int]]) -> Rows | None:
        """None where it failed or was stopped: whose fault it was is out, the others try again."""
        stop = self._stop_of([stream.ticket for stream, _ in shares if not stream.decoding])
        if shares[-1][1] < shares[-1][0].pending:
            self._running = turned(self._running, shares)
        batch = self._rows.fill(shares)
        try:
            rows = self._engine.forward(batch, (), stop)
        except (Stopped, ContextFull) as error:
            for stream, _ in shares:
                stream.done = self._engine.length(self._seat(stream).number)
            if isinstance(error, ContextFull):
                self._squeeze(error)
            return None
        except EngineError as error:
            for stream, _ in shares:
                self._fail(stream, error)
            return None
        finally:
            if stop is not None:
                for stream, _ in shares:
                    stream.ticket.stop = None
        self.forwards += 1
        self.rows += len(batch)
        return rows

    def _stop_of(self, tickets: list[Ticket]) -> Stop | None:
        """What ends a forward when one of the prompts in it is cancelled. Decodes are short and go without."""
        if not tickets:
            return None
        stop = Stop()
        for ticket in tickets:
            ticket.stop = stop
            if ticket.cancelled:  # before it had this stop
                stop.set()
        return stop

    def _choose(self, stream: Stream, logits: np.ndarray) -> None:
        try:
            token = stream.sampler.choose(logits, len(stream.tokens))
            stream.sampler.accept(token)
        except AccelError as error:
            self._fail(stream, error)
            return
        if not stream.decoding:
            stream.decoding = True
            stream.first_at = stream.first_at or time.monotonic()
        if token in self._ends:
            self._finish(stream, "end")
            return
        stream.tokens.append(token)
        stream.answered += 1
        self.generated += 1
        self._sequences.promised += 1
        self._tell(stream, stream.text.push(token))
        if stream.text.stopped:
            self._finish(stream, "stop")
        elif stream.answered == stream.most:
            self._finish(stream, "length" if stream.most == stream.ticket.request.most else "context")

    def _tell(self, stream: Stream, chunks: list[Chunk]) -> None:
        for text, thought in chunks:
            self._emit(Text(stream.ticket.request.id, text, thought, stream.answered))

    def _tell_prefilled(self, stream: Stream) -> None:
        done = min(stream.done, stream.prompt)
        if not stream.answered:  # otherwise it had stepped back
            self._emit(Prefilled(stream.id, done - stream.reused, stream.prompt - stream.reused))

    def _make_room(self) -> None:
        """For the tokens just chosen: caches of others go, then the conversation that came last steps back."""
        sequences = self._sequences
        while sequences.promised + sequences.idle > sequences.context and not sequences.make_room():
            self._step_back(max(self._running, key=lambda stream: stream.ticket.arrived))

    def _squeeze(self, error: ContextFull) -> None:
        """The engine found no room where there should be some: less is asked for, until it is one alone."""
        if self._sequences.make_any_room():
            return
        if len(self._running) > 1:
            self._crowded = True
            self._step_back(max(self._running, key=lambda stream: stream.ticket.arrived))
        elif (stream := self._running[0]).answered:
            self._finish(stream, "context")
        else:
            self._fail(stream, error)

    def _step_back(self, stream: Stream) -> None:
        self._running.remove(stream)
        self._sequences.drop(self._seat(stream), len(stream.tokens))
        stream.seat, stream.done, stream.decoding = None, 0, False
        self._waiting.appendleft(stream)

    def _finish(self, stream: Stream, reason: Reason) -> None:
        self._tell(stream, stream.text.finish())
        self._leave(stream)
        now = time.monotonic()
        started, first = stream.started_at or now, stream.first_at or now
        self._emit(
            Finished(
                stream.id,
                reason,
                tuple(stream.tokens[stream.prompt :]),
                Usage(stream.prompt, stream.reused, stream.forwarded, stream.answered),
                Timings(started - stream.ticket.arrived, first - started, now - first),
            )
        )

    def _fail(self, stream: Stream, error: AccelError) -> None:
        """Nothing of its cache is trusted any more."""
        self._crowded = False
        if stream.seat:
            self._running.remove(stream)
            self._sequences.drop(stream.seat, len(stream.tokens))
        self._emit(failed(stream.id, error))

    def _leave(self, stream: Stream) -> None:
        self._crowded = False
        if stream.seat:
            self._running.remove(stream)
            self._sequences.release(stream.seat, stream.tokens[: stream.done], len(stream.tokens))
        else:
            self._waiting.remove(stream)

    def _seat(self, stream: Stream) -> Seat:
        if not stream.seat:
            raise EngineError(f"request {stream.id} is forwarded without a sequence")
        return stream.seat


class _RowBuffer:
    """The arrays of every batch, made once."""

    def __init__(self, rows: int) -> None:
        self._tokens = np.zeros(rows, np.int32)
        self._sequences = np.zeros(rows, np.int32)
        self._parents = np.zeros(rows, np.int32)
        self._wants = np.zeros(rows, np.int32)
        self._chain = np.arange(-1, rows - 1, dtype=np.int32)

    def fill(self, shares: list[tuple[Stream, int]]) -> Batch:
        """A chain for every stream; logits where its last pending row is among them."""
        at = 0
        for stream, taken in shares:
            number = stream.seat.number if stream.seat else 0
            if taken == 1:
                self._tokens[at] = stream.tokens[stream.done]
                self._parents[at] = -1
                self._sequences[at] = number
            else:
                end = at + taken
                self._tokens[at:end] = stream.tokens[stream.done : stream.done + taken]
                self._parents[at:end] = self._chain[:taken]
                self._sequences[at:end] = number
                self._wants[at:end] = 0
            at += taken
            self._wants[at - 1] = stream.done + taken == len(stream.tokens)
        return Batch(self._tokens[:at], self._sequences[:at], self._parents[:at], self._wants[:at])
