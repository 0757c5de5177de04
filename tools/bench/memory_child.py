"""The process in which memory.py times a model."""

import sys
import time
from dataclasses import dataclass
from typing import Any

from accel.runtime.costs import RowTimes
from accel.runtime.engines import open_engine
from accel.runtime.engines.base import Batch, Chosen, Stop
from accel.runtime.engines.options import EngineOptions
from accel.runtime.law import Law
from accel.runtime.sampling import Sampler
from accel.runtime.timing import measure_rows
from accel.units import from_json, to_json

DECODED, RUNS, TRIES = 48, 3, 60
TURN = "<|im_start|>user\nTell me a story about a fox.<|im_end|>\n<|im_start|>assistant\n"
DEPTH = 128  # positions before the decoded ones


@dataclass(frozen=True, slots=True)
class Measured:
    decode: float  # tokens per second
    rows: RowTimes


def measure(options: EngineOptions) -> Measured:
    """In this process, which must be fresh."""
    engine: Any = open_engine("llamacpp", options)
    rows = measure_rows(engine, options.threads, options.repack, fused=options.flash_attention)
    return Measured(decode_rate(engine), rows)


def prompt(engine: Any, count: int) -> list[int]:
    """A conversation that goes on, so that a model which can talk does not end its turn at once."""
    tokens = engine.vocabulary.encode(TURN * count, special=True)
    return tokens[-count:]


def decode_rate(engine: Any) -> float:
    """Tokens per second of one sequence: the best of a few answers, since others only ever slow one down. One that
    ends early is asked for again."""
    tokens, rates = prompt(engine, DEPTH), []
    for seed in range(TRIES):
        sampler, chosen, stop = Sampler(Law(seed=seed), engine.vocabulary.size), Chosen(), Stop()
        engine.forward(Batch.chain(0, tokens))
        engine.commit(0, range(DEPTH - 1))
        start = time.perf_counter()
        answer = engine.decode(0, tokens[-1], sampler, DECODED, chosen, stop)
        spent = time.perf_counter() - start
        engine.truncate(0, 0)
        if len(answer) == DECODED:
            rates.append(DECODED / spent)
        if len(rates) == RUNS:
            return max(rates)
    raise SystemExit("the model ends every answer at once")


if __name__ == "__main__":
    sys.stdout.buffer.write(to_json(measure(from_json(sys.stdin.buffer.read(), EngineOptions))))
