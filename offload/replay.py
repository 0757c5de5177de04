"""Recorded routing through a cache that is only counted: what a policy would have hit, and what the best could have.

Pure. A trace holds the experts that every token used: int of shape (tokens, layers, used), no two alike in one layer.
Policies do not see what is resident, so one pass over a trace serves every budget.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from .curves import HitCurves
from .policy import Policy

_WARM = 0.25  # of a trace, after which uses count for what is usual: an empty cache is not


@dataclass(frozen=True, slots=True)
class Replay:
    """Hits of every layer, and of how many uses; bytes missed in all."""

    hits: np.ndarray
    uses: np.ndarray
    missed_bytes: int

    @property
    def rate(self) -> float:
        return float(self.hits.sum() / max(1, self.uses.sum()))


def replay(trace: np.ndarray, policy: Policy, quotas: Sequence[int], experts: int, sizes: Sequence[int]) -> Replay:
    """Through caches of so many experts for every layer, empty at first; `sizes`: bytes of one expert of each layer.

    An expert that the present token uses is never evicted for another of the same token: a quota below what one token
    uses of a layer serves only so many of them.
    """
    return replays(trace, policy, [quotas], experts, sizes)[0]


def replays(
    trace: np.ndarray, policy: Policy, quotas: Sequence[Sequence[int]], experts: int, sizes: Sequence[int]
) -> list[Replay]:
    """`replay` for several budgets, each with the quotas of every layer, in one pass."""
    return _results(trace, sizes, _hits(trace, quotas, experts, _worths(trace, policy, experts)))


def belady(trace: np.ndarray, quotas: Sequence[int], experts: int, sizes: Sequence[int]) -> Replay:
    """As `replay`, by Belady's rule: what is needed again last goes first, which no policy can beat."""
    return beladys(trace, [quotas], experts, sizes)[0]


def beladys(
    trace: np.ndarray, quotas: Sequence[Sequence[int]], experts: int, sizes: Sequence[int]
) -> list[Replay]:  # fmt: skip
    """`belady` for several budgets, in one pass."""
    return _results(trace, sizes, _hits(trace, quotas, experts, _needs(trace, experts)))


def stack_distances(trace: np.ndarray, experts: int) -> np.ndarray:
    """Of every use how many experts of its layer were used since that expert was last; `experts` where it never was.
    int32 of the trace's shape: a cache that lets go what was used longest ago hits where its quota is greater."""
    tokens, layers, _ = trace.shape
    distances = np.empty(trace.shape, np.int32)
    index = np.arange(experts)
    last = np.broadcast_to(index - experts, (layers, experts)).copy()  # never; of one token's the higher is kept
    for token in range(tokens):
        wanted = trace[token].astype(np.intp)
        own = np.take_along_axis(last, wanted, 1)
        newer = np.count_nonzero(last[:, None, :] > own[:, :, None], axis=2)
        distances[token] = np.where(own < 0, experts, newer)
        np.put_along_axis(last, wanted, token * experts + wanted, 1)
    return distances


def lru_replays(
    distances: np.ndarray, trace: np.ndarray, quotas: Sequence[Sequence[int]], sizes: Sequence[int]
) -> list[Replay]:
    """As `replays` by the policy that lets go what was used longest ago, from its stack distances."""
    limits = np.asarray(quotas)[:, None, :, None]
    hits = np.stack([np.count_nonzero(distances < limit, axis=(0, 2)) for limit in limits])
    return _results(trace, sizes, hits)


def hit_curves(trace: np.ndarray, experts: int, warm: float = _WARM) -> HitCurves:
    """What is usual once a cache is filled: uses of the trace's first part are seen and not counted, and an expert that
    was never used before is one that only a cache of all would hold."""
    distances = np.minimum(stack_distances(trace, experts), experts - 1)[int(warm * len(trace)) :]
    _, layers, used = distances.shape
    steps = [np.bincount(distances[:, layer].ravel(), minlength=experts) for layer in range(layers)]
    hits = tuple((0, *np.cumsum(step).tolist()) for step in steps)
    return HitCurves(len(distances) * used, hits)


def resident(trace: np.ndarray, policy: Policy, quotas: Sequence[int], experts: int) -> np.ndarray:
    """What is kept after every token: bool of shape (tokens, layers, experts)."""
    kept: list[np.ndarray] = []
    _hits(trace, [quotas], experts, _worths(trace, policy, experts), lambda here: kept.append(here[0].copy()))
    return np.stack(kept)


def _worths(trace: np.ndarray, policy: Policy, experts: int) -> Iterable[np.ndarray]:
    """Of every token, what keeping each expert is worth when its layer has used what it needs: (layers, experts)."""
    tokens, layers, _ = trace.shape
    worths = np.empty((layers, experts))
    for token in range(tokens):
        wanted = trace[token].astype(np.intp)
        for layer in range(layers):
            policy.use(layer, wanted[layer])
            worths[layer] = policy.worth(layer)[layer]
        policy.next_token()
        np.put_along_axis(worths, wanted, np.inf, 1)
        yield worths


def _needs(trace: np.ndarray, experts: int) -> Iterable[np.ndarray]:
    """As `_worths`: the sooner an expert is needed again, the more it is worth. One just used may go as well: it has
    been read, and is not needed before others are."""
    tokens, layers, used = trace.shape
    again = np.empty((tokens, layers, used), np.int64)  # the token that uses it next
    coming = np.full((layers, experts), tokens)
    for token in range(tokens - 1, -1, -1):
        wanted = trace[token].astype(np.intp)
        again[token] = np.take_along_axis(coming, wanted, 1)
        np.put_along_axis(coming, wanted, token, 1)
    for token in range(tokens):
        np.put_along_axis(coming, trace[token].astype(np.intp), again[token], 1)
        yield -coming.astype(float)


def _hits(
    trace: np.ndarray,
    quotas: Sequence[Sequence[int]],
    experts: int,
    worths: Iterable[np.ndarray],
    watch: Callable[[np.ndarray], object] = lambda here: None,
) -> np.ndarray:
    """(budgets, layers). Whoever is worth least goes; `watch` sees what is kept after every token, (budgets, layers,
    experts)."""
    limits = np.asarray(quotas)
    here = np.zeros((*limits.shape, experts), bool)
    hits = np.zeros(limits.shape, np.int64)
    wanted = np.zeros(here.shape[1:], bool)
    rows = np.arange(len(wanted))[:, None]
    for token, worth in zip(trace, worths, strict=True):
        wanted[:] = False
        wanted[rows, token] = True
        hits += np.count_nonzero(here & wanted, axis=2)
        here |= wanted
        best = np.argsort(worth, axis=1, kind="stable")[:, ::-1]
        ordered = here[:, rows, best]
        ordered &= np.cumsum(ordered, axis=2) <= limits[:, :, None]
        here[:, rows, best] = ordered
        watch(here)
    return hits


def _results(trace: np.ndarray, sizes: Sequence[int], hits: np.ndarray) -> list[Replay]:
    tokens, layers, used = trace.shape
    uses = np.full(layers, tokens * used, np.int64)
    return [Replay(found, uses, int(((uses - found) * np.asarray(sizes)).sum())) for found in hits]
