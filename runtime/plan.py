"""The plan: what goes where, what it will cost, and why; or why nothing fits. Pure: no I/O, no engine.

A plan spends memory in this order: the wanted context in the exact KV format, then speed (GPU layers, repacked
weights, larger batches), then context beyond the least that a conversation needs. Where even that least does not fit,
nothing is spent on speed. So more memory never makes a plan slower.
"""

from bisect import bisect_left
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import partial
from itertools import product
from typing import TYPE_CHECKING

import msgspec

from ..devices.machine import Machine
from ..units import Bytes
from .costs import KERNELS, MEASURED, USUAL_DEPTH, Costs, attention_seconds, bits, decode_seconds, prefill_seconds
from .footprint import CELLS, GPU, MEMORY, Allocation, Placement, footprint, repacked_weights, total
from .model import ModelSpec

if TYPE_CHECKING:
    from .engines.options import EngineOptions

USUAL_CONTEXT = 8192  # where nothing is asked for: a long conversation
LEAST_CONTEXT = 4096  # below it a conversation loses its beginning within a few turns
MOST_CONTEXT = 2**20
SMALL_CONTEXTS = (2048, 1024, 512)  # none below what a decoded token is assumed to look back at
UBATCHES = (512, 128)
WORTH = 1.5  # how much faster more threads must decode: all wait for the slowest, so on a busy machine they lose more
OUTPUTS = 32  # rows with logits of one forward: a draft and its checks, or as many sequences
EXACT_KV = "f16"
SMALLER_KV = ("q8_0", "q4_0")
_SPARE = Bytes.from_mib(1)  # of what is offered instead: a dry run of it may differ a little from what stood in for it
_KEPT_FREE = 0.04  # of what is free now, for the rest of the system
_GPU_KEPT_FREE = Bytes.from_mib(400)  # driver, kernels and their workspace
_QUANTISATIONS = {"Q8_0": 8.5, "Q6_K": 6.6, "Q5_K_M": 5.7, "Q4_K_M": 4.9, "Q3_K_M": 4.0, "Q2_K": 3.2}  # bits per weight
_SPREAD = {MEASURED: (0.8, 1.15), KERNELS: (0.65, 1.3)}  # of the likely speed, by what it rests on
_WIDE_SPREAD = (0.45, 2.0)


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

    context: int | None = None  # positions that all sequences share
    sequences: int = 1
    memory: Bytes | None = None  # ceiling of what all that is started may hold in main memory
    approximate: bool = False  # whether the text may differ from the exact one
    kv_type: str | None = None
    threads: int | None = None


@dataclass(frozen=True, slots=True)
class Plan:
    """A full placement. `choices`: context, sequences, kv_type, threads, threads_prefill, batch, ubatch, outputs,
    repack, gpu_layers, experts_in_memory."""

    goal: Goal
    machine: Machine
    model: ModelSpec
    choices: dict[str, Choice]
    memory: tuple[Allocation, ...]
    prefill: Estimate
    decode: Estimate


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why there is no plan: what lacks in which tier, the nearest goals that fit, and the largest quantisation of the
    same model that would fit as asked, with its size."""

    goal: Goal
    lacking: dict[str, Bytes]
    nearest: tuple[Goal, ...]
    smaller: tuple[str, Bytes] | None = None


def make_plan(machine: Machine, model: ModelSpec, goal: Goal, costs: Costs) -> Plan | Refusal:
    """A placement that fits what is free on the machine and the goal's ceiling, or why there is none."""
    search = _Search(machine, model, goal, costs)
    placement = search.best()
    return _plan(search, placement) if placement else _refusal(search)


def cautions(plan: Plan) -> tuple[str, ...]:
    """What the user should be told before the model answers."""
    goal, processor = plan.goal, plan.machine.processor
    context, kind = int(plan.choices["context"].value), plan.choices["kv_type"]
    told = (
        _beyond(plan.model, context),
        f"the KV cache is {kind.value}: {kind.reason}" if goal.kv_type not in (None, kind.value) else "",
        f"approximate: the KV cache is {kind.value}, which changes the text" if kind.value in SMALLER_KV else "",
        f"{goal.threads} threads share {processor.threads}" if (goal.threads or 0) > processor.threads else "",
    )
    return tuple(filter(None, told))


