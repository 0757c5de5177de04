"""What drafting with a model would cost on this machine: both models planned beside one another, and the time of their
forwards as measured, or as the kernels let expect."""

from dataclasses import dataclass, replace
from pathlib import Path

from ..devices.machine import Machine
from ..devices.paths import cache_dir
from ..units import Bytes
from .calibrate import known_costs, time_kernels
from .costs import USUAL_DEPTH, attention_seconds, decode_seconds, forward_seconds
from .drafting.payoff import DEEPEST, Pace
from .expert_costs import COMPUTING, reading_seconds
from .footprint import GPU, MEMORY, Placement, total
from .model import ModelSpec
from .plan import Plan, Refusal, make_plan
from .planning import Say, refused, seen_by
from .search import Goal, Search


@dataclass(frozen=True, slots=True)
class Planned:
    """A model with its plan and the seconds of forwards of 1, 2, ... rows under it."""

    plan: Plan
    rows: tuple[float, ...]


def planned(machine: Machine, path: Path, goal: Goal, say: Say) -> Planned:
    """Kernels that this model needs are timed where they never were. Raises PlanRefused, a ModelError, EngineError."""
    model = ModelSpec.read(path)
    costs = known_costs(machine, model, goal, cache_dir(), say)
    if not costs.rows:
        costs = time_kernels(machine, model, costs, cache_dir(), say=say)
    machine = seen_by(model, machine)
    plan = make_plan(machine, model, goal, costs)
    search = Search(machine, model, goal, costs)
    placement = search.best()
    if isinstance(plan, Refusal) or placement is None:
        assert isinstance(plan, Refusal)
        raise refused(path, plan)
    return Planned(plan, tuple(_seconds(search, placement, rows) for rows in range(1, DEEPEST + 2)))


def _seconds(search: Search, placement: Placement, rows: int) -> float:
    known = search.machine, search.model, placement, search.costs
    threads = search.threads(placement)
    if rows == 1:
        return decode_seconds(*known, threads)
    seconds = forward_seconds(*known, search.threads_prefill, rows)
    if placement.expert_memory:
        reading = reading_seconds(search.machine, search.model, placement, rows, search.costs.routing)
        seconds = COMPUTING * seconds + reading
    depth = min(placement.context, USUAL_DEPTH)
    return seconds + attention_seconds(*known, search.threads_prefill, depth, rows)


def beside(machine: Machine, goal: Goal, plan: Plan) -> tuple[Machine, Goal]:
    """What is left of a machine and of what may be used of it, once the plan's model is there."""
    taken = total(plan.memory)
    memory = replace(machine.memory, free=_left(machine.memory.free, taken.get(MEMORY)))
    cards = tuple(replace(card, free=_left(card.free, taken.get(GPU))) for card in machine.accelerators)
    ceiling = None if goal.memory is None else _left(goal.memory, taken.get(MEMORY))
    context = int(plan.choices["context"].value)
    return replace(machine, memory=memory, accelerators=cards), replace(goal, memory=ceiling, context=context)


def _left(free: Bytes, taken: Bytes | None) -> Bytes:
    return Bytes(max(0, free - (taken or 0)))


def pace(target: Planned, draft: Planned) -> Pace:
    return Pace(target.rows, draft.rows[0])
