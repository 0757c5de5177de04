"""What a drafted step costs here, and what drafting itself does: measured with the worker's own step loop."""

import statistics
import time
from collections import defaultdict
from collections.abc import Sequence
from typing import cast

import numpy as np
from speculate_recording import Look
from speculate_replay import Bench

from accel.runtime.drafting.conductor import Conductor, Turn
from accel.runtime.drafting.control import Controller, Guess
from accel.runtime.drafting.draft import Context, Draft, Drafter, Verdict
from accel.runtime.drafting.immediate import Witness
from accel.runtime.drafting.row_costs import RowCosts
from accel.runtime.engines.base import Rows
from accel.runtime.law import Law

_STEPS = 3  # of one count of rows, in a round
_PLAIN = 48  # tokens
_OTHER = 256  # tokens that every vocabulary has

Samples = list[tuple[int, float]]  # nodes or rows, seconds


class Always(Conductor):
    """Drafts so many nodes, none of which stands: every step costs as much and makes one token. Times whole steps, from
    turn to turn."""

    def __init__(self, nodes: int, text: Sequence[int]) -> None:
        super().__init__({}, Controller(RowCosts()))
        self.each: list[float] = []
        self._nodes, self._text = nodes, text
        self._began = 0.0

    def turn(self, contexts: Sequence[Context], limits: Sequence[int]) -> Turn:
        now = time.perf_counter()
        if self._began:
            self.each.append(now - self._began)
        turn = Turn(contexts, [context.tokens[-1] for context in contexts])
        at = len(contexts[0].tokens)
        guesses = [self._text[(3 * at + 7 * node) % len(self._text)] for node in range(min(self._nodes, limits[0]))]
        if guesses and guesses[0] == self._text[at]:
            guesses[0] = (guesses[0] + 1) % _OTHER
        guess = Guess("always", Draft.chain(guesses), (0,) * len(guesses))
        turn.guesses = turn.decided = [guess if guesses else None]
        self._began = time.perf_counter() if len(guesses) == self._nodes else 0.0
        return turn

    def stepped(self, turn: Turn, verdicts: Sequence[Verdict], rows: Rows, count: int, seconds: float) -> None: ...


def measured_steps(
    bench: Bench, prompt: Sequence[int], text: Sequence[int], law: Law, rounds: int
) -> tuple[float, tuple[float, ...]]:
    """Seconds of a token decoded plainly, and of steps of 1, 2, ... rows; all in turn, medians of the rounds. `text`
    begins with the prompt."""
    most = min(bench.engine.can.rows, bench.engine.can.outputs)
    room = len(text) - len(prompt)
    plain: list[float] = []
    steps: dict[int, list[float]] = defaultdict(list)
    bench.decode(prompt, law, 2, None, text)
    for _ in range(rounds):
        for rows in range(2, most + 1):
            always = Always(rows - 1, text)
            bench.decode(prompt, law, room, always, text, lambda always=always: len(always.each) == _STEPS)
            steps[rows] += always.each
            if rows % 8 == 2:
                plain.append(1 / bench.decode(prompt, law, min(_PLAIN, room), None, text).rate)
    each = [statistics.median(steps[rows]) for rows in range(2, most + 1)]
    middle = statistics.median(plain)
    return middle, (min(middle, each[0]), *each)


class _Heard:
    """A drafter whose looks are timed."""

    def __init__(self, drafter: Drafter, looks: Samples) -> None:
        self._drafter, self._looks = drafter, looks
        self._spent = 0.0

    def start(self, contexts: Sequence[Context], limits: Sequence[int]) -> None:
        start = time.perf_counter()
        self._drafter.start(contexts, limits)
        self._spent = time.perf_counter() - start

    def take(self, deadline: float | None = None) -> list[Draft]:
        start = time.perf_counter()
        drafts = self._drafter.take(deadline)
        self._looks.append((sum(map(len, drafts)), self._spent + time.perf_counter() - start))
        return drafts

    def observe(self, verdicts: Sequence[Verdict], rows: Rows) -> None:
        self._drafter.observe(verdicts, rows)

    def forget(self, number: int) -> None:
        self._drafter.forget(number)


class _HeardWitness(_Heard):
    def witness(self, root: int, verdict: Verdict, rows: Rows) -> None:
        cast(Witness, self._drafter).witness(root, verdict, rows)


class Heard(Conductor):
    """A worker's conductor that notes what its drafters take, what it takes itself, and what learning takes."""

    def __init__(self, made: Conductor) -> None:
        self.looks: dict[str, Samples] = {name: [] for name in made.drafters}
        heard = {
            name: (_HeardWitness if isinstance(drafter, Witness) else _Heard)(drafter, self.looks[name])
            for name, drafter in made.drafters.items()
        }
        super().__init__(heard, made.controller)
        self.turns: list[float] = []
        self.learning: Samples = []

    def turn(self, contexts: Sequence[Context], limits: Sequence[int]) -> Turn:
        before = {name: len(samples) for name, samples in self.looks.items()}
        start = time.perf_counter()
        turn = super().turn(contexts, limits)
        spent = time.perf_counter() - start
        looks = sum(each for name, samples in self.looks.items() for _, each in samples[before[name] :])
        self.turns.append(spent - looks)
        return turn

    def stepped(self, turn: Turn, verdicts: Sequence[Verdict], rows: Rows, count: int, seconds: float) -> None:
        start = time.perf_counter()
        super().stepped(turn, verdicts, rows, count, seconds)
        self.learning.append((count, time.perf_counter() - start))


def line_through(samples: Samples) -> Look:
    """The least squares of all but the slowest twentieth: those were disturbed."""
    kept = sorted(samples, key=lambda sample: sample[1])[: max(1, len(samples) * 19 // 20)]
    if not kept:
        return Look(0.0, 0.0)
    x, y = (np.array(column, float) for column in zip(*kept, strict=True))
    slope = max(0.0, float(((x - x.mean()) * (y - y.mean())).sum() / ((x - x.mean()) ** 2).sum())) if x.std() else 0.0
    return Look(max(0.0, float(y.mean() - slope * x.mean())), slope)
