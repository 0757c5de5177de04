"""The process in which memory.py times a model."""

import sys
import time
from dataclasses import dataclass
from typing import Any

from accel.runtime.costs import RowTimes, measure_rows
from accel.runtime.engines import open_engine
from accel.runtime.engines.base import Batch, Chosen, Stop
from accel.runtime.engines.options import EngineOptions
from accel.runtime.law import Law
from accel.runtime.sampling import Sampler
from accel.units import from_json, to_json

DECODED, RUNS = 48, 3
DEPTH = 128  # positions before the decoded ones


@dataclass(frozen=True, slots=True)
class Measured:
    decode: float  # tokens per second
    rows: RowTimes


def measure(options: EngineOptions) -> Measured:
    """In this process, which must be fresh."""
    engine: Any = open_engine("llamacpp", options)
    rows = measure_rows(engine, options.threads, options.repack)
    return Measured(decode_rate(engine), rows)


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
            chosen = engine.decode(0, token, sampler, DECODED - done, Chosen(), Stop())
            token, done = chosen[-1], done + len(chosen)
        rates.append(DECODED / (time.perf_counter() - start))
        engine.truncate(0, 0)
    return max(rates)


if __name__ == "__main__":
    sys.stdout.buffer.write(to_json(measure(from_json(sys.stdin.buffer.read(), EngineOptions))))
