"""How far an approximate engine's predictions depart from an exact one's, token by token over the same text.

`Exact` keeps the log-probabilities that an exact engine gives along texts, of its own writing or given; `follow` has
another engine read the same tokens, one row at a time as an answer is written. Both are called under the cache that is
measured. Sequence 0 of an engine must be empty, and is empty again.
"""

import itertools
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryFile
from typing import Protocol

import numpy as np

from ..devices.files import take_room
from ..errors import Cancelled, EngineError
from .engines.base import Batch, Engine
from .law import Law
from .routing import BEGINNINGS
from .sampling import Sampler

Progress = Callable[[float], bool]  # of 0..1; where it returns False the work ends with Cancelled

WARM = 64  # tokens that are forwarded before any counts: a cache begins empty, an answer seldom meets an empty one
FEWEST = 128  # tokens that tell something, where there was no time for more
_LONGEST = 256  # tokens of one text of its own: another topic then
_UNLIKELIEST = 50.0  # nats that one token may add to a mean: an engine that rules out what came loses without limit


@dataclass(frozen=True, slots=True)
class Text:
    """`beginning` is forwarded at once, as a prompt; then each of `tokens` alone but the last, after which there is
    nothing to predict."""

    beginning: tuple[int, ...]
    tokens: tuple[int, ...]


class Exact:
    """What an exact engine predicted after every token that counts. `used`: for each of them what the engine's experts
    had come to since its first token, as `_Uses` counts."""

    def __init__(self, folder: Path, most: int, vocabulary: int) -> None:
        """Room for so many tokens, in a file without a name. Raises OSError where the disk has none."""
        self._file = TemporaryFile(dir=folder)  # noqa: SIM115 - as long as this lives
        try:
            size = 4 * most * vocabulary
            self._file.truncate(size)
            take_room(self._file, folder, size)
            self.log_probabilities = np.memmap(self._file, np.float32, "r+", shape=(most, vocabulary))
        except BaseException:
            self._file.close()
            raise
        self.most, self.texts = most, list[Text]()
        self.likelihoods: list[float] = []  # of the tokens that came, nats
        self.used: list[np.ndarray] = []
        self.start = np.zeros(5, np.int64)

    def __len__(self) -> int:
        return len(self.likelihoods)

    def close(self) -> None:
        self._file.close()

    def write(self, engine: Engine, seconds: float = float("inf"), progress: Progress = lambda done: True) -> None:
        """The model's own writing at temperature 1 with nothing cut off, so that each token comes as often as the model
        holds it for likely; as many tokens as there is room or time for, FEWEST at least. Raises EngineError,
        Cancelled."""
        self._record(engine, map(_Written, itertools.repeat(engine), itertools.count()), seconds, progress)

    def read(
        self,
        engine: Engine,
        tokens: Sequence[int],
        seconds: float = float("inf"),
        progress: Progress = lambda done: True,
    ) -> None:
        """These tokens, a context's worth at a time; as many as there is room or time for. Raises EngineError,
        Cancelled."""
        whole = engine.can.context
        parts = (tokens[at : at + whole] for at in range(0, len(tokens), whole))
        self._record(engine, (_Given(part) for part in parts if len(part) > 1), seconds, progress)

    def _record(self, engine: Engine, sources: Iterable["_Source"], seconds: float, progress: Progress) -> None:
        end, warm, uses = time.monotonic() + seconds, WARM, _Uses(engine)
        try:
            for source in sources:
                row, tokens = uses.begin(source.beginning), list[int]()
                while not source.over(tokens) and engine.length(0) < engine.can.context:
                    if tokens:
                        row = _forward(engine, tokens[-1:])
                    tokens.append(source.next(row, engine.length(0)))
                    if len(tokens) == 1:
                        continue
                    if warm:
                        warm -= 1
                        self.start = uses.counts()
                        continue
                    self._keep(row, tokens[-1], uses.counts() - self.start)
                    _tell(progress, len(self) / self.most)
                    if len(self) == self.most or (len(self) >= FEWEST and time.monotonic() > end):
                        self.texts.append(Text(source.beginning, tuple(tokens)))
                        return
                self.texts.append(Text(source.beginning, tuple(tokens)))
                engine.truncate(0, 0)
        finally:
            engine.truncate(0, 0)

    def _keep(self, row: np.ndarray, token: int, used: np.ndarray) -> None:
        found = log_softmax(row)
        self.log_probabilities[len(self)] = found
        self.likelihoods.append(max(float(found[token]), -_UNLIKELIEST))
        self.used.append(used)


class _Source(Protocol):
    """Where a text's tokens come from."""

    beginning: tuple[int, ...]

    def over(self, tokens: Sequence[int]) -> bool:
        """Whether these are all."""
        ...

    def next(self, row: np.ndarray, position: int) -> int: ...


