"""The step loop: schedule -> forward -> sample, for all conversations that are being answered.

What a conversation gets depends on its own request alone. Where the engine's room does not suffice for all that run,
the one that came last steps back and is forwarded again later: that costs time and changes no token.
"""

import time
from collections.abc import Callable, Sequence

import numpy as np

from ..errors import AccelError, ContextFull, EngineError, UsageError
from .admission import Admission
from .chances import chance
from .drafting.conductor import Conductor, Turn
from .drafting.draft import Context, Draft, Verdict
from .drafting.verify import verify
from .engines.base import Chosen, Engine, Rows, Stop, Stopped
from .grammar import Grammars
from .messages import Prefilled, Reason, Started, failed
from .outbox import Saying
from .row_buffer import RowBuffer
from .sampling import Sampler
from .schedule import Pace
from .sequences import Sequences
from .stream import Stream, Ticket
from .text import TextStream, pieces

_LONGEST_TOKEN = 128  # characters, on the average of a whole prompt: far more than in any
_SHORTEN = "shorten it, or open the model with a larger context"
_PROGRESS = 0.2  # seconds between two words on how far a prompt is: each takes a core from those that compute


class Generator:
    """Give it tickets with `add`, then call `step` as long as it returns True.

    `emit` gets what the front is told: a message, or the stream that makes some, which another thread may ask while
    this one is in the next forward.
    """

    def __init__(
        self,
        engine: Engine,
        sequences: Sequences,
        emit: Callable[[Saying], None],
        drafting: Conductor | None = None,
    ) -> None:
        self._engine = engine
        self._sequences = sequences
        self._emit = emit
        self.drafting = drafting
        self._ends = engine.vocabulary.ends
        self._grammars = Grammars(engine.vocabulary)
        most = min(engine.can.sequences, engine.can.outputs, engine.can.rows)
        self._admission = Admission(sequences, most, engine.can.rollback, self._tell_started)
        self._pace = Pace(engine.can.rows)
        self._tight = False  # the engine had no room for drafts: nobody drafts until someone leaves
        self._buffer = RowBuffer(engine.can.rows)
        self._shares: list[tuple[Stream, int]] = []  # who has how many rows in the buffer
        self._steady = False  # whether they go on alike: all of them decode, and nobody came or went
        self.forwards = 0
        self.rows = 0
        self.generated = 0

    @property
    def running(self) -> int:
        return len(self._admission.running)

    @property
    def waiting(self) -> int:
        return len(self._admission.waiting)

    def encode(self, prompt: Sequence[str | Sequence[int]]) -> list[int]:
        """The tokens of a prompt. Raises UsageError where it has none, or names one that does not exist; ContextFull
        where it is so long that to count its tokens would only take time."""
        vocabulary = self._engine.vocabulary
        if (length := sum(map(len, prompt))) > _LONGEST_TOKEN * self._sequences.context:
            what = f"the prompt has {length} characters and the context holds {self._sequences.context} tokens"
            raise ContextFull(what, _SHORTEN)
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
                f"the prompt has {len(tokens)} tokens and the context holds {self._sequences.context}", _SHORTEN
            )
        grammar = self._grammars.compile(request.grammar.kind, request.grammar.text) if request.grammar else None
        sampler = Sampler(request.law, self._engine.vocabulary.size, grammar)
        sampler.observe(tokens)
        piece, shares = pieces(self._engine.vocabulary, request.thoughts), request.chances is not None
        text = TextStream(piece, request.stops, request.thoughts, request.thinking, shares)
        self._steady = False
        self._admission.add(Stream(ticket, tokens, sampler, text, self._sequences.context, self._ends))

    def step(self, look: Stop | None = None) -> bool:
        """One forward, and the tokens that follow from it; False where there is nothing to do.

        One sequence alone decodes many tokens in one step, until `look` is set: somebody else wants something."""
        look = Stop() if look is None else look
        drafting = self.drafting if self._steady and not self._tight else None
        turn = self._turn(drafting) if drafting and drafting.is_due(len(self._shares)) else None
        if drafting and turn and turn.drafts:
            self._draft(drafting, turn)
            return True
        if self._steady and self._decode(look, turn):
            return True
        if drafting and turn:
            self._draft(drafting, turn)  # nothing, and what was guessed is judged
            return True
        if self._steady:
            self._buffer.next_tokens(self._shares)
        elif not self._share():
            return False
        start = time.perf_counter()
        rows = self._forward()
        if rows is None:
            return True
        last = -1
        for stream, taken in self._shares:
            last += taken
            self._engine.commit(stream.number, range(taken))
            stream.done += taken
            stream.forwarded += taken
            if not stream.decoding:
                self._tell_prefilled(stream)
            if stream.done == len(stream.tokens):
                self._choose(stream, rows.row(last))
        if drafting:
            drafting.rested(len(self._shares), time.perf_counter() - start)
        self._make_room()
        return True

    def end_cancelled(self) -> None:
        """Ends those whose ticket was cancelled. To be called before the next step."""
        admission = self._admission
        for stream in [stream for stream in (*admission.running, *admission.waiting) if stream.ticket.cancelled]:
            self._finish(stream, "cancelled")

    def _share(self) -> bool:
        """Decides who gets rows of the next forward; whether anyone does."""
        shares = self._shares = self._admission.next_rows(self._pace)
        if not shares:
            return False
        self._buffer.fill(shares)
        self._steady = all(stream.decoding and stream.pending == 1 for stream, _ in shares)
        return True

    def _tell_started(self, stream: Stream) -> None:
        self._emit(Started(stream.id, stream.prompt, stream.reused))

    def _turn(self, drafting: Conductor) -> Turn:
        """What is guessed for those that decode, as far as there is room for it."""
        sequences, can, texts = self._sequences, self._engine.can, len(self._shares)
        room = sequences.context + can.candidates - sequences.promised - sequences.idle
        rows = min(can.rows, can.outputs, room + texts)
        limits = [
            0 if stream.tells_chances else max(0, min(rows // texts, stream.most - stream.answered) - 1)
            for stream, _ in self._shares
        ]
        return drafting.turn(self._contexts(), limits)

    def _contexts(self) -> list[Context]:
        return [Context(each.id, each.tokens, each.prompt, each.sampler) for each, _ in self._shares]

    def _draft(self, drafting: Conductor, turn: Turn) -> None:
        """One step of those that decode, with what was drafted for them."""
        start = time.perf_counter()
        drafts = [turn.draft(place) for place in range(len(self._shares))]
        self._buffer.fill_drafts([stream for stream, _ in self._shares], drafts)
        rows = self._forward(drafted=turn.drafts)
        if rows is None:
            return
        verdicts: list[Verdict] = []
        going: list[Stream] = []
        row = 0
        for (stream, _), draft in zip(self._shares, drafts, strict=True):
            if verdict := self._verify(stream, draft, rows, row):
                verdicts.append(verdict)
                going.append(stream)
            row += 1 + len(draft)
        if len(verdicts) == len(drafts):  # else one of them failed, and it ended there
            drafting.stepped(turn, verdicts, rows, row, time.perf_counter() - start)
        for stream in going:
            self._go_on(stream)
        self._make_room()

    def _verify(self, stream: Stream, draft: Draft, rows: Rows, row: int) -> Verdict | None:
        """Adds what stands to its answer; None where it failed."""

        def over(token: int) -> bool:
            if stream.tells_chances:  # and nothing is drafted for it
                self._note(stream, rows.row(row), token)
            return self._take(stream, token)

        try:
            verdict = verify(draft, rows, row, stream.sampler, len(stream.tokens), over)
        except AccelError as error:
            self._fail(stream, error)
            return None
        self._engine.commit(stream.number, [0, *(1 + node for node in verdict.path)])
        stream.done += 1 + len(verdict.path)
        stream.forwarded += 1 + len(draft)
        return verdict

    def _decode(self, look: Stop, turn: Turn | None = None) -> bool:
        """Many tokens at once for one that decodes alone, where the engine and its law can; whether they could. They
        are said while it goes on: with Python between two tokens, a twentieth of the time was lost."""
        (stream, _), *others = self._shares
        sequences = self._sequences
        most = min(stream.most - stream.answered, sequences.context - sequences.promised - sequences.idle)
        if self.drafting and not self._tight:
            most = min(most, max(2, self.drafting.pace()))
        if others or most < 2 or stream.ticket.request.stops or stream.tells_chances:
            return False
        if not (self._engine.can.decodes and stream.sampler.compiled):
            return False
        stream.ticket.stop = look
        if stream.ticket.cancelled:  # before it had this stop
            look.set()
        stream.running = stream.answered, (chosen := Chosen())
        self._emit_speaker(stream)
        start = time.perf_counter()
        try:
            tokens = self._engine.decode(stream.number, stream.tokens[-1], stream.sampler, most, chosen, look)
        except EngineError as error:
            self._fail(stream, error)
            return True
        finally:
            stream.ticket.stop = None
        if not tokens:
            stream.running = None
            return False
        self.forwards += len(tokens)
        self.rows += len(tokens)
        stream.done += len(tokens)
        stream.forwarded += len(tokens)
        if self.drafting and not self._tight:
            self.drafting.decoded(turn, tokens, time.perf_counter() - start)
        for token in tokens:
            self._take(stream, token)
        self._go_on(stream)
        return True

    def _forward(self, drafted: bool = False) -> Rows | None:
        """None where it failed or was stopped: whose fault it was is out, the others try again."""
        stop = None if self._steady else self._stop_of([stream.ticket for stream, _ in self._shares])
        began = time.perf_counter()
        try:
            rows = self._engine.forward(self._buffer.batch, (), stop)
        except (Stopped, ContextFull) as error:
            self._steady = False
            for stream, _ in self._shares:
                stream.done = self._engine.length(stream.number)
            if isinstance(error, ContextFull):
                self._tight = drafted
                if not drafted:
                    self._squeeze(error)
            return None
        except EngineError as error:
            for stream, _ in self._shares:
                self._fail(stream, error)
            return None
        finally:
            if stop is not None:
                for stream, _ in self._shares:
                    stream.ticket.stop = None
        self.forwards += 1
        self.rows += len(self._buffer.batch)
        self._pace.seen(len(self._buffer.batch), time.perf_counter() - began)
        return rows

    def _stop_of(self, tickets: list[Ticket]) -> Stop:
        """What ends a forward when one of those in it is cancelled. Where all decode it is short and goes without."""
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
        if stream.tells_chances:
            self._note(stream, logits, token)
        self._take(stream, token)
        self._go_on(stream)

    def _note(self, stream: Stream, logits: np.ndarray, token: int) -> None:
        """How likely a token was that the answer goes on with. Before `_take`: what that adds may be said at once."""
        best = stream.ticket.request.chances
        if best is not None and token not in self._ends:
            stream.chances.append(chance(logits, token, best, self._engine.vocabulary.piece))

    def _take(self, stream: Stream, token: int) -> bool:
        """Adds to its answer what was chosen; whether nothing may follow."""
        stream.last = token
        if token not in self._ends:
            stream.tokens.append(token)
            stream.answered += 1
            self.generated += 1
            self._sequences.promised += 1
            if stream.ticket.request.stops:  # what comes next depends on the text
                for text in stream.speak():
                    self._emit(text)
        return token in self._ends or stream.text.stopped or stream.answered == stream.most

    def _go_on(self, stream: Stream) -> None:
        """Says what it took, and ends its answer where that is over."""
        stream.running = None
        ended = stream.last in self._ends
        if not stream.ticket.request.stops and not (ended and stream.speaks):
            self._emit_speaker(stream)
        if ended:
            self._finish(stream, "end")
        elif stream.text.stopped:
            self._finish(stream, "stop")
        elif stream.answered == stream.most:
            self._finish(stream, "length" if stream.most == stream.ticket.request.most else "context")

    def _emit_speaker(self, stream: Stream) -> None:
        """Unless somebody is about to ask it anyway."""
        if not stream.speaks:
            stream.speaks = True
            self._emit(stream)

    def _tell_prefilled(self, stream: Stream) -> None:
        done = min(stream.done, stream.prompt)
        now = time.monotonic()
        if not stream.answered and (done == stream.prompt or now - stream.told_at >= _PROGRESS):
            stream.told_at = now  # had it answered, it would be here because it stepped back
            self._emit(Prefilled(stream.id, done - stream.reused, stream.prompt - stream.reused))

    def _make_room(self) -> None:
        if self._admission.make_room():
            self._steady = False

    def _squeeze(self, error: ContextFull) -> None:
        """The engine found no room where there should be some: less is asked for, until it is one alone."""
        if self._admission.squeeze():
            return
        (stream,) = self._admission.running
        if stream.answered:
            self._finish(stream, "context")
        else:
            self._fail(stream, error)

    def _finish(self, stream: Stream, reason: Reason) -> None:
        stream.over = True
        self._emit(stream)
        self._steady = self._tight = False
        self._admission.leave(stream)
        self._emit(stream.finished(reason))
        self._forget(stream)  # drafters may learn from all of it, and nobody waits for that

    def _fail(self, stream: Stream, error: AccelError) -> None:
        self._steady = self._tight = False
        self._forget(stream)
        stream.running = None
        self._admission.lose(stream)
        self._emit(failed(stream.id, error))

    def _forget(self, stream: Stream) -> None:
        if self.drafting:
            self.drafting.forget(stream.id)
