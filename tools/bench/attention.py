"""Decoding with fused attention (flash attention) and with attention in parts, in turn, behind so many positions.

    python tools/bench/attention.py MODEL.gguf ... [--depths 64,512,1536] [--threads 2] [--pairs 10]

One JSON line for every model and depth: tokens a second of both, and the ratio with its 95% interval. Which of the two
a plan takes rests on `Look`, which is measured on probe models; `accel plan MODEL --explain` says it.
"""

import argparse
import json
import time
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

from pairs import alternate, environment, ratio_of

from accel.runtime.engines import open_engine
from accel.runtime.engines.base import Batch, Chosen, Engine, Stop
from accel.runtime.engines.options import EngineOptions
from accel.runtime.law import Law
from accel.runtime.sampling import Sampler

ROOM = 8192  # positions of the context
ROWS = 64  # of one forward of a prompt


def opened(path: Path, threads: int, fused: bool) -> Engine:
    options = EngineOptions(
        str(path), ROOM, batch=ROWS, ubatch=ROWS, outputs=1, threads=threads, threads_prefill=threads,
        flash_attention=fused,
    )  # fmt: skip
    return open_engine("llamacpp", options)


def fill(engine: Engine, depth: int) -> None:
    """Positions, in whole forwards."""
    engine.truncate(0, 0)
    for first in range(0, depth, ROWS):
        engine.forward(Batch.chain(0, [(7 * (first + at)) % engine.vocabulary.size for at in range(ROWS)]))
        engine.commit(0, range(ROWS))


def rate(engine: Engine, tokens: int) -> float:
    """Tokens a second of one answer, which is taken back."""
    depth, sampler = engine.length(0), Sampler(Law(temperature=0.8, seed=1), engine.vocabulary.size)
    start = time.perf_counter()
    answer = engine.decode(0, 5, sampler, tokens, Chosen(), Stop())
    spent = time.perf_counter() - start
    engine.truncate(0, depth)
    return max(1, len(answer)) / spent


def compare(path: Path, depths: list[int], threads: int, pairs: int, tokens: int) -> list[dict[str, Any]]:
    apart, fused = (opened(path, threads, fused) for fused in (False, True))
    found = []
    for depth in depths:
        for engine in (apart, fused):
            fill(engine, depth)
        rates = alternate(partial(rate, apart, tokens), partial(rate, fused, tokens), pairs)
        means = [len(each) / sum(1 / one for one in each) for each in rates]
        told = {"apart": means[0], "fused": means[1], "ratio": asdict(ratio_of(*rates))}
        found.append({"model": path.name, "depth": depth, "threads": threads, **told})
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", nargs="+", type=Path)
    parser.add_argument("--depths", default="64,512,1536")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--pairs", type=int, default=10)
    parser.add_argument("--tokens", type=int, default=32)
    given = parser.parse_args()
    print(json.dumps(environment()))
    for path in given.models:
        for found in compare(path, [int(each) for each in given.depths.split(",")], given.threads, given.pairs,
                             given.tokens):  # fmt: skip
            print(json.dumps(found), flush=True)


if __name__ == "__main__":
    main()
