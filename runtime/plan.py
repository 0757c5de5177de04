"""The plan: what goes where, what it will cost, and why; or why nothing fits. Pure: no I/O, no engine.

A plan spends memory in this order: the wanted context in the exact KV format, then speed (GPU layers, repacked
weights, larger batches), then context beyond the least that a conversation needs. Where even that least does not fit,
nothing is spent on speed. So more memory never makes a plan slower.
"""

from bisect import bisect_left
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import msgspec

from ..devices.machine import Machine
from ..units import Bytes
from .costs import (
    KERNELS,
    MEASURED,
    USUAL_DEPTH,
    Costs,
    RowTimes,
    attention_seconds,
    bits,
    decode_seconds,
    prefill_seconds,
)
from .footprint import CELLS, MEMORY, Allocation, Placement, Speculation
from .model import ModelSpec
from .reasons import Choice, beyond, choices_of, quality_words
from .search import EXACT_KV, PROMPTS, SMALLER_KV, Goal, Search, small_contexts
from .speculation import Point

if TYPE_CHECKING:
    from .engines.options import EngineOptions

_SPARE = Bytes.from_mib(1)  # of what is offered instead: a dry run of it may differ a little from what stood in for it
_QUANTISATIONS = {"Q8_0": 8.5, "Q6_K": 6.6, "Q5_K_M": 5.7, "Q4_K_M": 4.9, "Q3_K_M": 4.0, "Q2_K": 3.2}  # bits per weight
_SPREAD = {MEASURED: (0.8, 1.15), KERNELS: (0.65, 1.3)}  # of the likely speed, by what it rests on
_WIDE_SPREAD = (0.45, 2.0)


@dataclass(frozen=True, slots=True)
class Estimate:
    """Of a rate, in tokens per second."""

    low: float
    likely: float
    high: float
    rests_on: str

    def __str__(self) -> str:
        likely, low, high = (
            f"{rate:,.0f}" if rate >= 10 else f"{rate:.1f}" for rate in (self.likely, self.low, self.high)
        )
        return f"about {likely} tokens/s ({low} to {high})"


@dataclass(frozen=True, slots=True)
class Plan:
    """A full placement. `choices`: context, sequences, kv_type, threads, threads_prefill, batch, ubatch, outputs,
    repack, gpu_layers, experts_in_memory, expert_memory (bytes), through_cache, low_experts (a path), low_above,
    skip_above, deterministic, draft_nodes, draft_leaves, draft_model (a path)."""

    goal: Goal
    machine: Machine
    model: ModelSpec
    choices: dict[str, Choice]
    memory: tuple[Allocation, ...]
    prefill: Estimate
    decode: Estimate
    stand_ins: "Compared | None" = None  # where experts are kept within a budget and stand-ins were measured
    row_times: RowTimes | None = None  # of forwards of several rows, as far as they were measured
    speculation: Speculation | None = None  # what the engine is opened for to draft; None: it does not
    drafting: tuple[Point, ...] = ()  # budgets of drafts that were weighed

    @property
    def prompts(self) -> Bytes:
        """Of main memory, for what is cached of prompts beside the context."""
        return Bytes(sum(each.size for each in self.memory if each.what == PROMPTS))


