"""Engines whose experts are kept within a budget, compared bit for bit with one that maps its model whole."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from accel.offload.quotas import least_budget
from accel.runtime.engines import open_engine
from accel.runtime.engines.base import Batch
from accel.runtime.engines.options import EngineOptions

MUCH = 1 << 40
SHARES = (1.0, 0.5, 0.25, 0.0)  # of all experts; 0.0: the least that runs


def plain_options(path: Path | str, **more: Any) -> EngineOptions:
    usual: dict[str, Any] = {"context": 1024, "batch": 64, "ubatch": 64, "outputs": 1, "repack": False}
    return EngineOptions(str(path), **{**usual, **more})


def open_managed(options: EngineOptions, share: float) -> Any:
    """With memory for this share of its experts, or for the least that runs."""
    engine: Any = open_engine("llamacpp", replace(options, expert_memory=MUCH))
    rooms, experts = engine.experts.store.rooms, engine.experts.store.layout.experts
    least = least_budget(rooms, engine.spec.experts_used)
    engine.close()
    return open_engine("llamacpp", replace(options, expert_memory=max(int(least), int(share * experts * sum(rooms)))))


def logits(
    engine: Any, tokens: Sequence[int], prompt: int, disturb: Callable[[], object] = lambda: None
) -> list[bytes]:
    """Of a prompt, in as many forwards as it takes, and of each token after it; `disturb` is called before each."""
    found: list[bytes] = []
    rows = engine.can.rows
    for start in [*range(0, prompt, rows), *range(prompt, len(tokens))]:
        part = tokens[start : min(start + rows, prompt) if start < prompt else start + 1]
        disturb()
        last = engine.forward(Batch.chain(0, part)).row(len(part) - 1).tobytes()
        engine.commit(0, range(len(part)))
        if start + len(part) >= prompt:
            found.append(last)
    return found


def closing(engine: Any, tokens: Sequence[int], prompt: int, disturb: Callable[[], object] = lambda: None):
    try:
        return logits(engine, tokens, prompt, disturb)
    finally:
        engine.close()


class Disturbance:
    """Evicts experts at random before every forward and foretells wrong ones in mid-forward."""

    def __init__(self, engine: Any, seed: int = 5) -> None:
        self.dropped = self.wrong = 0
        self._random = np.random.default_rng(seed)
        self._residency = engine.experts.residency
        self._layers, self._experts = len(engine.experts.store.rooms), engine.experts.store.layout.experts
        self._used = engine.spec.experts_used
        engine.experts.predictor.expect = self._expect

    def __call__(self) -> None:
        """As many as there are layers, where as many may go."""
        left = self._layers
        for number in self._random.permutation(self._layers * self._experts).tolist():
            if left and self._residency.drop(*divmod(number, self._experts)):
                self.dropped += 1
                left -= 1

    def _expect(self, layer: int, far: int, inputs: np.ndarray) -> np.ndarray:
        self.wrong += 1
        return self._random.permutation(self._experts)[: self._used]


def shown(engine: Any) -> int:
    """Bytes of the engine's mappings of its files that show copies in memory instead of the files."""
    store, found = engine.experts.store, 0
    spans = [
        (piece.place - piece.offset, piece.place - piece.offset + int(store.layout.sizes[piece.file]))
        for piece in store._pieces
        if piece.length
    ]
    spans = sorted(set(spans))
    for start, end in memory_mappings("memfd:experts"):
        found += (end - start) * any(first <= start < last for first, last in spans)
    return found


def memory_mappings(*names: str) -> set[tuple[int, int]]:
    """(start, end) of all places that show such memory, but those that show all of it, which may be written."""
    found: set[tuple[int, int]] = set()
    for line in Path("/proc/self/maps").read_text().splitlines():
        if any(name in line for name in names) and line.split()[1].startswith("r--"):
            first, last = line.split()[0].split("-")
            found.add((int(first, 16), int(last, 16)))
    return found
