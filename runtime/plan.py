"""The plan: what goes where, what it will cost, and why; or why nothing fits. Pure: no I/O, no engine."""

from dataclasses import dataclass

from ..devices.machine import Machine
from ..units import Bytes
from .footprint import Allocation
from .model import ModelSpec


@dataclass(frozen=True, slots=True)
class Choice:
    """An automatic decision."""

    value: bool | int | float | str
    reason: str


@dataclass(frozen=True, slots=True)
class Estimate:
    """Of a rate, in tokens per second."""

    low: float
    likely: float
    high: float
    rests_on: str


@dataclass(frozen=True, slots=True)
class Goal:
    """What the user wants; None leaves the choice to the planner."""

    context: int | None = None  # positions
    sequences: int = 1
    memory: Bytes | None = None  # ceiling of what the processes may hold in main memory
    approximate: bool = False  # whether the text may differ from the exact one
    kv_type: str | None = None
    threads: int | None = None


@dataclass(frozen=True, slots=True)
class Plan:
    """A full placement. `choices`: context, sequences, kv_type, threads, threads_prefill, batch, ubatch, repack,
    gpu_layers, experts."""

    goal: Goal
    machine: Machine
    model: ModelSpec
    choices: dict[str, Choice]
    memory: tuple[Allocation, ...]
    prefill: Estimate
    decode: Estimate


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why there is no plan: what lacks in which tier, and the nearest goals that fit."""

    goal: Goal
    lacking: dict[str, Bytes]
    nearest: tuple[Goal, ...]
