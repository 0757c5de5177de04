"""A text decoded by the worker's own step loop, in this process: as the model has it, or as somebody wrote it."""

import ctypes
import itertools
import subprocess
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from accel.errors import AccelError
from accel.runtime.drafting.conductor import Conductor
from accel.runtime.engines.base import Engine
from accel.runtime.generate import Generator
from accel.runtime.law import Law
from accel.runtime.messages import Failed, Finished, Generate
from accel.runtime.outbox import Saying
from accel.runtime.sampling import Sampler, compiled
from accel.runtime.sequences import Sequences
from accel.runtime.stream import Ticket

_CONVERSATION = "bench"


class Forced(Sampler):
    """Does all that its law asks for, and then chooses what was recorded. A fork of it, which drafters make to draw
    with, is under the law alone."""

    def __init__(self, law: Law, size: int, tokens: Sequence[int]) -> None:
        super().__init__(law, size)
        self._tokens = np.array(tokens, np.int32)
        if self.compiled:
            shim = _shim()
            shim.replay(self.compiled.choose, self._tokens.ctypes.data, len(self._tokens))
            address = ctypes.cast(shim.choose_recorded, ctypes.c_void_p).value or 0
            self.compiled = replace(self.compiled, choose=address)

    def choose(self, logits: np.ndarray, position: int) -> int:
        token = super().choose(logits, position)
        return int(self._tokens[position]) if position < len(self._tokens) else token


class Forcing(Generator):
    """A generator that lets no text but one be written."""

    forced: Sequence[int] = ()  # prompt and answer; nothing: the model writes

    def add(self, ticket: Ticket) -> None:
        super().add(ticket)
        if self.forced:
            stream = self._admission.waiting[-1]
            stream.sampler = Forced(ticket.request.law, self._engine.vocabulary.size, self.forced)


@dataclass(frozen=True, slots=True)
class Decoded:
    tokens: tuple[int, ...]  # of the answer
    count: int  # of those decoded: all but the first, which comes from the prompt's forward
    seconds: float  # that decoding took
    forwards: int
    rows: int

    @property
    def rate(self) -> float:
        return self.count / self.seconds


class Bench:
    """One engine that decodes one text after another; the prompt stays cached from run to run."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self._sequences = Sequences(engine)
        self._numbers = itertools.count(1)

    def decode(
        self,
        prompt: Sequence[int],
        law: Law,
        most: int,
        drafting: Conductor | None = None,
        forced: Sequence[int] = (),
        enough: Callable[[], bool] = lambda: False,
    ) -> Decoded:
        """So many tokens, unless it ends before or `enough` says so between two steps. Raises SystemExit where the
        answer fails, or is of one token."""
        said: list[Saying] = []
        generator = Forcing(self.engine, self._sequences, said.append, drafting)
        generator.forced = forced
        ticket = Ticket(Generate(next(self._numbers), _CONVERSATION, (tuple(prompt),), law, most=most))
        generator.add(ticket)
        before = None
        while generator.step():
            before = before or (generator.forwards, generator.rows)  # the prompt's
            if enough():
                ticket.cancel()
                generator.end_cancelled()
        done = said[-1]
        if isinstance(done, Failed) or not isinstance(done, Finished) or before is None:
            raise SystemExit(f"the answer failed: {done}")
        count = done.usage.generated - (done.reason != "end")
        if count < 1:
            raise SystemExit("the model answers nothing")
        return Decoded(
            done.tokens, count, done.timings.decode, generator.forwards - before[0], generator.rows - before[1]
        )

    def clear(self) -> None:
        """Nothing is cached."""
        self._sequences.forget(_CONVERSATION)


@cache
def _shim() -> Any:
    if not compiled():
        raise AccelError("sampling.c was not compiled", "run make")
    folder = Path(tempfile.mkdtemp(prefix="speculate-"))
    source, target = Path(__file__).with_suffix(".c"), folder / "replay.so"
    subprocess.run(["cc", "-O2", "-shared", "-fPIC", "-o", target, source], check=True)
    shim = ctypes.CDLL(str(target))
    shim.replay.argtypes = (ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int64)
    return shim