def engine_options(plan: Plan) -> "EngineOptions":
    """What the engine is opened with under this plan."""
    from .engines.options import EngineOptions

    chosen = {name: choice.value for name, choice in plan.choices.items()}
    kept = int(chosen.pop("experts_in_memory"))
    overrides = ((rf"^blk\.({'|'.join(map(str, range(kept)))})\.ffn_.*_exps\.", "CPU"),) if kept else ()
    return msgspec.convert({"path": plan.model.paths[0], "overrides": overrides, **chosen}, EngineOptions)


def placements_to_try(model: ModelSpec, goal: Goal) -> list[Placement]:
    """Every shape of buffers that a plan for this goal may weigh: what is worth a dry run."""
    contexts = (*_contexts(model, goal), *_small_contexts(model, goal))
    return [
        _placement(model, goal, context, kind, ubatch)
        for kind in _kv_types(model, goal)
        for context in contexts
        for ubatch in UBATCHES
    ]


def _contexts(model: ModelSpec, goal: Goal) -> tuple[int, ...]:
    """Contexts that serve the goal, the largest first."""
    if goal.context:
        return (min(goal.context, MOST_CONTEXT),)
    trained = model.context or USUAL_CONTEXT
    return tuple(sorted({min(trained, USUAL_CONTEXT), min(trained, LEAST_CONTEXT)}, reverse=True))


def _small_contexts(model: ModelSpec, goal: Goal) -> tuple[int, ...]:
    least = min(_contexts(model, goal))
    return () if goal.context else tuple(context for context in SMALL_CONTEXTS if context < least)


def _kv_types(model: ModelSpec, goal: Goal) -> tuple[str, ...]:
    """Formats of the KV cache in order of preference; compressed ones only where the goal allows another text."""
    if goal.kv_type in model.kv_types:
        return (goal.kv_type,)
    return (EXACT_KV, *(kind for kind in SMALLER_KV if goal.approximate and kind in model.kv_types))


def _placement(model: ModelSpec, goal: Goal, context: int, kv_type: str, ubatch: int) -> Placement:
    rows = min(ubatch, context)
    outputs = max(min(OUTPUTS, rows), goal.sequences)
    return Placement(context, goal.sequences, kv_type, max(rows, outputs), outputs)


