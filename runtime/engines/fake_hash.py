"""What stands for a model in the fake engine: numbers that are a hash of a path's tokens, and nothing else."""

from collections.abc import Sequence

import numpy as np

MASK = 2**64 - 1
_GOLDEN = 0x9E3779B97F4A7C15


def hash_of(tokens: Sequence[int]) -> int:
    state = 0
    for token in tokens:
        state = mix(state, token)
    return state


def mix(state: int, token: int) -> int:
    mixed = (state ^ (token + 1) * _GOLDEN) * 0xBF58476D1CE4E5B9 & MASK
    return mixed ^ mixed >> 29


def noise(states: np.ndarray, count: int) -> np.ndarray:
    """(n, count) numbers in [0, 1), float32, from n hashes."""
    mixed = states[:, None] + np.arange(1, count + 1, dtype=np.uint64) * np.uint64(_GOLDEN)
    mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return ((mixed ^ (mixed >> np.uint64(31))) >> np.uint64(40)).astype(np.float32) / np.float32(2**24)
