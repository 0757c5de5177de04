"""What a simulation of drafting needs to know: what things cost here, and texts with what could be guessed of them."""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Literal

import msgspec

from accel.runtime.costs import RowTimes

Half = Literal["tune", "report"]
LIKELY = 8  # candidates of a row that are kept: as many as any drafter looks at


@dataclass(frozen=True, slots=True)
class Look:
    """Seconds that a drafter takes to guess: so many, and more for every node; and the like."""

    seconds: float
    node: float

    def of(self, nodes: int) -> float:
        return self.seconds + self.node * nodes


@dataclass(frozen=True, slots=True)
class World:
    """Seconds that things take on this machine with this model."""

    plain: float  # a token that is decoded plainly
    steps: tuple[float, ...]  # a drafted step of 1, 2, ... rows, with all that is done about it
    rows: tuple[int, ...]  # what a worker is told of that beforehand: rows,
    seconds: tuple[float, ...]  # and their forwards
    looks: dict[str, Look]  # by drafter
    turn: float  # of each turn, beside looks and forwards
    learning: Look  # from a step's rows, by their number
    vocabulary: int

    def step(self, rows: int) -> float:
        return self.steps[rows - 1]

    @property
    def most(self) -> int:
        """Nodes of a draft."""
        return len(self.steps) - 1


@dataclass(frozen=True, slots=True)
class Recorded:
    """A text and its beginning, the first `prompt` tokens. What is listed for every token after those was so before
    that token was chosen."""

    name: str
    half: Half
    prompt: int
    tokens: tuple[int, ...]
    likely: tuple[tuple[int, ...], ...]  # the target's best candidates, the best first
    guesses: tuple[tuple[tuple[int, ...], tuple[float, ...]], ...] = ()  # a draft model's chain, and how sure it was

    @property
    def first(self) -> int:
        """Tokens that are there when decoding begins: the first one of the answer comes from the prompt's forward."""
        return self.prompt + 1

    @property
    def decoded(self) -> int:
        return len(self.tokens) - self.first


class Recording(msgspec.Struct, frozen=True, dict=True):
    """One cell: a model, a kind of text, a temperature."""

    model: str
    kind: str
    temperature: float
    replayed: bool  # whether the texts are people's, forced upon the model, or its own
    world: World
    texts: tuple[Recorded, ...]
    environment: dict[str, object]

    @cached_property
    def cell(self) -> dict[str, object]:
        return {"model": self.model, "kind": self.kind, "temperature": self.temperature, "replayed": self.replayed}

    def half(self, half: Half) -> list[int]:
        """Numbers of its texts."""
        return [number for number, text in enumerate(self.texts) if text.half == half]

    def save(self, folder: Path) -> Path:
        path = folder / f"{name_of(self.model, self.kind, self.temperature)}.json"
        folder.mkdir(parents=True, exist_ok=True)
        path.write_bytes(msgspec.json.encode(self))
        return path


# Milliseconds of 1, 2, 3, 4, 6, 8, 12, 16 and 32 rows of a model of 1.1 B parameters with 2 threads of an AVX-512 EPYC.
_ROWS = (1, 2, 3, 4, 6, 8, 12, 16, 32)
CURVES = {
    "Q4_0": (18.3, 34.6, 49.8, 52.5, 82.5, 100.8, 143.3, 146.2, 285.5),
    "Q8_0": (34.3, 57.6, 63.5, 67.6, 102.2, 110.1, 151.9, 196.9, 360.2),
    "F16": (42.5, 73.5, 79.1, 85.4, 97.3, 134.3, 170.0, 217.2, 410.1),
}
_LOOKS = {
    "copying": Look(2e-5, 5e-7),
    "ngrams": Look(4e-5, 3e-6),
    "recycling": Look(3e-5, 1e-6),
}


def usual(curve: str, vocabulary: int) -> World:
    """A world of one of CURVES, for when this machine is too busy to be measured; a draft model there costs an eighth
    of its target."""
    times = RowTimes(2, False, _ROWS, tuple(each / 1e3 for each in CURVES[curve]))
    plain = times.of(1)
    steps = tuple(times.of(rows) for rows in range(1, 33))
    looks = {**_LOOKS, "model": Look(plain / 16, plain / 8)}
    return World(plain, steps, _ROWS, times.seconds, looks, 1e-4, Look(1e-4, 1e-5), vocabulary)


def name_of(model: str, kind: str, temperature: float) -> str:
    return f"{model}-{kind}-{temperature:g}"


def load(path: Path) -> Recording:
    return msgspec.json.decode(path.read_bytes(), type=Recording)
