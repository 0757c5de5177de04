"""Texts written with drafts and without, on engines that cost nothing."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from accel.errors import WorkerDied
from accel.runtime.drafting.draft import NOTHING, Context, Draft, Drafter
from accel.runtime.drafting.verify import verify
from accel.runtime.engines.base import Batch, Engine
from accel.runtime.engines.fake import VOCABULARY, FakeEngine
from accel.runtime.engines.options import FakeOptions
from accel.runtime.law import Law
from accel.runtime.sampling import Sampler

PROMPTS = ("once upon a time", "a", "what is the capital of nowhere at all, and why?")


@dataclass(eq=False)
class Written:
    """One text on its way."""

    tokens: list[int]
    sampler: Sampler
    prompt: int = 0
    over: bool = False
    drafts: list[Draft] = field(default_factory=list)
    stood: int = 0  # nodes of drafts

    def __post_init__(self) -> None:
        self.prompt = len(self.tokens)
        self.sampler.observe(self.tokens)

    @property
    def answer(self) -> list[int]:
        return self.tokens[self.prompt :]


def target(**options: Any) -> Any:
    return FakeEngine(FakeOptions(**{"answer_length": 60, **options}))


def near(**options: Any) -> Any:
    """A draft model that agrees with the target now and then."""
    return target(**options).view(layers=(0, 1, 2))


def begin(engine: Engine, prompts: Sequence[str], law: Law) -> list[Written]:
    texts = [Written(engine.vocabulary.encode(prompt), Sampler(law, engine.vocabulary.size)) for prompt in prompts]
    for seq, text in enumerate(texts):
        engine.truncate(seq, 0)
        if head := text.tokens[:-1]:
            engine.forward(Batch.chain(seq, head))
            engine.commit(seq, range(len(head)))
    return texts


def step(engine: Engine, texts: Sequence[Written], drafts: Sequence[Draft]) -> None:
    """Verifies one draft for each text that is not over, all in one forward."""
    alive = [(seq, text) for seq, text in enumerate(texts) if not text.over]
    columns: list[list[int]] = [[], [], []]  # tokens, sequences, parents
    firsts: list[int] = []
    for (seq, text), draft in zip(alive, drafts, strict=True):
        firsts.append(len(columns[0]))
        columns[0] += [text.tokens[-1], *draft.tokens]
        columns[1] += [seq] * (1 + len(draft))
        columns[2] += [-1, *(parent + 1 for parent in draft.parents)]
    columns.append([1] * len(columns[0]))
    rows = engine.forward(Batch(*(np.array(column, np.int32) for column in columns)))
    for (seq, text), draft, first in zip(alive, drafts, firsts, strict=True):
        verdict = verify(draft, rows, first, text.sampler, len(text.tokens), engine.vocabulary.ends.__contains__)
        engine.commit(seq, [0, *(1 + node for node in verdict.path)])
        text.tokens += [draft.tokens[node] for node in verdict.path] + [verdict.next_token]
        text.drafts.append(draft)
        text.stood += len(verdict.path)
        text.over = verdict.next_token in engine.vocabulary.ends


def contexts(texts: Sequence[Written]) -> list[Context]:
    return [Context(n, text.tokens, text.prompt, text.sampler) for n, text in enumerate(texts) if not text.over]


def write(
    engine: Engine,
    drafter: Drafter | None,
    law: Law,
    most: int = 40,
    limit: int = 4,
    prompts: Sequence[str] = PROMPTS,
    between: Callable[[], object] = lambda: None,
) -> list[Written]:
    """Answers of at least `most` tokens, if they do not end before."""
    texts = begin(engine, prompts, law)
    while asked := contexts(texts):
        drafts = [NOTHING] * len(asked)
        if drafter:
            drafter.start(asked, [limit] * len(asked))
            between()
            drafts = drafter.take()
        assert all(len(draft) <= limit for draft in drafts)
        step(engine, texts, drafts)
        for number, text in enumerate(texts):
            if not text.over and len(text.answer) >= most:
                text.over = True
            if text.over and drafter:
                drafter.forget(number)
    return texts


def answers(texts: Sequence[Written], most: int = 40) -> list[list[int]]:
    return [text.answer[:most] for text in texts]


class Dying:
    """An engine whose process ends at its n-th forward."""

    def __init__(self, engine: FakeEngine, forwards: int) -> None:
        self._engine, self._left = engine, forwards
        self.spec, self.can, self.vocabulary = engine.spec, engine.can, engine.vocabulary

    def __getattr__(self, name: str) -> Any:
        if self._left <= 0:
            raise WorkerDied("the draft model's process ended", "start it again")
        return getattr(self._engine, name)

    def forward(self, *given: Any) -> Any:
        self._left -= 1
        return self.__getattr__("forward")(*given)


def law(temperature: float, **more: Any) -> Law:
    return Law(temperature=temperature, top_k=20, seed=5, **more)


__all__ = [
    "PROMPTS",
    "VOCABULARY",
    "Dying",
    "Written",
    "answers",
    "begin",
    "contexts",
    "law",
    "near",
    "step",
    "target",
    "write",
]
