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
    """Of one layer: `weight` (experts, width) and the norm (width) that its input went through; `bias` (experts) is
    added to the logits. Scores are the logits' softmax, or the sigmoid of each; `favour` (experts) is added to them for
    the choice alone, as DeepSeek V3 does to spread the load."""

    weight: np.ndarray
    norm: np.ndarray | None = None
    bias: np.ndarray | None = None
    favour: np.ndarray | None = None
    sigmoid: bool = False

    def scores(self, logits: np.ndarray) -> np.ndarray:
        """Of every expert or some, for each row (..., experts): not below zero, by which their outputs are weighed."""
        if self.sigmoid:
            return 1 / (1 + np.exp(-logits))
        powers = np.exp(logits - logits.max(-1, keepdims=True))
        return powers / powers.sum(-1, keepdims=True)

    def order(self, logits: np.ndarray) -> np.ndarray:
        """By which experts are chosen, for each row (..., experts): the greatest."""
        return logits if self.favour is None else self.scores(logits) + self.favour


class Predictor:
    """Layers are counted among those that have experts."""

    def __init__(self, gates: Mapping[int, Gate], used: int, ahead: int = 3) -> None:
        self.ahead = ahead
        self._used = used
        self._gates = dict(gates)
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
            order = self._gates[layer + far].order(self._logits(layer, far, inputs)[0])
            found = order.argsort()[: -self._used - 1 : -1]
            self._said[layer + far, far] = found
            unsure = self.sure[far] < LEAST_SURE
            sure = int(unsure.argmax()) if unsure.any() else self._used
            return found[:sure] if trusted and sure else None
        if not trusted:
            return None
        order = self._gates[layer + far].order(self._logits(layer, far, inputs))
        chosen = np.argpartition(-order, self._used - 1, axis=1)[:, : self._used]
        wanted = np.bincount(chosen.ravel(), minlength=len(weight))
        return np.argsort(-wanted, kind="stable")[: np.count_nonzero(wanted)]

    def scores(self, layer: int, far: int, experts: np.ndarray, inputs: np.ndarray) -> np.ndarray:
        """How much each of the experts that `expect` named for a single row will count beside the others."""
        return self._gates[layer + far].scores(self._logits(layer, far, inputs)[0, experts])

    def _logits(self, layer: int, far: int, inputs: np.ndarray) -> np.ndarray:
        """(rows, experts)"""
        logits, bias = inputs @ self._weights[layer, far].T, self._gates[layer + far].bias
        return logits if bias is None else logits + bias

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
