"""Drafting with a small model: what it would say next, chosen by the target's law with the target's noise.

Drawing with the same noise at the same position makes both models choose alike as often as the ratio rule would accept;
see `verify.py`. The drafter's engine is its own. It serves all texts in one forward: what each of them has to be caught
up by, then token after token of the chains, or layer after layer of the trees.
"""

import time
from collections.abc import Callable, Sequence
from typing import Protocol, runtime_checkable

import numpy as np

from ...errors import AccelError, ContextFull, EngineError, WorkerDied
from ..engines.base import Batch, Engine, Rows, Stop, Stopped
from .draft import NOTHING, Context, Draft, Verdict
from .guessing import Chain, Guesser, Tree, Wish, Work
from .seats import Seats

_PATIENCE = 3  # rounds that fail, or come to nothing, one after another
_BEHIND = 16  # tokens of a text that are not cached, from which on it is read and not gone on with


@runtime_checkable
class Reader(Protocol):
    """A drafter with an engine of its own, which reads a text before it guesses, and may fail."""

    @property
    def reading(self) -> float:
        """Seconds of the last drafts in which texts were read."""
        ...

    @property
    def trouble(self) -> AccelError | None:
        """Why drafts are empty; None where nothing is wrong."""
        ...

    @property
    def given_up(self) -> bool:
        """Whether it failed so often that it is not asked any more."""
        ...


