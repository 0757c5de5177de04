"""Experts beside a GPU: tokens a second by where a Mixture-of-Experts model's weights lie.

    python tools/bench/beside_gpu.py MOE.gguf [--shares 1,0.4,0.25] [--rounds 3] [--tokens 64] [--threads 8]

MOE.gguf is one of `tools/synthetic_moe.py`. Every contestant runs in a fresh process; they take turns, round by round.
Needs a build of llama.cpp that finds a GPU. One JSON line for every run, and a table of medians at the end.

    gpu          all weights on the GPU
    mapped       experts in main memory, the whole file mapped
    managed S    experts in main memory, this share of them within a budget and the others read as they are needed
    cpu          nothing on the GPU
"""

import argparse
import json
import statistics
import subprocess
import sys
import time
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
from pairs import environment

from accel.offload.gguf_header import read_header
from accel.offload.layout import Layout
from accel.runtime.engines import open_engine
from accel.runtime.engines.base import Batch
from accel.runtime.engines.options import EngineOptions
from accel.tools.synthetic_moe import topical_tokens

EXPERTS_APART = ((r"^blk\.\d+\.ffn_.*_exps\.", "CPU"),)
PROMPT, WARM = 256, 64  # tokens before any is timed


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path)
    parser.add_argument("--shares", default="1,0.4,0.25")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--tokens", type=int, default=64)
    parser.add_argument("--threads", type=int, default=8)
    parser.add_argument("--child", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.child:
        print(json.dumps(_run(EngineOptions(**json.loads(given.child)), given.tokens)))
        return
    print(json.dumps(environment()))
    runs: dict[str, list[dict[str, float]]] = {}
    for round in range(given.rounds):
        for name, options in _contestants(given).items():
            told = [sys.executable, __file__, str(given.model), "--tokens", str(given.tokens), "--child"]
            done = subprocess.run([*told, json.dumps(asdict(options))], check=True, capture_output=True, text=True)
            found = json.loads(done.stdout.splitlines()[-1])
            print(json.dumps({"contestant": name, "round": round, **found}), flush=True)
            runs.setdefault(name, []).append(found)
    print(f"{'':14} decode/s  prefill/s  MB read/token    hit")
    for name, found in runs.items():
        middle = {key: statistics.median(each[key] for each in found) for key in found[0]}
        rates = f"{middle['decode']:8.1f} {middle['prefill']:10.1f}"
        print(f"{name:14} {rates} {middle['bytes'] / 1e6:14.1f} {middle['hit']:6.0%}")


def _contestants(given: argparse.Namespace) -> dict[str, EngineOptions]:
    size = Layout.of(read_header(given.model)).size
    usual: dict[str, Any] = {"context": 2048, "batch": 256, "ubatch": 256, "outputs": 1, "repack": False}
    usual |= {"path": str(given.model), "threads": given.threads, "threads_prefill": given.threads}
    beside = EngineOptions(**usual, gpu_layers=999, overrides=EXPERTS_APART)
    shares = [float(share) for share in given.shares.split(",")]
    managed = {f"managed {share:.0%}": replace(beside, expert_memory=int(1.02 * share * size)) for share in shares}
    whole = {"gpu": EngineOptions(**usual, gpu_layers=999), "mapped": beside}
    return {**whole, **managed, "cpu": EngineOptions(**usual)}


def _run(options: EngineOptions, count: int) -> dict[str, float]:
    engine: Any = open_engine("llamacpp", options)
    random = np.random.default_rng(1)
    tokens = topical_tokens(PROMPT + WARM + count, engine.vocabulary.size, 16, random).tolist()
    start = time.perf_counter()
    engine.forward(Batch.chain(0, tokens[:PROMPT])).row(PROMPT - 1)
    engine.commit(0, range(PROMPT))
    prefill, before = PROMPT / (time.perf_counter() - start), (0, 0, 0)
    for place, token in enumerate(tokens[PROMPT:]):
        if place == WARM:
            start, before = time.perf_counter(), _counts(engine)
        engine.forward(Batch.chain(0, [token])).row(0)
        engine.commit(0, range(1))
    seconds = time.perf_counter() - start
    read, hits, uses = (after - was for after, was in zip(_counts(engine), before, strict=True))
    return {
        "decode": count / seconds,
        "prefill": prefill,
        "bytes": read / count,
        "hit": hits / uses if uses else 1.0,
    }


def _counts(engine: Any) -> tuple[int, int, int]:
    """Bytes read, uses that hit, uses."""
    found = engine.offloaded()
    if not found:
        return 0, 0, 0
    return found.read, sum(layer.hits for layer in found.layers), sum(layer.uses for layer in found.layers)


if __name__ == "__main__":
    main()
