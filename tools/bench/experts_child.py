"""The process in which experts.py decodes: one contestant, held by the cgroup it was started in."""

import json
import sys
import time
from typing import Any

import numpy as np

from accel.runtime.engines import open_engine
from accel.runtime.engines.base import Batch
from accel.runtime.engines.options import EngineOptions
from accel.tools.synthetic_moe import topical_tokens


def main() -> None:
    job = json.loads(sys.stdin.read())
    start = time.perf_counter()
    engine: Any = open_engine("llamacpp", EngineOptions(**job["options"]))
    opened = time.perf_counter() - start
    vocabulary = engine.vocabulary.size
    tokens = topical_tokens(
        job["prompt"] + job["warm"] + job["tokens"], vocabulary, job["topics"], np.random.default_rng(job["seed"])
    ).tolist()
    start = time.perf_counter()
    rows = engine.can.rows
    for at in range(0, job["prompt"], rows):
        part = tokens[at : min(at + rows, job["prompt"])]
        engine.forward(Batch.chain(0, part))
        engine.commit(0, range(len(part)))
    prefill = time.perf_counter() - start
    times, before = [], _counts(engine)
    for place, token in enumerate(tokens[job["prompt"] :]):
        if place == job["warm"]:
            before = _counts(engine)
        start = time.perf_counter()
        logits = engine.forward(Batch.chain(0, [token])).row(0)
        engine.commit(0, range(1))
        times.append(time.perf_counter() - start)
    decode = times[job["warm"] :]
    after = _counts(engine)
    found = {"opened": opened, "prefill": prefill, "decode": sum(decode) / len(decode), "check": float(logits.sum())}
    found |= {name: (after[name] - before[name]) / len(decode) for name in after}
    print(json.dumps(found))


def _counts(engine: Any) -> dict[str, float]:
    """So far: bytes read, experts used and found there, those expected and then used, seconds waited."""
    if not engine.experts:
        return {}
    counts = engine.experts.residency.counts
    size = engine.experts.store.counts[0]
    names = ("uses", "hits", "late", "beside", "expected", "fulfilled", "stall")
    return {"bytes": size} | {name: float(getattr(counts, name).sum()) for name in names}


if __name__ == "__main__":
    main()
