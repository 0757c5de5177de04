"""The process in which experts.py decodes: one contestant, held by the cgroup it was started in."""

import json
import sys
import time
from typing import Any

import numpy as np

from accel.offload.counts import shares_of
from accel.offload.replay import belady
from accel.runtime.engines import open_engine
from accel.runtime.engines.base import Batch
from accel.runtime.engines.llama_experts import READERS
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
    trace = _watched(engine)
    times, before = [], _counts(engine)
    for place, token in enumerate(tokens[job["prompt"] :]):
        if place == job["warm"]:
            before = _counts(engine)
            trace.clear()
        start = time.perf_counter()
        logits = engine.forward(Batch.chain(0, [token])).row(0)
        engine.commit(0, range(1))
        times.append(time.perf_counter() - start)
    decode = times[job["warm"] :]
    after = _counts(engine)
    found = {"opened": opened, "prefill": prefill, "decode": sum(decode) / len(decode), "check": float(logits.sum())}
    found |= {name: (after[name] - before[name]) / len(decode) for name in after}
    if after:
        shares = shares_of(found["uses"], found["hits"], found["low"], found["skipped"])
        found |= {f"share_{name}": share for name, share in shares._asdict().items()}  # of the uses: see quality.py
    if trace:
        found |= _best(engine, np.array(trace), len(decode))
        found["rate"] = found["bytes"] / found["reading"] if found["reading"] else 1.0
    print(json.dumps(found))


def _watched(engine: Any) -> list[np.ndarray]:
    """What every layer uses from now on, one after another."""
    trace: list[np.ndarray] = []
    if engine.experts:
        use = engine.experts.residency.use

        def watched(layer: int, experts: np.ndarray, *more: Any) -> np.ndarray:
            trace.append(experts.copy())
            return use(layer, experts, *more)

        engine.experts.residency.use = watched
    return trace


def _best(engine: Any, used: np.ndarray, tokens: int) -> dict[str, float]:
    """What the best cache would have read for one of these tokens, filled with what it likes before the first."""
    residency, store = engine.experts.residency, engine.experts.store
    layers, sizes = len(store.rooms), [store.layout.size_of(layer) for layer in store.layers]
    quotas, experts = residency.quotas, store.layout.experts
    missed = belady(used.reshape(tokens, layers, -1), quotas, experts, sizes).missed_bytes
    filled = sum(quota * size for quota, size in zip(quotas, sizes, strict=True))
    recall = engine.experts.predictor.recall[1:, 1].mean()
    return {"best": max(0, missed - filled) / tokens, "recall": float(recall), "expert": sum(sizes) / layers}


def _counts(engine: Any) -> dict[str, float]:
    """So far: bytes read, seconds of reading by all threads at once, and the counts of `residency.Counts`."""
    if not engine.experts:
        return {}
    store, counts = engine.experts.store, engine.experts.residency.counts
    size, _, seconds = store.counts
    names = ("uses", "hits", "late", "beside", "expected", "fulfilled", "wasted", "low", "skipped", "stall")
    return {"bytes": size, "reading": seconds / READERS} | {name: float(getattr(counts, name).sum()) for name in names}


if __name__ == "__main__":
    main()
