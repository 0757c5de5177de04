"""Texts made vectors: forwarded in a sequence of their own, a few rows between two steps of those that are answered."""

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from ..errors import AccelError, ContextFull, EngineError, ModelUnsupported
from .engines.base import Engine
from .messages import Embedded, Event, failed
from .sequences import Seat, Sequences


@dataclass(slots=True, eq=False)
class _Job:
    id: int
    tokens: Sequence[int]
    sum: np.ndarray  # of the outputs that count
    seat: Seat | None = None
    done: int = 0


class Embedder:
    """Give it texts with `add`, then call `step` as long as there are some. One vector for a text: the mean of what the
    last layer makes of its tokens, or of the last one alone where the model was made for that; of length 1."""

    def __init__(self, engine: Engine, sequences: Sequences, emit: Callable[[Event], None]) -> None:
        self._engine, self._sequences, self._emit = engine, sequences, emit
        self._rows = min(engine.can.rows, engine.can.outputs)
        self._jobs: deque[_Job] = deque()

    def __len__(self) -> int:
        """Texts that are not vectors yet."""
        return len(self._jobs)

    def add(self, id: int, tokens: Sequence[int]) -> None:
        """Raises ModelUnsupported where the engine tells no outputs, ContextFull for what never fits."""
        if not self._engine.can.embeds:
            raise ModelUnsupported("this model's engine makes no vectors of texts", "choose another model")
        if len(tokens) > self._sequences.context:
            what = f"a text has {len(tokens)} tokens and the context holds {self._sequences.context}"
            raise ContextFull(what, "shorten it, or open the model with a larger context")
        self._jobs.append(_Job(id, tokens, np.zeros(self._engine.can.embeds)))

    def step(self) -> bool:
        """A few rows more; False where there is nothing to do, or no room beside those that are answered."""
        if not self._jobs:
            return False
        job = self._jobs[0]
        job.seat = job.seat or self._sequences.lend(len(job.tokens))
        if not job.seat:
            return False
        try:
            self._forward(job, job.seat)
            vector = self._vector(job) if job.done == len(job.tokens) else None
        except AccelError as error:
            self._end(job, job.seat)
            self._emit(failed(job.id, error))
            return True
        if vector is not None:
            self._end(job, job.seat)
            self._emit(Embedded(job.id, len(job.tokens), vector.astype("<f4").tobytes()))
        return True

    def _forward(self, job: _Job, seat: Seat) -> None:
        outputs = self._engine.embed(seat.number, job.tokens[job.done : job.done + self._rows])
        job.done += len(outputs)
        job.sum = outputs[-1] if self._engine.spec.pools_last else job.sum + outputs.sum(axis=0)

    def _vector(self, job: _Job) -> np.ndarray:
        length = np.linalg.norm(job.sum)
        if not 0 < length < np.inf:
            raise EngineError("the model made nothing of the text", "choose another model")
        return job.sum / length

    def _end(self, job: _Job, seat: Seat) -> None:
        self._jobs.popleft()
        self._sequences.drop(seat, len(job.tokens))
