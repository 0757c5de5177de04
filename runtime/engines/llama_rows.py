"""The logits of a llama.cpp forward."""

from collections.abc import Callable, Iterator

import numpy as np


class LlamaRows:
    """See `base.Rows`. Views of the context's own buffer."""

    __slots__ = ("_logits", "_vocabulary", "_wants")

    def __init__(self, logits: Callable[[int], np.ndarray], vocabulary: int, wants: np.ndarray) -> None:
        self._logits = logits
        self._vocabulary = vocabulary
        self._wants = wants

    def row(self, i: int) -> np.ndarray:
        if not 0 <= i < len(self._wants) or not self._wants[i]:
            raise IndexError(f"the logits of row {i} were not asked for")
        return self._logits(i)

    def argmax(self) -> np.ndarray:
        return np.array([logits.argmax() for logits in self._wanted()], np.int32)

    def top(self, k: int) -> tuple[np.ndarray, np.ndarray]:
        k = min(k, self._vocabulary)
        tokens = np.empty((np.count_nonzero(self._wants), k), np.int32)
        values = np.empty(tokens.shape, np.float32)
        for i, logits in enumerate(self._wanted()):
            least = np.partition(logits, len(logits) - k)[len(logits) - k]
            near = np.flatnonzero(logits >= least)
            tokens[i] = near[np.argsort(-logits[near], kind="stable")[:k]]
            values[i] = logits[tokens[i]]
        return values, tokens

    def _wanted(self) -> Iterator[np.ndarray]:
        # One row at a time: all of them together may be more than a plan has room for.
        return (self._logits(i) for i in np.flatnonzero(self._wants).tolist())
