"""Which expert goes when another needs its room: policies by name, pure.

A policy sees which experts every token used and says what keeping each of them is worth while a layer computes; whoever
is worth least goes first. It knows neither bytes nor what is resident.
"""

from dataclasses import dataclass
from typing import Protocol

import numpy as np

from ..errors import SettingError


class Policy(Protocol):
    """Of one model with so many layers of so many experts; a layer is counted among those that have experts."""

    def use(self, layer: int, experts: np.ndarray, high: np.ndarray | None = None) -> None:
        """The present token used these experts of a layer (int, no two alike); `high`: whether each was wanted in full
        precision, all of them where nothing is said."""
        ...

    def next_token(self) -> None: ...

    def worth(self, layer: int) -> np.ndarray:
        """Of keeping each expert while `layer` computes, float32 of shape (layers, experts)."""
        ...


class Recent:
    """LRU: what was used last is kept."""

    def __init__(self, layers: int, experts: int) -> None:
        self._last = np.full((layers, experts), -1.0, np.float32)
        self._clock = 0.0

    def use(self, layer: int, experts: np.ndarray, high: np.ndarray | None = None) -> None:
        self._clock += 1
        self._last[layer, experts] = self._clock

    def next_token(self) -> None:
        pass

    def worth(self, layer: int) -> np.ndarray:
        return self._last


class Frequent:
    """LFU: what was used most is kept; of equals what was used last."""

    def __init__(self, layers: int, experts: int) -> None:
        self._count = np.zeros((layers, experts), np.float32)
        self._recent = Recent(layers, experts)
        self._uses = 1.0

    def use(self, layer: int, experts: np.ndarray, high: np.ndarray | None = None) -> None:
        self._count[layer, experts] += 1
        self._recent.use(layer, experts)
        self._uses += 1

    def next_token(self) -> None:
        pass

    def worth(self, layer: int) -> np.ndarray:
        return self._count + self._recent.worth(layer) / self._uses


@dataclass(frozen=True, slots=True)
class Weights:
    """Of the terms of `Hobbit`. The paper fits them per model and does not publish them; these are a start."""

    recency: float = 0.55
    frequency: float = 0.25
    high: float = 0.1
    distance: float = 0.1


class Hobbit:
    """HOBBIT (arXiv 2411.01433), section 3.4, equation 3: recency, frequency, use in full precision, and how soon the
    expert's layer comes again; the first three relative to the tokens so far."""

    def __init__(self, layers: int, experts: int, weights: Weights | None = None) -> None:
        self._weights = weights or Weights()
        self._last = np.zeros((layers, experts), np.float32)
        self._count = np.zeros((layers, experts), np.float32)
        self._high = np.zeros((layers, experts), np.float32)
        self._layers = np.arange(layers)
        self._tokens = 1

    def use(self, layer: int, experts: np.ndarray, high: np.ndarray | None = None) -> None:
        self._last[layer, experts] = self._tokens
        self._count[layer, experts] += 1
        self._high[layer, experts] += 1 if high is None else high

    def next_token(self) -> None:
        self._tokens += 1

    def worth(self, layer: int) -> np.ndarray:
        w, count = self._weights, len(self._layers)
        ahead = 1 - ((self._layers - layer) % count) / count
        terms = w.recency * self._last + w.frequency * self._count + w.high * self._high
        return terms / np.float32(self._tokens) + np.float32(w.distance) * ahead[:, None].astype(np.float32)


class Cost:
    """MoE-APEX (ASPLOS '26): one rule from the cost of missing an expert: how often it was used, where full precision
    costs more; more for those of the last token; less the farther away its layer is. The paper's equations are not
    public as text, so the exact form is reconstructed."""

    LOW = 0.5  # of the bytes of an expert in full precision
    LAST = 1.0  # of one use, for experts of the token before

    def __init__(self, layers: int, experts: int) -> None:
        self._cost = np.zeros((layers, experts), np.float32)
        self._last = np.full((layers, experts), -2, np.int64)
        self._layers = np.arange(layers)
        self._tokens = 1

    def use(self, layer: int, experts: np.ndarray, high: np.ndarray | None = None) -> None:
        self._cost[layer, experts] += 1 if high is None else np.where(high, 1.0, self.LOW)
        self._last[layer, experts] = self._tokens

    def next_token(self) -> None:
        self._tokens += 1

    def worth(self, layer: int) -> np.ndarray:
        again = self.LAST * (self._last >= self._tokens - 1)
        away = (self._layers - layer) % len(self._layers) / len(self._layers) + 0.1
        return ((self._cost / self._tokens + again) / away[:, None]).astype(np.float32)


POLICIES: dict[str, type[Recent] | type[Frequent] | type[Hobbit] | type[Cost]] = {
    "lru": Recent,
    "lfu": Frequent,
    "hobbit": Hobbit,
    "cost": Cost,
}


def make_policy(name: str, layers: int, experts: int) -> Policy:
    """Raises SettingError for a name that is none."""
    if name not in POLICIES:
        raise SettingError(f"there is no cache policy '{name[:40]}'", f"there are {', '.join(POLICIES)}")
    return POLICIES[name](layers, experts)