@dataclass(frozen=True, slots=True)
class Compared:
    """Decoding without and with stand-ins for experts, in the same memory, and what they cost."""

    exact: Estimate
    approximate: Estimate
    quality: str


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why there is no plan: what lacks in which tier, the nearest goals that fit, and the largest quantisation of the
    same model that would fit as asked, with its size."""

    goal: Goal
    lacking: dict[str, Bytes]
    nearest: tuple[Goal, ...]
    smaller: tuple[str, Bytes] | None = None


def make_plan(
    machine: Machine, model: ModelSpec, goal: Goal, costs: Costs, draft: ModelSpec | None = None
) -> Plan | Refusal:
    """A placement that fits what is free on the machine and the goal's ceiling, or why there is none. `draft`: a model
    that may draft for it; `costs.draft` are its."""
    search = Search(machine, model, goal, costs, draft=draft)
    placement = search.best()
    return _plan(search, placement) if placement else _refusal(search)


def cautions(plan: Plan) -> tuple[str, ...]:
    """What the user should be told before the model answers."""
    goal, processor = plan.goal, plan.machine.processor
    context, kind = int(plan.choices["context"].value), plan.choices["kv_type"]
    managed, stand_ins = bool(plan.choices["expert_memory"].value), plan.choices["low_experts"]
    slower = plan.choices["through_cache"].value or not plan.machine.can_read_directly
    told = (
        beyond(plan.model, context),
        f"the KV cache is {kind.value}: {kind.reason}" if goal.kv_type not in (None, kind.value) else "",
        f"approximate: the KV cache is {kind.value}, which changes the text" if kind.value in SMALLER_KV else "",
        f"not all experts fit: {plan.choices['expert_memory'].reason}; {plan.decode}" if managed else "",
        plan.choices["through_cache"].reason if managed and slower else "",
        f"approximate: {stand_ins.reason}, which changes the text" if stand_ins.value else "",
        stand_ins.reason if goal.approximate and managed and not stand_ins.value else "",
        f"{goal.threads} threads share {processor.threads}" if (goal.threads or 0) > processor.threads else "",
    )
    return tuple(filter(None, told))


def engine_options(plan: Plan) -> "EngineOptions":
    """What the engine is opened with under this plan."""
    from .engines.options import EngineOptions

    chosen = {name: choice.value for name, choice in plan.choices.items() if not name.startswith("draft_")}
    kept = int(chosen.pop("experts_in_memory"))
    overrides = ((rf"^blk\.({'|'.join(map(str, range(kept)))})\.ffn_.*_exps\.", "CPU"),) if kept else ()
    taps = bool(chosen["expert_memory"])  # which look at the experts in any case
    sequences = int(plan.choices["sequences"].value)
    drafts = {}
    if wanted := plan.speculation:
        drafts = {"branches": wanted.branches(sequences), "candidates": wanted.candidates(sequences)}
    options = {"path": plan.model.paths[0], "overrides": overrides, "taps": taps, **drafts, **chosen}
    return msgspec.convert(options, EngineOptions)


def draft_options(plan: Plan) -> "EngineOptions | None":
    """What the draft model's engine is opened with. It has the target's threads: the two take turns."""
    from .engines.options import EngineOptions

    wanted = plan.speculation
    if not wanted or not wanted.draft or not wanted.placement:
        return None
    place = wanted.placement
    return EngineOptions(
        path=wanted.draft.paths[0],
        context=place.context,
        sequences=place.sequences,
        branches=wanted.branches(place.sequences),
        batch=place.ubatch,
        ubatch=place.ubatch,
        outputs=place.outputs,
        kv_type=place.kv_type,
        threads=int(plan.choices["threads"].value),
        threads_prefill=int(plan.choices["threads_prefill"].value),
        repack=place.repack,
        gpu_layers=place.gpu_layers,
    )


def _plan(search: Search, placement: Placement) -> Plan:
    threads = search.threads(placement)
    rests_on = search.costs.rests_on(search.model, threads, placement)
    known = search.machine, search.model, placement, search.costs
    decode = decode_seconds(*known, threads)
    curve = search.curve(placement.plain)
    full, usual = (
        attention_seconds(*known, threads, depth) for depth in (placement.context, min(placement.context, USUAL_DEPTH))
    )
    return Plan(
        goal=search.goal,
        machine=search.machine,
        model=search.model,
        choices=choices_of(search, placement, threads, rests_on, curve),
        memory=search.all_allocations(placement),
        prefill=_estimate(prefill_seconds(*known, search.threads_prefill), 0.0, rests_on),
        decode=_estimate(decode, full - usual, rests_on),
        stand_ins=_compared(search, placement, full - usual, rests_on),
        row_times=search.costs.row_times(threads, placement),
        speculation=placement.speculation,
        drafting=tuple(curve),
    )


def _compared(search: Search, placement: Placement, more: float, rests_on: str) -> Compared | None:
    exact = replace(placement, stand_ins=None)
    approximate = search.with_stand_ins(exact) if placement.expert_memory else None
    if approximate is None:
        return None
    without, with_them = (_estimate(search.decode_seconds(each), more, rests_on) for each in (exact, approximate))
    return Compared(without, with_them, quality_words(search, approximate))


def _estimate(seconds: float, more: float, rests_on: str) -> Estimate:
    """`more`: seconds that are added once the context is full."""
    low, high = next((spread for words, spread in _SPREAD.items() if rests_on.startswith(words)), _WIDE_SPREAD)
    return Estimate(low / (seconds + more), 1 / seconds, high / seconds, rests_on)


def _refusal(search: Search) -> Refusal:
    contexts = (*search.contexts, *small_contexts(search.model, search.goal))
    *_, least = search.frugal(contexts)
    sizes = min(map(search.sizes, (least, *search.barely_managed(contexts))), key=lambda sizes: sizes[MEMORY])
    lacking = {tier: size - search.room[tier] for tier, size in sizes.items() if size > search.room[tier]}
    return Refusal(search.goal, lacking, _nearest(search, sizes), _smaller(search))


def _nearest(search: Search, least: dict[str, Bytes]) -> tuple[Goal, ...]:
    """Goals close to the refused one that do have a plan: less context, a compressed KV cache, a higher ceiling."""

    def fits(goal: Goal) -> bool:
        return Search(search.machine, search.model, goal, search.costs, _SPARE).best() is not None

    goal, found = search.goal, []
    shorter = [replace(goal, context=context) for context in range(CELLS, goal.context or 0, CELLS)]
    if count := bisect_left(shorter, True, key=lambda shorter: not fits(shorter)):
        found.append(shorter[count - 1])
    others = []
    if goal.kv_type not in (None, EXACT_KV, *SMALLER_KV):
        others.append(replace(goal, kv_type=EXACT_KV))
    if not goal.approximate and goal.kv_type is None:
        others.append(replace(goal, approximate=True))
    if goal.memory is not None:
        others.append(replace(goal, memory=Bytes(least[MEMORY] + 2 * _SPARE)))
    return (*found, *filter(fits, others))


def _smaller(search: Search) -> tuple[str, Bytes] | None:
    """The largest usual quantisation of this model that would fit, and the size of its weights."""
    for name, width in _QUANTISATIONS.items():
        parts = tuple(
            replace(part, size=Bytes(part.size * min(1.0, width / bits(part.format)))) for part in search.model.weights
        )
        size = Bytes(sum(part.size for part in parts))
        model = replace(search.model, weights=parts, sizes=(size,))
        if size < search.model.size and Search(search.machine, model, search.goal, search.costs).best():
            return name, size
    return None