class ModelDrafter:
    """See `draft.Drafter`: `start` notes what is asked, `take` does it. `beside.py` does it meanwhile.

    An engine that fails costs drafts, never an answer: `trouble` says why there were none.
    """

    def __init__(self, engine: Engine, least: float = 0.3, leaves: int = 1, size: int | None = None) -> None:
        """`least`: a guess is left out where its path is less probable; `leaves`: of one draft, 1 for chains; both may
        be changed between two drafts. `size`: of the target's vocabulary, where that has other unused tokens at its
        end. Raises EngineError for an engine that cannot take rows back."""
        if not engine.can.rollback:
            raise EngineError("this model cannot draft: its state cannot be taken back", "choose another draft model")
        self.engine, self.least, self.leaves = engine, least, leaves
        self.trouble: AccelError | None = None
        self.reading = 0.0
        self._size = size or engine.vocabulary.size
        self._padded = np.full(self._size, -np.inf, np.float32)
        self._seats = Seats(engine)
        self._failures = 0
        self._wishes: list[Wish] = []
        self._works: list[Work] = []

    @property
    def given_up(self) -> bool:
        """See `Reader`."""
        return self._failures >= _PATIENCE

    def start(self, contexts: Sequence[Context], limits: Sequence[int]) -> None:
        texts = zip(contexts, limits, strict=True)
        self.begin([self.wish(c.number, c.tokens, c.sampler.fork(), limit) for c, limit in texts])

    def wish(self, number: int, tokens: Sequence[int], guesser: Guesser, limit: int) -> Wish:
        return Wish(number, list(tokens), guesser, limit, self.least, self.engine.vocabulary.ends)

    def begin(self, wishes: list[Wish]) -> None:
        self._wishes = wishes

    def take(self, deadline: float | None = None) -> list[Draft]:
        wishes, self._wishes = self._wishes, []
        return self.draft(wishes, lambda: deadline is not None and time.monotonic() >= deadline)

    def observe(self, verdicts: Sequence[Verdict], rows: Rows) -> None:
        """Nothing to note: the text itself says what became of the guesses."""

    def forget(self, number: int) -> None:
        self._seats.forget(number)

    def draft(self, wishes: Sequence[Wish], late: Callable[[], bool]) -> list[Draft]:
        """As far as it comes until it is `late`, which is asked between forwards."""
        self._works, self.reading = [], 0.0
        if not self.given_up:
            self.trouble = None
            try:
                works = self._seated(wishes)
                self._works = [work for work in works if work]
                self._forward_all(late)
                self._seats.end_round()
                self._failures = 0
                return [(work.draft() if work else NOTHING) or NOTHING for work in works]
            except AccelError as error:
                self._fail(error)
        return [NOTHING] * len(wishes)

    def go_on(self, stop: Stop) -> None:
        """Goes on as if all of the last drafts stood, until they are ready for that or `stop` is set."""
        for work in self._works:
            if isinstance(work, Chain):
                work.go_on()
        try:
            self._forward_all(lambda: bool(stop), stop)
        except Stopped:
            pass
        except AccelError as error:
            self._fail(error)

    def _seated(self, wishes: Sequence[Wish]) -> list[Work | None]:
        """Work for every text that there is room for."""
        seats, vocabulary, needed = self._seats, self.engine.vocabulary, 0
        leaves = min(self.leaves, 1 + self.engine.can.branches // max(len(wishes), 1))
        works: list[Work | None] = [None] * len(wishes)
        for place in sorted(range(len(wishes)), key=lambda place: not seats.knows(wishes[place].number)):
            wish = wishes[place]
            if wish.limit <= 0 or not wish.tokens:
                continue
            seat = seats.take(wish.number, wish.tokens, leaves == 1)
            if seat is None or max(wish.tokens[len(seat.tokens) :], default=0) >= vocabulary.size:
                continue
            work = Tree(seat, wish, leaves) if leaves > 1 else Chain(seat, wish)
            more = len(wish.tokens) - len(seat.tokens) + work.most_nodes
            if seats.make_room(needed + more):
                works[place] = work
                needed += more
            else:
                room = self.engine.can.context
                self.trouble = ContextFull(f"the draft model's {room} positions are too few", "draft with fewer texts")
        seats.free_branches()
        return works

    def _forward_all(self, late: Callable[[], bool], stop: Stop | None = None) -> None:
        idle = 0  # forwards of no row: trees that find no branch for a node may have others
        while idle < _PATIENCE and (works := [work for work in self._works if not work.done]):
            if late():
                return
            # Those whose text is nearly cached come first: a long one must not hold them up.
            works.sort(key=lambda work: work.missing)
            idle = 0 if self._forward(works, stop) else idle + 1

    def _forward(self, works: Sequence[Work], stop: Stop | None) -> bool:
        """Whether there was something to forward."""
        tokens, sequences, parents, wants = list[int](), list[int](), list[int](), list[int]()
        shares: list[tuple[Work, int]] = []  # and its first row
        for work in works:
            asked, wanted = work.ask(self.engine.can.rows - len(tokens), self.engine.can.outputs - sum(wants))
            if asked:
                shares.append((work, len(tokens)))
                tokens += [token for token, _ in asked]
                parents += [parent for _, parent in asked]
                sequences += [work.seat.sequence] * len(asked)
                wants += [0] * (len(asked) - wanted) + [1] * wanted
        if not shares:
            return False
        columns = (np.array(column, np.int32) for column in (tokens, sequences, parents, wants))
        start, behind = time.perf_counter(), any(work.missing > _BEHIND for work, _ in shares)
        rows = self.engine.forward(Batch(*columns), (), stop)
        self.reading += behind * (time.perf_counter() - start)
        for work, first in shares:
            if nodes := work.hear(lambda row, first=first: self._fitted(rows.row(first + row))):
                self.engine.commit(work.seat.sequence, nodes)
        return True

    def _fitted(self, logits: np.ndarray) -> np.ndarray:
        """Of the target's vocabulary."""
        if len(logits) >= self._size:
            return logits[: self._size]
        self._padded[: len(logits)] = logits
        return self._padded

    def _fail(self, error: AccelError) -> None:
        self.trouble = error
        self._works = []
        if isinstance(error, WorkerDied):
            self._failures = _PATIENCE
            return
        self._failures += not isinstance(error, ContextFull)
        try:
            self._seats.clear()
        except AccelError:
            self._failures = _PATIENCE
