"""How often a drafter guesses what a target writes, and how long a guess takes it.

The target writes texts by its own law; the drafter reads along and guesses the next token at every place, with the
target's noise: those are the guesses that it would make after any that stood.
"""

import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice

import numpy as np

from ...errors import AccelError
from ..engines.base import Batch, Engine
from ..law import Law
from ..sampling import Sampler
from .draft import Context, Draft
from .foreign import Foreign
from .model import ModelDrafter

Progress = Callable[[float], object]  # of 0..1
_RUN = 4  # guesses in a row, that are timed
_TIMED = 24  # such runs, over all texts


@dataclass(frozen=True, slots=True)
class Text:
    """`prompt` of its tokens were given, the others were chosen by the law."""

    tokens: tuple[int, ...]
    prompt: int
    law: Law


def write(engine: Engine, prompt: Sequence[int], law: Law, most: int, progress: Progress = lambda done: None) -> Text:
    """At most so many tokens, until the model ends the text or the context is full. Sequence 0 must be empty, and is
    empty again. Raises EngineError, ContextFull."""
    tokens, sampler = list(prompt), Sampler(law, engine.vocabulary.size)
    sampler.observe(tokens)
    try:
        left = tokens
        while len(tokens) < min(len(prompt) + most, engine.can.context):
            token = sampler.choose(_read(engine, left), len(tokens))
            if token in engine.vocabulary.ends:
                break
            sampler.accept(token)
            tokens.append(token)
            left = [token]
            progress((len(tokens) - len(prompt)) / most)
    finally:
        engine.truncate(0, 0)
    return Text(tuple(tokens), len(prompt), law)


def _read(engine: Engine, tokens: Sequence[int]) -> np.ndarray:
    """Commits them; the logits after the last."""
    last = (len(tokens) - 1) // engine.can.rows * engine.can.rows
    for first in range(0, last, engine.can.rows):
        engine.forward(Batch.chain(0, tokens[first : first + engine.can.rows], wants="none"))
        engine.commit(0, range(engine.can.rows))
    rows = engine.forward(Batch.chain(0, tokens[last:]))
    engine.commit(0, range(len(tokens) - last))
    return rows.row(len(tokens) - last - 1)


def agreement(
    drafter: ModelDrafter | Foreign, text: Text, size: int, progress: Progress = lambda done: None
) -> list[bool]:
    """Of every token that the target chose, whether the drafter would have guessed it; `size`: of the target's
    vocabulary. Raises what keeps the drafter from guessing."""
    found: list[bool] = []
    for at, sampler in _places(text, size):
        found.append(_guess(drafter, text, at, sampler, 1).tokens[:1] == text.tokens[at : at + 1])
        progress(len(found) / (len(text.tokens) - text.prompt))
    drafter.forget(0)
    return found


def guess_seconds(drafter: ModelDrafter | Foreign, texts: Sequence[Text], size: int) -> float | None:
    """Of one guess, of the target's tokens, among some in a row; None where it has none. Raises as `agreement`."""
    seconds, guesses = list[float](), list[int]()
    for text in texts:
        for at, sampler in islice(_places(text, size), 1 + _TIMED // len(texts)):
            start = time.perf_counter()
            draft = _guess(drafter, text, at, sampler, _RUN)
            if at > text.prompt:  # the first reads the prompt
                seconds.append(time.perf_counter() - start)
                guesses.append(len(draft))
        drafter.forget(0)
    # Every run takes about as long, however much of it the target can write; other processes only ever slow one down.
    return min(seconds) / statistics.mean(guesses) if any(guesses) else None


def _places(text: Text, size: int) -> Iterator[tuple[int, Sampler]]:
    """Where the target chose a token, each with the law as it was then."""
    sampler = Sampler(text.law, size)
    sampler.observe(text.tokens[: text.prompt])
    for at in range(text.prompt, len(text.tokens)):
        yield at, sampler
        sampler.accept(text.tokens[at])


def _guess(drafter: ModelDrafter | Foreign, text: Text, at: int, sampler: Sampler, most: int) -> Draft:
    drafter.start([Context(0, text.tokens[:at], text.prompt, sampler)], [most])
    (draft,) = drafter.take()
    if isinstance(drafter.trouble, AccelError):
        raise drafter.trouble
    return draft
