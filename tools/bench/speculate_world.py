"""A world without an engine: a clock, drafters that take their time, and the rows that were recorded."""

import math
import random
from collections.abc import Mapping, Sequence
from typing import Any, cast

import numpy as np
from speculate_recording import Look, Recorded, World

from accel.runtime.drafting.draft import Context, Draft, Drafter, Verdict
from accel.runtime.drafting.immediate import Witness
from accel.runtime.engines.base import Rows
from accel.runtime.law import Law
from accel.runtime.sampling import Sampler

_LEAST = 0.3  # see `ModelDrafter`


class Clock:
    """Stands for the module `time`."""

    def __init__(self, noise: float = 0.0) -> None:
        self.now, self._noise, self._random = 0.0, noise, random.Random(1)

    def perf_counter(self) -> float:
        return self.now

    def spend(self, seconds: float) -> float:
        """What it came to."""
        if self._noise:
            seconds *= math.exp(self._random.gauss(0.0, self._noise))
        self.now += seconds
        return seconds


class Told:
    """A draft model that says what was recorded of it."""

    def __init__(self, texts: Sequence[Recorded], least: float = _LEAST) -> None:
        self._texts, self._least = texts, least
        self._drafts: list[Draft] = []

    def __deepcopy__(self, memo: dict[int, Any]) -> "Told":
        return Told(self._texts, self._least)

    def start(self, contexts: Sequence[Context], limits: Sequence[int]) -> None:
        self._drafts = [self._draft(context, limit) for context, limit in zip(contexts, limits, strict=True)]

    def _draft(self, context: Context, limit: int) -> Draft:
        text = self._texts[context.number]
        tokens, sure = text.guesses[len(context.tokens) - text.prompt]
        worth = np.cumprod(sure[:limit]) >= self._least if sure else np.zeros(0)
        return Draft.chain(tokens[: int(worth.sum())], sure[: int(worth.sum())])

    def take(self, deadline: float | None = None) -> list[Draft]:
        return self._drafts

    def observe(self, verdicts: Sequence[Verdict], rows: Rows) -> None: ...

    def forget(self, number: int) -> None: ...


class _Timed:
    """A drafter whose looks cost what they were measured to."""

    def __init__(self, drafter: Drafter, look: Look, clock: Clock) -> None:
        self._drafter, self._look, self._clock = drafter, look, clock

    def start(self, contexts: Sequence[Context], limits: Sequence[int]) -> None:
        self._drafter.start(contexts, limits)

    def take(self, deadline: float | None = None) -> list[Draft]:
        drafts = self._drafter.take(deadline)
        self._clock.spend(self._look.of(sum(map(len, drafts))))
        return drafts

    def observe(self, verdicts: Sequence[Verdict], rows: Rows) -> None:
        self._drafter.observe(verdicts, rows)

    def forget(self, number: int) -> None:
        self._drafter.forget(number)


class _TimedWitness(_Timed):
    def witness(self, root: int, verdict: Verdict, rows: Rows) -> None:
        cast(Witness, self._drafter).witness(root, verdict, rows)


class KnownRows:
    """The rows of a step, as far as they were recorded."""

    def __init__(self, text: Recorded, at: int, verdict: Verdict, vocabulary: int) -> None:
        chosen = enumerate((-1, *verdict.path), at)
        self._places = {1 + node: place - text.prompt for place, node in chosen}
        self._likely, self._vocabulary = text.likely, vocabulary

    def row(self, i: int) -> np.ndarray:
        if i not in self._places:
            raise IndexError(i)
        likely = self._likely[self._places[i]]
        logits = np.full(self._vocabulary, -np.inf, np.float32)
        logits[list(likely)] = np.arange(len(likely), 0, -1)
        return logits

    def argmax(self) -> np.ndarray:
        return np.array([self.row(i).argmax() for i in sorted(self._places)], np.int32)

    def top(self, k: int) -> tuple[np.ndarray, np.ndarray]:
        rows = np.array([self.row(i) for i in sorted(self._places)])
        tokens = np.argsort(-rows, axis=1, kind="stable")[:, :k]
        return np.take_along_axis(rows, tokens, 1), tokens


def follow(draft: Draft, truth: Sequence[int], at: int) -> Verdict:
    """What the target makes of a draft that begins at a place of its text."""
    children, path, node = draft.children(), list[int](), -1
    while at < len(truth) - 1 and (child := children[node + 1].get(truth[at])) is not None:
        path.append(child)
        node, at = child, at + 1
    return Verdict(draft, tuple(path), truth[at], 0)


def timed(drafters: Mapping[str, Drafter], looks: Mapping[str, Look], clock: Clock) -> dict[str, Drafter]:
    return {
        name: (_TimedWitness if isinstance(drafter, Witness) else _Timed)(drafter, looks[name], clock)
        for name, drafter in drafters.items()
    }


def context_of(text: Recorded, number: int, tokens: list[int], world: World) -> Context:
    return Context(number, tokens, text.prompt, Sampler(Law(temperature=0), world.vocabulary))
