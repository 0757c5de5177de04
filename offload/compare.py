"""Recorded routing through every policy at several budgets. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ..units import Bytes
from .policy import POLICIES, make_policy
from .quotas import share_out
from .replay import Replay, beladys, lru_replays, replays, stack_distances
from .trace import Trace

SHARES = (0.1, 0.25, 0.4, 0.5, 0.6, 0.75)  # of all experts' bytes
BEST = "belady"  # what knows the future; no policy can beat it


@dataclass(frozen=True, slots=True)
class Budget:
    """What every policy, by name, comes to with a share of the experts; empty caches at first."""

    share: float
    quotas: tuple[int, ...]  # of every layer
    replays: dict[str, Replay]
    tokens: int

    def bytes_per_token(self, policy: str) -> Bytes:
        return Bytes(self.replays[policy].missed_bytes / self.tokens)


def even_quotas(trace: Trace, share: float) -> tuple[int, ...]:
    """For a share of all experts' bytes, every layer as many, one at least; fewer than a token uses, too."""
    budget = Bytes(share * trace.experts * sum(trace.sizes))
    quotas = share_out(trace.sizes, trace.experts, 1, budget, trace.experts * trace.layers)
    return quotas or (1,) * trace.layers


def compare(trace: Trace, shares: Sequence[float] = SHARES) -> list[Budget]:
    """By every policy there is and by what knows the future."""
    quotas = [even_quotas(trace, share) for share in shares]
    found = {name: _by(name, trace, quotas) for name in POLICIES}
    found[BEST] = beladys(trace.chosen, quotas, trace.experts, trace.sizes)
    return [
        Budget(share, quotas[place], {name: results[place] for name, results in found.items()}, trace.tokens)
        for place, share in enumerate(shares)
    ]


def _by(name: str, trace: Trace, quotas: Sequence[Sequence[int]]) -> list[Replay]:
    chosen: np.ndarray = trace.chosen
    if name == "lru":
        return lru_replays(stack_distances(chosen, trace.experts), chosen, quotas, trace.sizes)
    return replays(chosen, make_policy(name, trace.layers, trace.experts), quotas, trace.experts, trace.sizes)
