"""A model that fits: accel's engine beside `llama_decode` alone, in one process and taking turns token by token.

    python tools/bench/fits.py MODEL.gguf [--context 4096] [--tokens 600]

Both hold the model as the plan would, weights repacked where it says so, and are fed the same tokens; nothing is
sampled. What happens to the machine happens to both, so the median of the ratios, token by token, is known to less than
a per cent where means are not. Needs memory for the model twice. Prints a JSON line.
"""

import argparse
import sys
import time
from pathlib import Path
from typing import Any

import llama_cpp
import numpy as np
from pairs import report

from accel.runtime.engines import open_engine
from accel.runtime.engines.base import Batch
from accel.runtime.engines.options import EngineOptions
from accel.runtime.plan import engine_options
from accel.runtime.planning import goal_of, plan_or_raise, this_machine
from accel.runtime.settings import Settings

WARM, BLOCK = 32, 16  # tokens that are not timed; tokens that are drawn together


class Alone:
    """llama.cpp through its own interface, with the options of the plan."""

    def __init__(self, options: EngineOptions) -> None:
        model = llama_cpp.llama_model_default_params()
        model.n_gpu_layers, model.use_extra_bufts = options.gpu_layers, options.repack
        self._model: Any = llama_cpp.llama_model_load_from_file(options.path.encode(), model)
        context = llama_cpp.llama_context_default_params()
        context.n_ctx, context.n_batch, context.n_ubatch = options.context, options.batch, options.ubatch
        context.n_threads, context.n_threads_batch = options.threads, options.threads_prefill
        context.flash_attn_type = 1
        if options.kv_type == "q8_0":
            context.type_k = context.type_v = llama_cpp.GGML_TYPE_Q8_0
        self._context: Any = llama_cpp.llama_init_from_model(self._model, context)
        if not self._context:
            raise SystemExit("llama.cpp does not open this model")

    def decode(self, token: int) -> float:
        tokens = (llama_cpp.llama_token * 1)(token)
        if llama_cpp.llama_decode(self._context, llama_cpp.llama_batch_get_one(tokens, 1)):
            raise SystemExit("llama_decode failed")
        return llama_cpp.llama_get_logits_ith(self._context, -1)[0]


class Ours:
    def __init__(self, options: EngineOptions) -> None:
        self._engine = open_engine("llamacpp", options)

    def decode(self, token: int) -> float:
        logits = self._engine.forward(Batch.chain(0, [token])).row(0)
        self._engine.commit(0, range(1))
        return float(logits[0])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path)
    parser.add_argument("--context", type=int, default=4096)
    parser.add_argument("--tokens", type=int, default=600)
    given = parser.parse_args()
    settings = Settings(model=str(given.model), context=given.context)
    machine = this_machine(lambda _: None)
    options = engine_options(plan_or_raise(given.model, goal_of(settings), machine, lambda _: None))
    if options.expert_memory:
        raise SystemExit("this model does not fit here")
    print(options, file=sys.stderr)
    ours, alone = Ours(options), Alone(options)
    tokens = np.random.default_rng(1).integers(3, 1000, WARM + given.tokens).tolist()
    times: tuple[list[float], list[float]] = ([], [])
    same = 0
    for place, token in enumerate(tokens):
        said = {}
        for who in (0, 1) if place % 2 else (1, 0):
            start = time.perf_counter()
            said[who] = (ours, alone)[who].decode(token)
            if place >= WARM:
                times[who].append(time.perf_counter() - start)
        same += said[0] == said[1]
    ratios = np.array(times[1]) / np.array(times[0])
    low, high = _interval(ratios)
    report(
        what="decode where all fits",
        model=given.model.name,
        threads=options.threads,
        ours=1 / np.median(times[0]),
        alone=1 / np.median(times[1]),
        ratio={"median": float(np.median(ratios)), "low": low, "high": high, "tokens": given.tokens},
        same_logits=same / len(tokens),
    )


def _interval(ratios: np.ndarray) -> tuple[float, float]:
    """Of the median, 95%: drawn block by block, since what disturbs one token disturbs the next."""
    blocks = ratios[: len(ratios) // BLOCK * BLOCK].reshape(-1, BLOCK)
    rng = np.random.default_rng(0)
    medians = [np.median(blocks[rng.integers(0, len(blocks), len(blocks))]) for _ in range(2000)]
    return float(np.quantile(medians, 0.025)), float(np.quantile(medians, 0.975))


if __name__ == "__main__":
    main()