class _Written:
    """By the engine itself, until it ends the text or the text is long."""

    def __init__(self, engine: Engine, number: int) -> None:
        beginning = engine.vocabulary.encode(BEGINNINGS[number % len(BEGINNINGS)], start=True)
        self.beginning = tuple(beginning[: min(engine.can.rows, engine.can.context // 2)]) or (0,)
        self._sampler = Sampler(Law(temperature=1.0, top_k=0, top_p=1.0, seed=number), engine.vocabulary.size)
        self._ends = engine.vocabulary.ends

    def over(self, tokens: Sequence[int]) -> bool:
        return len(tokens) > _LONGEST or (len(tokens) > 1 and tokens[-1] in self._ends)

    def next(self, row: np.ndarray, position: int) -> int:
        return self._sampler.choose(row, position)


class _Given:
    """Two tokens or more."""

    def __init__(self, tokens: Sequence[int]) -> None:
        self.beginning, self._rest = tuple(tokens[:1]), tokens[1:]
        self._left = iter(self._rest)

    def over(self, tokens: Sequence[int]) -> bool:
        return len(tokens) == len(self._rest)

    def next(self, row: np.ndarray, position: int) -> int:
        return next(self._left)


@dataclass(frozen=True, slots=True, eq=False)
class Departure:
    """For every token: `kl` of the predictions that it came from, nats, `lost` of its log-likelihood, nats, and whether
    both engines held the `same` for the likeliest. `used`: what the experts had come to since the first of them, as
    `_Uses` counts; int64 of shape (tokens, 5)."""

    kl: np.ndarray
    lost: np.ndarray
    same: np.ndarray
    used: np.ndarray


def follow(engine: Engine, exact: Exact, tokens: int, progress: Progress = lambda done: True) -> Departure:
    """Of the first so many tokens that were kept. Raises EngineError, Cancelled."""
    kl, lost, same = np.zeros(tokens), np.zeros(tokens), np.zeros(tokens, bool)
    used, at, start = np.zeros((tokens, 5), np.int64), -WARM, np.zeros(5, np.int64)
    uses = _Uses(engine)
    try:
        for token, row in _rows(engine, exact.texts, uses):
            if at >= 0:
                predicted, wanted = log_softmax(row), exact.log_probabilities[at].astype(np.float64)
                kl[at] = divergence(wanted, predicted)
                lost[at] = exact.likelihoods[at] - max(float(predicted[token]), -_UNLIKELIEST)
                same[at] = predicted.argmax() == wanted.argmax()
                used[at] = uses.counts() - start
                _tell(progress, (at + 1) / tokens)
            at += 1
            if at == 0:
                start = uses.counts()
            if at == tokens:
                return Departure(kl, lost, same, used)
    finally:
        engine.truncate(0, 0)
    raise EngineError("fewer tokens were kept than are to be followed", "measure again")


def _rows(engine: Engine, texts: Sequence[Text], uses: "_Uses") -> Iterator[tuple[int, np.ndarray]]:
    """Each token with what the engine predicted before it."""
    for text in texts:
        uses.begin(text.beginning)
        for token, following in itertools.pairwise(text.tokens):
            yield following, _forward(engine, (token,))
        engine.truncate(0, 0)


def _forward(engine: Engine, tokens: Sequence[int]) -> np.ndarray:
    """Commits them; logits after the last."""
    row = engine.forward(Batch.chain(0, tokens)).row(len(tokens) - 1)
    engine.commit(0, range(len(tokens)))
    return row


class _Uses:
    """What an engine's experts come to over tokens that are forwarded alone, as an answer's are: a prompt's rows share
    experts, which are then wanted in full."""

    def __init__(self, engine: Engine) -> None:
        self._engine, self._aside = engine, np.zeros(5, np.int64)

    def begin(self, tokens: Sequence[int]) -> np.ndarray:
        """Forwards a text's beginning, which does not count; logits after the last."""
        before = self._all()
        row = _forward(self._engine, tokens)
        self._aside += self._all() - before
        return row

    def counts(self) -> np.ndarray:
        """(uses, hits, served by stand-ins, left out, bytes needed) of all layers since the engine was opened."""
        return self._all() - self._aside

    def _all(self) -> np.ndarray:
        layers = self._engine.offloaded().layers
        counts = [(layer.uses, layer.hits, layer.low, layer.skipped, layer.needed) for layer in layers]
        return np.array(counts, np.int64).reshape(-1, 5).sum(axis=0)


def _tell(progress: Progress, done: float) -> None:
    if not progress(done):
        raise Cancelled("measuring the quality was stopped")


def log_softmax(row: np.ndarray) -> np.ndarray:
    """Of logits, float64. Raises EngineError where they are no numbers."""
    values = row.astype(np.float64)
    values -= values.max()
    values -= np.log(np.exp(values).sum())
    if np.isnan(values).any():
        raise EngineError("the engine computed what is no number", "check the model and its stand-ins")
    return values


def divergence(wanted: np.ndarray, predicted: np.ndarray) -> float:
    """KL(wanted || predicted) in nats, from log-probabilities; never below none."""
    possible = wanted > -np.inf
    likely = wanted[possible]
    found = float((np.exp(likely) * (likely - predicted[possible])).sum())
    return min(max(found, 0.0), _UNLIKELIEST)
