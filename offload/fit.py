"""HOBBIT's weights for one model, fitted to its recorded routing. Pure.

Within a layer, and where every use is one in full precision, little of the four weights is left to fit: the distance
is the same for all of a layer's experts, and frequency and use in full precision are one. It is how much both count
against recency.
"""

import math
from collections.abc import Callable, Sequence

import numpy as np

from .compare import even_quotas
from .policy import Hobbit, Weights
from .replay import Replay, lru_replays, replays, stack_distances
from .trace import Trace

FITTED_SHARES = (0.25, 0.4, 0.6)
_COARSE = (-math.inf, *range(-7, 8), math.inf)  # frequency against recency: logarithms of their ratio, to base e
_FINE = (-0.75, -0.5, -0.25, 0.25, 0.5, 0.75)
_USUAL = Weights()


def fit_weights(
    trace: Trace, shares: Sequence[float] = FITTED_SHARES, progress: Callable[[float], object] = lambda done: None
) -> Weights:
    """Those that miss the fewest bytes at these budgets, each taken relative to what LRU misses there; sum 1."""
    quotas = [even_quotas(trace, share) for share in shares]
    lru = lru_replays(stack_distances(trace.chosen, trace.experts), trace.chosen, quotas, trace.sizes)
    misses: dict[float, float] = {}

    def weigh(ratio: float) -> None:
        if ratio not in misses:
            misses[ratio] = relative_misses(replay_hobbit(trace, quotas, weights_of(ratio)), lru)
            progress(len(misses) / (len(_COARSE) + len(_FINE)))

    for ratio in _COARSE:
        weigh(ratio)
    best = min(misses, key=lambda ratio: misses[ratio])
    for step in _FINE if math.isfinite(best) else ():
        weigh(best + step)
    progress(1.0)
    return weights_of(min(misses, key=lambda ratio: misses[ratio]))


def weights_of(ratio: float) -> Weights:
    """With frequency and use in full precision e^ratio times as heavy as recency; the distance as usual."""
    often = 1 / (1 + math.exp(-ratio)) if ratio > -math.inf else 0.0
    left, usual = 1 - _USUAL.distance, _USUAL.frequency + _USUAL.high
    return Weights(
        recency=left * (1 - often),
        frequency=left * often * _USUAL.frequency / usual,
        high=left * often * _USUAL.high / usual,
        distance=_USUAL.distance,
    )


def replay_hobbit(trace: Trace, quotas: Sequence[Sequence[int]], weights: Weights) -> list[Replay]:
    policy = Hobbit(trace.layers, trace.experts, weights)
    return replays(trace.chosen, policy, quotas, trace.experts, trace.sizes)


def relative_misses(some: Sequence[Replay], others: Sequence[Replay]) -> float:
    """Of bytes, at every budget, in the mean."""
    pairs = zip(some, others, strict=True)
    return float(np.mean([one.missed_bytes / max(1, other.missed_bytes) for one, other in pairs]))