class _Search:
    """All placements of one model on one machine, and which of them is best."""

    def __init__(self, machine: Machine, model: ModelSpec, goal: Goal, costs: Costs, spare: int = 0) -> None:
        self.machine, self.model, self.goal, self.costs = machine, model, goal, costs
        self.accelerator = machine.accelerators[0] if machine.accelerators and costs.offloads else None
        self.unified = self.accelerator is not None and self.accelerator.unified
        self.contexts, self.kv_types = _contexts(model, goal), _kv_types(model, goal)
        free = Bytes(machine.memory.free * (1 - _KEPT_FREE))
        self.room = {MEMORY: Bytes((min(free, goal.memory) if goal.memory is not None else free) - spare)}
        if self.accelerator and not self.unified:
            self.room[GPU] = Bytes(max(0, self.accelerator.free - _GPU_KEPT_FREE))

    def best(self) -> Placement | None:
        fitting = [placement for placement in self._wanted() if self.fits(placement)]
        if fitting:
            return max(fitting, key=self._rank)
        return next((placement for placement in self.frugal() if self.fits(placement)), None)

    def _wanted(self) -> Iterator[Placement]:
        for context, ubatch, repack in product(self.contexts, UBATCHES, (False, True)):
            placement = _placement(self.model, self.goal, context, self.kv_types[0], ubatch)
            yield from self._offloaded(replace(placement, repack=repack))

    def frugal(self) -> Iterator[Placement]:
        """Placements that spend nothing on speed, from the most to the least context in every format. No more goes to
        the GPU than would go there with a wanted context."""
        wanted = _placement(self.model, self.goal, self.contexts[-1], self.kv_types[0], UBATCHES[-1])
        offloaded = next(self._offloaded(wanted))
        for kind in self.kv_types:
            for context in (*self.contexts, *_small_contexts(self.model, self.goal)):
                placement = _placement(self.model, self.goal, context, kind, UBATCHES[-1])
                yield replace(placement, gpu_layers=offloaded.gpu_layers, experts_in_memory=offloaded.experts_in_memory)

    def _offloaded(self, placement: Placement) -> Iterator[Placement]:
        """The placement with as many layers on the GPU as fit there: whole, without some layers' experts, or none."""
        if self.accelerator:
            every = self.model.layers + 1
            steps = (0, every) if self.unified else range(every + 1)
            whole = [replace(placement, gpu_layers=count) for count in steps]
            yield (most := self._last_that_fits_gpu(whole))
            if self.model.experts and most.gpu_layers < every:
                spared = range(self.model.layers, 0, -1)
                yield self._last_that_fits_gpu(
                    [placement, *(replace(placement, gpu_layers=every, experts_in_memory=count) for count in spared)]
                )
        yield placement

    def _last_that_fits_gpu(self, growing: list[Placement]) -> Placement:
        """Of placements that take more and more of the GPU; the first takes nothing of it."""
        tier = MEMORY if self.unified else GPU
        fitting = bisect_left(growing, True, lo=1, key=lambda placed: self.sizes(placed).get(tier, 0) > self.room[tier])
        return growing[fitting - 1]

    def _rank(self, placement: Placement) -> tuple[float, float, int]:
        decode = decode_seconds(self.machine, self.model, placement, self.costs, self.threads(placement))
        prefill = prefill_seconds(self.machine, self.model, placement, self.costs, self.threads_prefill)
        return -decode, -prefill, placement.context

    def threads(self, placement: Placement) -> int:
        """The fewest that decode nearly as fast as any number would."""
        counts = sorted({1, self.threads_prefill} | {times.threads for times in self.costs.rows})
        seconds = partial(decode_seconds, self.machine, self.model, placement, self.costs)
        enough = WORTH * min(map(seconds, counts))
        return self.goal.threads or next(count for count in counts if seconds(count) <= enough)

    @property
    def threads_prefill(self) -> int:
        return self.goal.threads or self.machine.processor.cores

    def allocations(self, placement: Placement) -> tuple[Allocation, ...]:
        return footprint(self.model, placement, self.costs, self.unified)

    def sizes(self, placement: Placement) -> dict[str, Bytes]:
        return total(self.allocations(placement))

    def fits(self, placement: Placement) -> bool:
        return all(size <= self.room[tier] for tier, size in self.sizes(placement).items())


def _plan(search: _Search, placement: Placement) -> Plan:
    threads = search.threads(placement)
    rests_on = search.costs.rests_on(search.model, threads, placement)
    known = search.machine, search.model, placement, search.costs
    decode = decode_seconds(*known, threads)
    full, usual = (
        attention_seconds(*known, threads, depth) for depth in (placement.context, min(placement.context, USUAL_DEPTH))
    )
    return Plan(
        goal=search.goal,
        machine=search.machine,
        model=search.model,
        choices=_choices(search, placement, threads, rests_on),
        memory=search.allocations(placement),
        prefill=_estimate(prefill_seconds(*known, search.threads_prefill), 0.0, rests_on),
        decode=_estimate(decode, full - usual, rests_on),
    )


def _estimate(seconds: float, more: float, rests_on: str) -> Estimate:
    """`more`: seconds that are added once the context is full."""
    low, high = next((spread for words, spread in _SPREAD.items() if rests_on.startswith(words)), _WIDE_SPREAD)
    return Estimate(low / (seconds + more), 1 / seconds, high / seconds, rests_on)


def _refusal(search: _Search) -> Refusal:
    *_, least = search.frugal()
    sizes = search.sizes(least)
    lacking = {tier: size - search.room[tier] for tier, size in sizes.items() if size > search.room[tier]}
    return Refusal(search.goal, lacking, _nearest(search, sizes), _smaller(search))


def _nearest(search: _Search, least: dict[str, Bytes]) -> tuple[Goal, ...]:
    """Goals close to the refused one that do have a plan: less context, a compressed KV cache, a higher ceiling."""

    def fits(goal: Goal) -> bool:
        return _Search(search.machine, search.model, goal, search.costs, _SPARE).best() is not None

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


