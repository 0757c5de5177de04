"""Fits HOBBIT's weights to a model's recorded routing, and says whether they help.

    python tools/fit_policy.py TRACE [--parts 4] [--shares 0.25,0.4,0.5,0.6,0.75]

TRACE is what `accel bench experts --trace TRACE` or `tools/record_routing.py` wrote. Each part of it is held out in
turn; weights are fitted to the others, and what every policy misses on the held-out part is compared with LRU, from
empty caches, with even shares for all layers. `shares` is LRU with layers' shares by the hit curves of the others.
"""

import argparse
import sys
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from statistics import mean

import numpy as np

from accel.errors import AccelError, status
from accel.offload.compare import BEST, compare
from accel.offload.curves import HitCurves
from accel.offload.fit import fit_weights, relative_misses, replay_hobbit
from accel.offload.policy import Weights
from accel.offload.quotas import share_by_hits
from accel.offload.replay import Replay, hit_curves, lru_replays, stack_distances
from accel.offload.trace import Trace, load_trace
from accel.units import Bytes

FITTED, SHARED = "fitted", "shares"
NAMES = ("lfu", "hobbit", "cost", FITTED, SHARED, BEST)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("trace", type=Path)
    parser.add_argument("--parts", type=int, default=4)
    parser.add_argument("--shares", default="0.25,0.4,0.5,0.6,0.75")
    given = parser.parse_args()
    shares = [float(share) for share in given.shares.split(",")]
    try:
        trace = load_trace(given.trace)
        fit(trace, max(2, min(given.parts, trace.tokens)), shares)
    except AccelError as error:
        print(error, file=sys.stderr)
        return status(error).exit
    return 0


def fit(trace: Trace, parts: int, shares: Sequence[float]) -> None:
    edges = [trace.tokens * part // parts for part in range(parts + 1)]
    folds: list[tuple[dict[str, list[Replay]], list[Replay]]] = []
    for part, (first, end) in enumerate(pairwise(edges)):
        rest = np.concatenate([trace.chosen[:first], trace.chosen[end:]])
        others = Trace(trace.model, trace.name, trace.experts, trace.sizes, rest)
        weights = fit_weights(others, progress=lambda done, part=part: _tell((part + done) / parts))
        folds.append(_held_out(trace.part(first, end), others, weights, shares))
    whole = fit_weights(trace)
    print(f"{trace.name}: {trace.tokens} tokens, {parts} parts held out in turn; missed bytes relative to LRU's")
    print(f"{'kept':>5} {'LRU hits':>9} " + " ".join(f"{name:>15}" for name in NAMES))
    for place, share in enumerate(shares):
        hits = mean(lru[place].rate for _, lru in folds)
        cells = [
            _spread([found[name][place].missed_bytes / max(1, lru[place].missed_bytes) for found, lru in folds])
            for name in NAMES
        ]
        print(f"{share:5.0%} {hits:9.1%} " + " ".join(f"{cell:>15}" for cell in cells))
    for name in (FITTED, SHARED):
        print(_verdict(name, [relative_misses(found[name], lru) for found, lru in folds]))
    print("weights fitted to all of it: " + ", ".join(f"{name} {getattr(whole, name):.3f}" for name in _FIELDS))


_FIELDS = ("recency", "frequency", "high", "distance")


def _held_out(
    part: Trace, others: Trace, weights: Weights, shares: Sequence[float]
) -> tuple[dict[str, list[Replay]], list[Replay]]:
    """By name what each comes to at every budget, and what LRU does."""
    budgets = compare(part, shares)
    quotas = [budget.quotas for budget in budgets]
    found = {name: [budget.replays[name] for budget in budgets] for name in NAMES if name in budgets[0].replays}
    found[FITTED] = replay_hobbit(part, quotas, weights)
    curves = hit_curves(others.chosen, others.experts)
    shared = [_shared(part, quota, curves) for quota in quotas]
    found[SHARED] = lru_replays(stack_distances(part.chosen, part.experts), part.chosen, shared, part.sizes)
    return found, [budget.replays["lru"] for budget in budgets]


def _shared(part: Trace, even: Sequence[int], curves: HitCurves) -> tuple[int, ...]:
    """As many bytes as the even quotas take, by hits; even where they are too few for one token."""
    budget = Bytes(sum(quota * size for quota, size in zip(even, part.sizes, strict=True)))
    most = part.experts * part.layers
    return share_by_hits(part.sizes, part.experts, part.used, budget, most, curves) or tuple(even)


def _spread(ratios: list[float]) -> str:
    return f"{mean(ratios):.3f} {min(ratios):.2f}-{max(ratios):.2f}"


def _verdict(name: str, ratios: list[float]) -> str:
    low, middle, high = (ratio - 1 for ratio in (min(ratios), mean(ratios), max(ratios)))
    words = f"{name}: {middle:+.1%} bytes missed against LRU, {low:+.1%} to {high:+.1%}"
    if max(ratios) < 1:
        return f"{words}: better in every held-out part"
    return f"{words}: no better than LRU by more than noise" if min(ratios) < 1 else f"{words}: never better"


def _tell(done: float) -> None:
    if sys.stderr.isatty():
        sys.stderr.write(f"\r{done:4.0%} ")


if __name__ == "__main__":
    sys.exit(main())
