"""Which experts the next layers will use, from what the present layer's gate is given: their own gates answer it.

Fate (arXiv 2502.12224) feeds the input of one layer's gate to the next layer's; HOBBIT (arXiv 2411.01433, section 3.3)
does so several layers ahead. What a layer adds to the stream of hidden states is small, so most of the answer is right;
how much is measured as it runs. The present layer's norm is taken off the input and the other layer's put on, which
both papers leave out. Pure.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

LEAST_RECALL = 0.5  # of a layer's experts that must have been foreseen, or it is not predicted
LEAST_SURE = 0.75  # how often a rank's expert must have been right, or it is not expected: the last are guesses
_MEMORY, _SURE_MEMORY = 0.97, 0.998  # of what was seen so far, when one more is counted


@dataclass(frozen=True, slots=True)
class Gate:
    """Of one layer: `weight` (experts, width) and the norm (width) that its input went through."""

    weight: np.ndarray
    norm: np.ndarray | None = None


class Predictor:
    """Layers are counted among those that have experts."""

    def __init__(self, gates: Mapping[int, Gate], used: int, ahead: int = 3) -> None:
        self.ahead = ahead
        self._used = used
        self._weights: dict[tuple[int, int], np.ndarray] = {}  # (layer, how far ahead)
        for layer, gate in gates.items():
            for far in range(1, ahead + 1):
                if (later := gates.get(layer + far)) is not None:
                    self._weights[layer, far] = _as_seen_from(gate, later)
        layers = max(gates, default=-1) + 1
        self.recall = np.full((layers, ahead + 1), 0.75)  # of a layer, by how far ahead; a guess until it is seen
        self.sure = np.full((ahead + 1, used), 0.85)  # by how far ahead, and by rank: how often it was right; a guess
        self._said: dict[tuple[int, int], np.ndarray] = {}  # of one token: (layer, how far ahead)

    def expect(self, layer: int, far: int, inputs: np.ndarray) -> np.ndarray | None:
        """The experts that the layer `far` layers on will use for these rows (rows, width), the likeliest first: as
        many of those that one token uses as are sure enough, or those of all rows. None where that is not known, or was
        wrong too often."""
        weight = self._weights.get((layer, far))
        if weight is None:
            return None
        trusted = self.recall[layer + far, far] >= LEAST_RECALL
        if len(inputs) == 1:
            found = (weight @ inputs[0]).argsort()[: -self._used - 1 : -1]
            self._said[layer + far, far] = found
            unsure = self.sure[far] < LEAST_SURE
            sure = int(unsure.argmax()) if unsure.any() else self._used
            return found[:sure] if trusted and sure else None
        if not trusted:
            return None
        chosen = np.argpartition(-(inputs @ weight.T), self._used - 1, axis=1)[:, : self._used]
        wanted = np.bincount(chosen.ravel(), minlength=len(weight))
        return np.argsort(-wanted, kind="stable")[: np.count_nonzero(wanted)]

    def scores(self, layer: int, far: int, experts: np.ndarray, inputs: np.ndarray) -> np.ndarray:
        """How much each of the experts that `expect` named for a single row will count beside the others: softmax."""
        logits = self._weights[layer, far][experts] @ inputs[0]
        return np.exp(logits - logits.max())

    def learn(self, layer: int, experts: np.ndarray) -> None:
        """What one token used of a layer, after it was foreseen."""
        for far in range(1, self.ahead + 1):
            said = self._said.pop((layer, far), None)
            if said is not None:
                right = (said[:, None] == experts).any(axis=1)
                self.recall[layer, far] = _MEMORY * self.recall[layer, far] + (1 - _MEMORY) * right.mean()
                self.sure[far] = _SURE_MEMORY * self.sure[far] + (1 - _SURE_MEMORY) * right


def _as_seen_from(gate: Gate, later: Gate) -> np.ndarray:
    """A later layer's gate for what an earlier one's is given."""
    weight = np.asarray(later.weight, np.float32)
    if gate.norm is None or later.norm is None:
        return weight
    norm = np.where(np.abs(gate.norm) > 1e-6, gate.norm, 1e-6)
    return np.ascontiguousarray(weight * (later.norm / norm).astype(np.float32))
