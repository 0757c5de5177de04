"""Choosing one token: accel's sampler against llama.cpp's own chain (top-k 40, top-p 0.95, temperature 0.8).

python tools/bench/sampling.py [--pairs 20] [--rounds 300]. A JSON line for each size of vocabulary and each law.
The chain works in place on an array of candidates that llama_sampler_sample fills from the logits before every token;
here a copy of a filled array stands for that, which is no slower. Rates are tokens per second.
"""

import argparse
import ctypes
import time
from collections.abc import Callable

import llama_cpp
import numpy as np
from pairs import alternate, ratio_of, report

from accel.runtime.law import Law
from accel.runtime.sampling import Sampler

CANDIDATE = np.dtype([("id", np.int32), ("logit", np.float32), ("p", np.float32)])


def rows_of(size: int, count: int = 16) -> list[np.ndarray]:
    """Logits as peaked as a language model's: normal noise with a few dozen likely tokens above it."""
    chance = np.random.default_rng(0)
    rows = chance.normal(0, 2, (count, size)).astype(np.float32)
    for row in rows:
        row[chance.choice(size, 50, replace=False)] += np.linspace(4, 12, 50, dtype=np.float32)
    return list(rows)


def rate(one: Callable[[int], None], rounds: int) -> Callable[[], float]:
    def run() -> float:
        start = time.perf_counter()
        for i in range(rounds):
            one(i)
        return rounds / (time.perf_counter() - start)

    return run


def ours(rows: list[np.ndarray], law: Law) -> Callable[[int], None]:
    sampler = Sampler(law, rows[0].size)

    def one(i: int) -> None:
        sampler.accept(sampler.choose(rows[i % len(rows)], i))

    return one


def theirs(rows: list[np.ndarray], law: Law) -> Callable[[int], None]:
    c = llama_cpp
    chain = c.llama_sampler_chain_init(c.llama_sampler_chain_default_params())
    if law.temperature == 0:
        c.llama_sampler_chain_add(chain, c.llama_sampler_init_greedy())
    else:
        if law.top_k:
            c.llama_sampler_chain_add(chain, c.llama_sampler_init_top_k(law.top_k))
        if law.top_p < 1:
            c.llama_sampler_chain_add(chain, c.llama_sampler_init_top_p(law.top_p, 1))
        if law.min_p > 0:
            c.llama_sampler_chain_add(chain, c.llama_sampler_init_min_p(law.min_p, 1))
        c.llama_sampler_chain_add(chain, c.llama_sampler_init_temp(law.temperature))
        c.llama_sampler_chain_add(chain, c.llama_sampler_init_dist(1))
    size = rows[0].size
    filled = np.zeros((len(rows), size), CANDIDATE)
    filled["id"] = np.arange(size)
    filled["logit"] = rows
    work = np.empty(size, CANDIDATE)
    pointer = ctypes.cast(work.ctypes.data, ctypes.POINTER(c.llama_token_data))
    array = c.llama_token_data_array(data=pointer, size=size, selected=-1, sorted=False)
    reference = ctypes.byref(array)
    sources = [row.ctypes.data for row in filled]
    target, length = work.ctypes.data, work.nbytes

    def one(i: int) -> None:
        _ = filled  # the sources point into it
        ctypes.memmove(target, sources[i % len(sources)], length)
        array.size, array.selected, array.sorted = size, -1, False
        c.llama_sampler_apply(chain, reference)  # pyright: ignore[reportArgumentType]
        c.llama_sampler_accept(chain, work["id"].item(array.selected))

    return one


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--pairs", type=int, default=20)
    options.add_argument("--rounds", type=int, default=300)
    options = options.parse_args()
    laws = {
        "top-k 40, top-p 0.95, temperature 0.8": Law(),
        "greedy": Law(temperature=0),
        "min-p 0.05 alone": Law(top_k=0, top_p=1, min_p=0.05),
        "no cuts, temperature 1": Law(top_k=0, top_p=1, temperature=1),
        "top-p 0.95 alone": Law(top_k=0),
    }
    for size in (2048, 32_000, 151_936):
        rows = rows_of(size)
        for name, law in laws.items():
            a, b = alternate(
                rate(ours(rows, law), options.rounds), rate(theirs(rows, law), options.rounds), options.pairs
            )
            report(
                what=f"vocabulary {size}, {name}",
                ours_us=1e6 / float(np.median(a)),
                theirs_us=1e6 / float(np.median(b)),
                ratio=ratio_of(a, b),
            )


if __name__ == "__main__":
    main()
