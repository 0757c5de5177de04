"""The process that memory.py measures: it imports what a worker does and nothing more."""

import io
import sys
import threading
import time
from dataclasses import dataclass
from typing import Any

import accel.runtime.worker  # noqa: F401 - what a worker has in memory counts
from accel.devices.resident import resident
from accel.runtime.costs import RowTimes, measure_rows
from accel.runtime.engines import open_engine
from accel.runtime.engines.base import Batch, Stop
from accel.runtime.engines.options import EngineOptions
from accel.runtime.law import Law
from accel.runtime.sampling import Sampler
from accel.units import Bytes, from_json, to_json

ROWS = 512  # of one forward
DECODED, RUNS = 48, 3
DEPTH = 128  # positions before the decoded ones


@dataclass(frozen=True, slots=True)
class Measured:
    anonymous: Bytes  # at the peak
    mapped: Bytes
    decode: float  # tokens per second; 0 where it was not asked for
    rows: RowTimes | None


class Peak:
    """Samples this process's memory while it is entered, and keeps the most of each kind."""

    def __init__(self) -> None:
        self.anonymous, self.mapped = Bytes(0), Bytes(0)

    def __enter__(self) -> "Peak":
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._sample)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()
        self._look()

    def _sample(self) -> None:
        while not self._over.wait(0.003):
            self._look()

    def _look(self) -> None:
        anonymous, mapped = resident()
        self.anonymous, self.mapped = max(self.anonymous, anonymous), max(self.mapped, mapped)


def measure(options: EngineOptions, speed: bool) -> Measured:
    """In this process, which must be fresh: opens the model, fills its context, and forwards one more full batch."""
    peak = Peak()
    with peak:
        engine: Any = open_engine("llamacpp", options)
        engine.forward(Batch.chain(0, tokens(engine, ROWS), wants="none"))
        engine.commit(0, range(ROWS))
    last = options.sequences - 1
    if last > 0:
        # A sequence saved once and loaded into the others fills the cache in no time; that is not what is measured.
        state = io.BytesIO()
        engine.save(0, state)
        for seq in range(1, last):
            state.seek(0)
            engine.load(seq, state)
        del state
    else:
        engine.truncate(0, 0)
    with peak:
        batch = Batch.chain(last, tokens(engine, ROWS), wants="none")
        batch.wants[-options.outputs :] = 1
        engine.forward(batch).row(ROWS - 1)
        engine.truncate(last, 0)
    for seq in range(last + 1):
        engine.truncate(seq, 0)
    if not speed:
        return Measured(peak.anonymous, peak.mapped, 0.0, None)
    rows = measure_rows(engine, options.threads, options.repack)
    return Measured(peak.anonymous, peak.mapped, decode_rate(engine), rows)


def tokens(engine: Any, count: int) -> list[int]:
    return [7919 * i % engine.vocabulary.size for i in range(1, count + 1)]


def decode_rate(engine: Any) -> float:
    """Tokens per second of one sequence: the best of a few runs, since others only ever slow one down."""
    sampler, rates = Sampler(Law(seed=1), engine.vocabulary.size), []
    for _ in range(RUNS):
        engine.forward(Batch.chain(0, tokens(engine, DEPTH)))
        engine.commit(0, range(DEPTH))
        token, done, start = 1, 0, time.perf_counter()
        while done < DECODED:
            chosen = engine.decode(0, token, sampler, DECODED - done, 60.0, Stop())
            token, done = chosen[-1], done + len(chosen)
        rates.append(DECODED / (time.perf_counter() - start))
        engine.truncate(0, 0)
    return max(rates)


if __name__ == "__main__":
    asked = from_json(sys.stdin.buffer.read(), EngineOptions)
    sys.stdout.buffer.write(to_json(measure(asked, speed="--memory-only" not in sys.argv)))
