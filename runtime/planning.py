"""From a model's header to a plan for it: what the chat, the bench and `accel plan` have in common."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from ..compiled import library
from ..devices.machine import Machine
from ..devices.measure import measured
from ..devices.paths import cache_dir
from ..devices.probe import probe, reads_directly
from ..errors import PlanRefused, SettingError
from ..units import Bytes
from .calibrate import known_costs
from .model import ModelSpec
from .plan import Plan, Refusal, make_plan
from .quality_file import stand_ins_of
from .search import BALANCED, SMALLER_KV, Goal
from .settings import Settings

Say = Callable[[str], None]


def nobody(_: object) -> None:
    """Hears what is said and what is done, and does nothing about it; has nothing to say."""


def goal_of(settings: Settings) -> Goal:
    """Raises SettingError for a KV format that changes the text where that is not allowed."""
    if settings.kv_type in SMALLER_KV and not settings.approximate:
        raise SettingError(f"a KV cache in {settings.kv_type} changes the text", "allow it with --approximate")
    sequences = settings.parallel or 1
    return Goal(
        context=settings.context,
        memory=settings.memory,
        approximate=settings.approximate,
        kv_type=settings.kv_type,
        threads=settings.threads,
        deterministic=settings.deterministic,
        drafting=settings.drafting,
        sequences=sequences,
        prompts=Bytes(0) if settings.prompt_memory is None and sequences == 1 else settings.prompt_memory,
        power=BALANCED if settings.power == "auto" else settings.power,  # whoever looks at batteries says what it is
    )


def this_machine(say: Say = nobody) -> Machine:
    """With its speeds, measured once and kept, and what this installation can do there."""
    machine = measured(probe(), cache_dir(), say=say)
    return replace(machine, can_move_pages=machine.can_move_pages and library("accel.offload._store") is not None)


def seen_by(model: ModelSpec, machine: Machine) -> Machine:
    """This machine, as far as a model's files go: whether they can be read past the system's cache."""
    return replace(machine, can_read_directly=all(map(reads_directly, map(Path, model.paths))))


def plan_for(path: Path, goal: Goal, machine: Machine, say: Say = nobody, draft: Path | None = None) -> Plan | Refusal:
    """A plan to run a model here, with a model that may draft for it. Raises a ModelError, EngineError, or what a cache
    without room raises."""
    model, drafter = ModelSpec.read(path), ModelSpec.read(draft) if draft else None
    costs = known_costs(machine, model, goal, cache_dir(), say, drafter)
    return make_plan(seen_by(model, machine), model, goal, replace(costs, stand_ins=stand_ins_of(model)), drafter)


def plan_or_raise(path: Path, goal: Goal, machine: Machine, say: Say = nobody, draft: Path | None = None) -> Plan:
    """A plan to run a model here. Raises PlanRefused, and what `plan_for` raises."""
    found = plan_for(path, goal, machine, say, draft)
    if isinstance(found, Refusal):
        raise refused(path, found)
    return found


def names_draft(settings: Settings) -> bool:
    """Whether there is a draft model to find."""
    return settings.drafting and bool(settings.draft_model)


def refused(path: Path, refusal: Refusal) -> PlanRefused:
    """A refusal as an error of one line."""
    lacking = ", ".join(f"{size} of {tier}" for tier, size in refusal.lacking.items())
    ways = [_flags(refusal.goal, goal) for goal in refusal.nearest]
    if refusal.smaller:
        name, size = refusal.smaller
        ways.append(f"take its {name} of about {size}")
    return PlanRefused(
        f"{path.name} does not fit: {lacking} are lacking",
        ", or ".join(way for way in ways if way) or "take a smaller model, or free some memory",
        refusal,
    )


def _flags(wanted: Goal, nearest: Goal) -> str:
    """How to ask for `nearest` instead."""
    flags = []
    if nearest.context != wanted.context:
        flags.append(f"--context {nearest.context}")
    if nearest.kv_type != wanted.kv_type:
        flags.append(f"--kv-type {nearest.kv_type}")
    if nearest.approximate and not wanted.approximate:
        flags.append("--approximate")
    if nearest.memory is not None and nearest.memory != wanted.memory:
        flags.append(f"--memory {-(-nearest.memory // 2**20)}MiB")
    return f"try {' '.join(flags)}" if flags else ""
