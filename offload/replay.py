"""Recorded routing through a cache that is only counted: what a policy would have hit, and what the best could have.

Pure. A trace holds the experts that every token used: int of shape (tokens, layers, used), no two alike in one layer.
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from .policy import Policy


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
    tokens, layers, _ = trace.shape
    resident = [np.zeros(experts, bool) for _ in range(layers)]
    hits, uses, missed = np.zeros(layers, np.int64), np.zeros(layers, np.int64), 0
    for token in range(tokens):
        for layer in range(layers):
            wanted, here = trace[token, layer], resident[layer]
            known = here[wanted]
            hits[layer] += known.sum()
            uses[layer] += len(wanted)
            missed += int((~known).sum()) * sizes[layer]
            policy.use(layer, wanted)
            here[wanted[~known]] = True
            if (over := int(here.sum()) - quotas[layer]) > 0:
                worth = policy.worth(layer)[layer].copy()
                worth[wanted] = np.inf
                worth[~here] = np.nan  # sorted last
                here[np.argsort(worth, kind="stable")[:over]] = False
        policy.next_token()
    return Replay(hits, uses, missed)


def belady(trace: np.ndarray, quotas: Sequence[int], experts: int, sizes: Sequence[int]) -> Replay:
    """As `replay`, by Belady's rule: what is needed again last goes first, which no policy can beat."""
    tokens, layers, _ = trace.shape
    hits, uses, missed = np.zeros(layers, np.int64), np.zeros(layers, np.int64), 0
    for layer in range(layers):
        coming: dict[int, list[int]] = defaultdict(list)
        for token in range(tokens - 1, -1, -1):
            for expert in trace[token, layer].tolist():
                coming[expert].append(token)
        here: set[int] = set()
        for token in range(tokens):
            wanted = trace[token, layer].tolist()
            found = sum(expert in here for expert in wanted)
            hits[layer] += found
            uses[layer] += len(wanted)
            missed += (len(wanted) - found) * sizes[layer]
            here.update(wanted)
            for expert in wanted:
                coming[expert].pop()
            # An expert just used may go as well: it has been read, and is not needed before others are.
            while len(here) > quotas[layer]:
                here.remove(max(here, key=lambda expert: (coming[expert][-1] if coming[expert] else tokens, expert)))
    return Replay(hits, uses, missed)