def _smaller(search: _Search) -> tuple[str, Bytes] | None:
    """The largest usual quantisation of this model that would fit, and the size of its weights."""
    for name, width in _QUANTISATIONS.items():
        parts = tuple(
            replace(part, size=Bytes(part.size * min(1.0, width / bits(part.format)))) for part in search.model.weights
        )
        size = Bytes(sum(part.size for part in parts))
        model = replace(search.model, weights=parts, sizes=(size,))
        if size < search.model.size and _Search(search.machine, model, search.goal, search.costs).best():
            return name, size
    return None


def _choices(search: _Search, placement: Placement, threads: int, rests_on: str) -> dict[str, Choice]:
    model, goal = search.model, search.goal
    return {
        "context": Choice(placement.context, _why_context(search, placement)),
        "sequences": Choice(goal.sequences, "as asked"),
        "kv_type": Choice(placement.kv_type, _why_kv_type(search, placement)),
        "threads": Choice(threads, "as asked" if goal.threads else f"{_why_threads(search, threads)} by {rests_on}"),
        "threads_prefill": Choice(
            search.threads_prefill, "as asked" if goal.threads else "a long prompt keeps every core busy"
        ),
        "batch": Choice(placement.ubatch, "as many rows as are computed at once"),
        "ubatch": Choice(
            placement.ubatch,
            "larger batches do not get faster" if placement.ubatch == UBATCHES[0] else "larger buffers do not fit",
        ),
        "outputs": Choice(placement.outputs, f"{Bytes(placement.outputs * model.vocabulary * 4)} of logits"),
        "repack": Choice(placement.repack, _why_repack(search, placement)),
        "gpu_layers": Choice(placement.gpu_layers, _why_gpu_layers(search, placement)),
        "experts_in_memory": Choice(placement.experts_in_memory, _why_experts(search, placement)),
    }


def _why_threads(search: _Search, threads: int) -> str:
    if threads == search.threads_prefill:
        return "fewer decode slower"
    return f"more would gain less than {WORTH - 1:.0%}, and lose more when other programs run,"


def _why_context(search: _Search, placement: Placement) -> str:
    trained, context = search.model.context, placement.context
    if search.goal.context:
        asked = "as asked" if context == search.goal.context else "the most that can be asked for"
        return "; ".join(filter(None, (asked, _beyond(search.model, context))))
    if context == trained:
        return "all that the model was trained for"
    if context == USUAL_CONTEXT:
        return f"enough for a long conversation; the model was trained for {trained}"
    return "what fits beside the weights" if context < LEAST_CONTEXT else "more would take room that makes it faster"


def _beyond(model: ModelSpec, context: int) -> str:
    if not 0 < model.context < context:
        return ""
    return f"the model was trained for {model.context} positions and will not make sense beyond them"


def _why_kv_type(search: _Search, placement: Placement) -> str:
    wish, kind = search.goal.kv_type, placement.kv_type
    if wish == kind:
        return "as asked"
    if wish:
        return f"{wish} does not divide this model's heads of {search.model.key_size}"
    return "keeps the text exact" if kind == EXACT_KV else f"{EXACT_KV} does not fit, and another text is allowed"


def _why_repack(search: _Search, placement: Placement) -> str:
    size = repacked_weights(search.model, replace(placement, repack=True), search.costs)
    if placement.repack:
        return f"a copy of {size} in the order that this processor reads fastest fits"
    if not size:
        return "this processor reads these weights best as they are"
    if search.fits(replace(placement, repack=True)):
        return f"a copy of {size} would not make it faster"
    return f"a copy of {size} would make it faster and does not fit"


def _why_gpu_layers(search: _Search, placement: Placement) -> str:
    if not search.accelerator:
        present = search.machine.accelerators
        return "the engine was built without accelerators" if present else "no accelerator"
    if placement.gpu_layers > search.model.layers:
        return f"every layer fits on {search.accelerator.name}"
    return f"as many as fit on {search.accelerator.name}" if placement.gpu_layers else "main memory is faster"


def _why_experts(search: _Search, placement: Placement) -> str:
    if not search.model.experts:
        return "a dense model"
    if placement.experts_in_memory:
        return "their layers' attention gains more from the GPU than they do"
    return "with their layers"
