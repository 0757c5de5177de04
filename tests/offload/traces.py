"""Routing that tests draw."""

import numpy as np
from hypothesis import strategies as st

from accel.offload.trace import Trace
from accel.units import Bytes

EXPERTS = 12


def a_routing(rng: np.random.Generator, tokens: int, layers: int, used: int, experts: int = EXPERTS) -> np.ndarray:
    """(tokens, layers, used): some experts are more popular than others."""
    popular = rng.random(experts) ** 3 + 0.01
    pick = lambda: rng.choice(experts, used, replace=False, p=popular / popular.sum())  # noqa: E731
    return np.array([[pick() for _ in range(layers)] for _ in range(tokens)])


@st.composite
def routings(draw: st.DrawFn) -> np.ndarray:
    tokens, layers, used = draw(st.integers(1, 40)), draw(st.integers(1, 4)), draw(st.integers(1, 4))
    return a_routing(np.random.default_rng(draw(st.integers(0, 2**32))), tokens, layers, used)


def a_trace(tokens: int = 20, layers: int = 3, used: int = 2, seed: int = 0, scores: bool = False) -> Trace:
    rng = np.random.default_rng(seed)
    chosen = a_routing(rng, tokens, layers, used).astype(np.uint16)
    given = rng.random(chosen.shape).astype(np.float16) if scores else None
    return Trace("f" * 32, "drawn", EXPERTS, (Bytes(300),) * layers, chosen, given)
