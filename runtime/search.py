"""Which placements of a model a machine could have for a goal, and which of those that fit is best. Pure."""

from bisect import bisect_left
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cache, partial
from itertools import groupby, product

from ..devices.machine import Machine
from ..offload.quotas import least_budget
from ..units import Bytes
from .costs import USUAL_DEPTH, Costs, decode_seconds, prefill_seconds, step_seconds
from .footprint import GPU, MEMORY, Allocation, Placement, Speculation, expert_rooms, footprint, total
from .model import ModelSpec
from .speculation import BRANCH_SECONDS, BUDGETS, LEAVES, Pace, Point, Shares, best_leaves, choose, speed_ups

USUAL_CONTEXT = 8192  # where nothing is asked for: a long conversation
LEAST_CONTEXT = 4096  # below it a conversation loses its beginning within a few turns
MOST_CONTEXT = 2**20
SMALL_CONTEXTS = (2048, 1024, 512)  # none below what a decoded token is assumed to look back at
UBATCHES = (512, 128)
ECO, BALANCED, FULL = "eco", "balanced", "full"  # how much of the processor is used
WORTH = 1.5  # how much faster more threads must decode: all wait for the slowest, so on a busy machine they lose more
WORTH_APART = 1.05  # how much faster attention must decode that is not fused: it takes memory, and prompts longer
DRAFT_UBATCH = 128  # rows of one forward of a draft model: prompts pass through it in so many
EXACT_KV = "f16"
SMALLER_KV = ("q8_0", "q4_0")
_EVEN = 0.9  # of a speed, that is given up early in a text
_EARLY = 128  # positions that a text that has hardly begun looks back at
_WORTH_READING = 0.98  # of what exact experts have read: with more, stand-ins change the text for nothing
PROMPTS = "prompts that no text is at"  # among a plan's parts
_MOST_PROMPTS, _OF_WHAT_IS_LEFT = Bytes.from_gib(1), 4
_KEPT_FREE = 0.04  # of what is free now, for the rest of the system
_GPU_KEPT_FREE = Bytes.from_mib(704)  # driver, kernels and their workspace (seen on an H200 with CUDA 13.0)


@dataclass(frozen=True, slots=True)
class Goal:
    """What the user wants; None leaves the choice to the planner."""

    context: int | None = None  # positions that all sequences share
    sequences: int = 1
    memory: Bytes | None = None  # ceiling of what all that is started may hold in main memory
    approximate: bool = False  # whether the text may differ from the exact one
    kv_type: str | None = None
    threads: int | None = None
    deterministic: bool = False  # whether even an approximate text may depend on nothing that is cached
    drafting: bool = False  # whether to guess ahead where that pays
    draft_nodes: int | None = None  # of the drafts of one step
    prompts: Bytes | None = Bytes(0)  # noqa: RUF009 - of main memory, for what is cached of prompts beside the context
    power: str = BALANCED  # or ECO or FULL


def placements_to_try(model: ModelSpec, goal: Goal) -> list[Placement]:
    """Every shape of buffers that a plan for this goal may weigh: what is worth a dry run."""
    contexts = (*_contexts(model, goal), *small_contexts(model, goal))
    plain = [
        _placement(model, goal, context, kind, ubatch, fused)
        for kind in _kv_types(model, goal)
        for context in contexts
        for ubatch in UBATCHES
        for fused in _attention(goal, kind)
    ]
    return plain + [each.drafting(Speculation(nodes)) for each in plain for nodes in _budgets(model, goal, each)]


def draft_placements_to_try(model: ModelSpec, goal: Goal) -> list[Placement]:
    """The same for whatever model drafts for this one."""
    contexts = (*_contexts(model, goal), *small_contexts(model, goal))
    plain = [_placement(model, goal, context, EXACT_KV, UBATCHES[-1]) for context in contexts]
    return [_draft_placement(each, leaves) for each in plain for leaves in LEAVES]


def _draft_placement(target: Placement, leaves: int) -> Placement:
    """A draft model's: it follows every text of the target's, and a layer of a tree has as many rows as leaves."""
    outputs = leaves * target.sequences
    return Placement(target.context, target.sequences, EXACT_KV, max(DRAFT_UBATCH, outputs), outputs)


def _budgets(model: ModelSpec, goal: Goal, plain: Placement) -> list[int]:
    """How many nodes drafts may have where nothing is drafted so far. A state that cannot be taken back has none."""
    if not goal.drafting or model.recurrent:
        return []
    wanted = BUDGETS if goal.draft_nodes is None else (goal.draft_nodes,) if goal.draft_nodes else ()
    return [nodes for nodes in wanted if plain.outputs + nodes <= plain.ubatch]


def _contexts(model: ModelSpec, goal: Goal) -> tuple[int, ...]:
    """Contexts that serve the goal, the largest first."""
    if goal.context:
        return (min(goal.context, MOST_CONTEXT),)
    trained = model.context or USUAL_CONTEXT
    return tuple(sorted({min(trained, USUAL_CONTEXT), min(trained, LEAST_CONTEXT)}, reverse=True))


def small_contexts(model: ModelSpec, goal: Goal) -> tuple[int, ...]:
    least = min(_contexts(model, goal))
    return () if goal.context else tuple(context for context in SMALL_CONTEXTS if context < least)


def _kv_types(model: ModelSpec, goal: Goal) -> tuple[str, ...]:
    """Formats of the KV cache in order of preference; compressed ones only where the goal allows another text."""
    if goal.kv_type in model.kv_types:
        return (goal.kv_type,)
    return (EXACT_KV, *(kind for kind in SMALLER_KV if goal.approximate and kind in model.kv_types))


def _attention(goal: Goal, kv_type: str) -> tuple[bool, ...]:
    """Whether attention is fused, as far as that is worth weighing: only so is a compressed cache read, and only so
    does no text look at what belongs to others."""
    return (True, False) if kv_type == EXACT_KV and goal.sequences == 1 else (True,)


def _placement(model: ModelSpec, goal: Goal, context: int, kv_type: str, ubatch: int, fused: bool = True) -> Placement:
    rows = max(min(ubatch, context), goal.sequences)
    return Placement(context, goal.sequences, kv_type, rows, goal.sequences, fused=fused)


class Search:
    """All placements of one model on one machine, and which of them is best."""

    def __init__(
        self,
        machine: Machine,
        model: ModelSpec,
        goal: Goal,
        costs: Costs,
        spare: int = 0,
        draft: ModelSpec | None = None,
    ) -> None:
        self.machine, self.model, self.goal, self.costs = machine, model, goal, costs
        self.named = draft
        self.draft = draft if costs.draft and draft and not draft.recurrent else None
        self.accelerator = machine.accelerators[0] if machine.accelerators and costs.offloads else None
        self.unified = self.accelerator is not None and self.accelerator.unified
        self.contexts, self.kv_types = _contexts(model, goal), _kv_types(model, goal)
        # Small batches cost a processor 3 to 13% more work, as measured; a GPU needs many rows at once.
        self.ubatches = UBATCHES[-1:] if goal.power == ECO and not self.accelerator else UBATCHES
        free = Bytes(machine.memory.free * (1 - _KEPT_FREE))
        self.room = {MEMORY: Bytes((min(free, goal.memory) if goal.memory is not None else free) - spare)}
        if self.accelerator and not self.unified:
            self.room[GPU] = Bytes(max(0, self.accelerator.free - _GPU_KEPT_FREE))

    def best(self) -> Placement | None:
        """Drafts take what a plan without them leaves: they cost no context, and nothing that is sure to be faster."""
        plain = self._best_plain()
        return self.drafting(plain) if plain else None

    def _best_plain(self) -> Placement | None:
        wanted, small = tuple(self.contexts), small_contexts(self.model, self.goal)
        if whole := [placement for placement in self._wanted() if self.fits(placement)]:
            return self._fastest(whole, wanted, self.kv_types[:1])
        for contexts in (wanted, small):
            if frugal := next(filter(self.fits, self.frugal(contexts)), None):
                return self._fastest([frugal], contexts, self.kv_types)
            if managed := next(filter(self.fits, self.managed(contexts)), None):
                return managed
        return None

    def _fastest(self, whole: list[Placement], contexts: Sequence[int], kinds: Sequence[str]) -> Placement:
        """Of placements that fit. A GPU that all attention fits on may be worth more than what few experts lack in main
        memory: otherwise a little more of that would be spent on a slower plan."""
        managed = filter(self.fits, self.managed(contexts) if self.beside else ())
        found = next(managed, None)
        return max([*whole, found] if found and found.kv_type in kinds else whole, key=self._rank)

    def _wanted(self) -> Iterator[Placement]:
        for context, ubatch, repack in product(self.contexts, self.ubatches, (False, True)):
            placement = _placement(self.model, self.goal, context, self.kv_types[0], ubatch)
            yield from self._offloaded(replace(placement, repack=repack))
            apart = replace(placement, repack=repack, fused=False)
            if False in _attention(self.goal, placement.kv_type) and self.gain_apart(apart) > WORTH_APART:
                yield apart

    def frugal(self, contexts: Sequence[int]) -> Iterator[Placement]:
        """Placements that spend nothing on speed, from the most to the least context in every format. No more goes to
        the GPU than would go there with a wanted context."""
        wanted = _placement(self.model, self.goal, self.contexts[-1], self.kv_types[0], UBATCHES[-1])
        offloaded = next(self._offloaded(wanted))
        for kind in self.kv_types:
            for context in contexts:
                placement = _placement(self.model, self.goal, context, kind, UBATCHES[-1])
                yield replace(placement, gpu_layers=offloaded.gpu_layers, experts_in_memory=offloaded.experts_in_memory)

    def managed(self, contexts: Sequence[int]) -> Iterator[Placement]:
        """Placements that keep as many experts in memory as there is room for beside the least of these contexts, and
        read the others as they are needed: of every format the fastest that fits, or what lacks least."""
        whole = self.model.experts * sum(expert_rooms(self.model))
        for _, alike in groupby(self.barely_managed(contexts), lambda placement: placement.kv_type):
            filled = [
                replace(least, expert_memory=min(whole, least.expert_memory + max(0, self._left(least))))
                for least in alike
            ]
            fitting = [placement for placement in filled if self.fits(placement)]
            if fitting and self.goal.approximate:
                fitting = [self.faster_with_stand_ins(placement) or placement for placement in fitting]
            yield max(fitting, key=self._rank) if fitting else max(filled, key=self._left)

    def barely_managed(self, contexts: Sequence[int]) -> Iterator[Placement]:
        """The same with what one token uses and no more: without a GPU, and with little or much of all else on it."""
        rooms = expert_rooms(self.model)
        if rooms and contexts:
            through_cache, memory = not self.machine.can_move_pages, least_budget(rooms, self.model.experts_used)
            for kind in self.kv_types:
                placement = _placement(self.model, self.goal, min(contexts), kind, UBATCHES[-1])
                least = replace(placement, expert_memory=memory, through_cache=through_cache)
                yield least
                if self.beside:
                    most = self._last_that_fits_gpu([least, *self._dense_on_gpu(least)])
                    # Each layer that is there costs a step between the two: fewer may be faster than most.
                    yield from (replace(most, gpu_layers=count) for count in range(1, most.gpu_layers + 1))

    @property
    def beside(self) -> bool:
        """Whether experts that are read as they are needed may have their layers' attention on a GPU: it has memory of
        its own, which they take nothing of."""
        return self.accelerator is not None and not self.unified

    def _left(self, placement: Placement) -> int:
        return self.room[MEMORY] - self.sizes(placement)[MEMORY]

    def _dense_on_gpu(self, placement: Placement) -> list[Placement]:
        """Ever more layers, without their experts."""
        layers = self.model.layers
        return [replace(placement, gpu_layers=count, experts_in_memory=layers) for count in range(1, layers + 2)]

    def with_stand_ins(self, exact: Placement) -> Placement | None:
        """The same within the same memory, or None where there are none, or they leave too little for one token, or
        have no place to be expanded into."""
        stand_ins = self.costs.stand_ins.of(self.goal.deterministic)
        least = least_budget(expert_rooms(self.model), self.model.experts_used)
        if exact.through_cache or stand_ins is None or exact.expert_memory - stand_ins.staging < least:
            return None
        return replace(exact, stand_ins=stand_ins)

    def faster_with_stand_ins(self, exact: Placement) -> Placement | None:
        found = self.with_stand_ins(exact)
        if not found or not found.stand_ins or found.stand_ins.qualities[0].reading > _WORTH_READING:
            return None
        return found if self.decode_seconds(found) < self.decode_seconds(exact) else None

    def decode_seconds(self, placement: Placement) -> float:
        return decode_seconds(self.machine, self.model, placement, self.costs, self.threads(placement))

    def gain_apart(self, placement: Placement) -> float:
        """How much faster attention decodes at the usual depth that is not fused; nothing where it loses as much in a
        text that has hardly begun."""
        known = self.machine, self.model
        threads = self.threads(placement)
        early, usual = (
            decode_seconds(*known, replace(placement, fused=True), self.costs, threads, depth)
            / decode_seconds(*known, replace(placement, fused=False), self.costs, threads, depth)
            for depth in (_EARLY, USUAL_DEPTH)
        )
        return usual if early > _EVEN else min(early, usual)

    def _offloaded(self, placement: Placement) -> Iterator[Placement]:
        """The placement with as much on the GPU as fits there: of whole layers, of layers without their experts, of all
        layers but some experts, of the output matrix alone; and with nothing on it."""
        found = [placement]
        if self.accelerator:
            whole = [replace(placement, gpu_layers=count) for count in range(1, self.model.layers + 2)]
            dense = self._dense_on_gpu(placement) if self.model.experts else []
            spared = [replace(last, experts_in_memory=count) for last in dense[-1:] for count in range(last.gpu_layers)]
            growing = (whole[-1:], spared[:0:-1]) if self.unified else (whole, dense, spared[:0:-1], whole[:1])
            found = [*(self._last_that_fits_gpu([placement, *more]) for more in growing), placement]
        yield from dict.fromkeys(found)

    def _last_that_fits_gpu(self, growing: list[Placement]) -> Placement:
        """Of placements that take more and more of the GPU; the first takes nothing of it."""
        tier = MEMORY if self.unified else GPU
        fitting = bisect_left(growing, True, lo=1, key=lambda placed: self.sizes(placed).get(tier, 0) > self.room[tier])
        return growing[fitting - 1]

    def drafting(self, plain: Placement) -> Placement:
        """The same with the drafts that pay and fit, if there are any."""
        points = self.curve(plain)
        chosen = choose(points, timed=self.goal.draft_nodes is None and self.knows_steps(plain, points))
        return plain.drafting(self._speculation(plain, chosen.nodes, chosen.leaves, chosen.model)) if chosen else plain

    def curve(self, plain: Placement) -> list[Point]:
        """Every budget of nodes, without and with the draft model; none where no draft could ever pay."""
        budgets = _budgets(self.model, self.goal, plain)
        if not budgets or not (self.pace(plain).can_pay or self.goal.draft_nodes):
            return []
        points: list[Point] = []
        before = sum(self.sizes(plain).values())
        shares = Shares.of(self.costs.shares)
        for model in (False, True) if self.draft else (False,):
            pace = self.pace(plain, model)
            leaves = best_leaves(pace, shares, model)
            for nodes in budgets:
                placement = plain.drafting(self._speculation(plain, nodes, leaves, model))
                sizes = self.sizes(placement)
                memory = Bytes(sum(sizes.values()) - before)
                ups = speed_ups(pace, shares, nodes, leaves, model)
                points.append(Point(nodes, leaves, model, memory, *ups, fits=self._has_room(sizes)))
        return points

    def knows_steps(self, plain: Placement, points: Sequence[Point]) -> bool:
        """Whether steps with as many nodes as fit were timed on the model, where a worker would time them."""
        times = self.costs.row_times(self.threads(plain), plain)
        most = max((point.nodes for point in points if point.fits), default=0)
        return bool(plain.gpu_layers or plain.expert_memory) or (times is not None and times.outputs > most)

    def pace(self, plain: Placement, model: bool = False) -> Pace:
        """Of steps at the usual depth."""
        known = self.machine, self.model, plain, self.costs
        threads = self.threads(plain)

        @cache
        def rows(count: int) -> float:
            if count == 1:
                return step_seconds(*known, threads, 1)
            return max(rows(1), step_seconds(*known, self.threads_prefill, count))

        node = 0.0
        if model and self.draft and self.costs.draft:
            beside = self._draft_place(plain, Speculation(1))
            node = decode_seconds(self.machine, self.draft, beside, self.costs.draft, threads)
        return Pace(rows, BRANCH_SECONDS * min(plain.context, USUAL_DEPTH), node)

    def _speculation(self, plain: Placement, nodes: int, leaves: int, model: bool) -> Speculation:
        wanted = Speculation(nodes, min(leaves, nodes))
        if not model or not self.draft:
            return wanted
        return replace(wanted, draft=self.draft, placement=self._draft_place(plain, wanted))

    def _draft_place(self, plain: Placement, wanted: Speculation) -> Placement:
        """Where the draft model goes: to the GPU where the target leaves it room there, or into memory, copied into the
        order that is read fastest where that fits."""
        assert self.draft
        least = _draft_placement(plain, wanted.leaves)
        on_gpu = [replace(least, gpu_layers=self.draft.layers + 1)] if plain.gpu_layers else []
        for placement in (*on_gpu, replace(least, repack=True)):
            speculation = replace(wanted, draft=self.draft, placement=placement)
            if self._has_room(self.sizes(plain.drafting(speculation))):
                return placement
        return least

    def _rank(self, placement: Placement) -> tuple[float, float, int]:
        decode = self.decode_seconds(placement)
        prefill = prefill_seconds(self.machine, self.model, placement, self.costs, self.threads_prefill)
        return -decode, -prefill, placement.context

    def threads(self, placement: Placement) -> int:
        """The fewest that decode nearly as fast as any number would."""
        counts = sorted({1, self.threads_prefill} | {times.threads for times in self.costs.rows})
        if self.goal.power == ECO:
            counts = [count for count in counts if count <= self.threads_prefill]
        seconds = partial(decode_seconds, self.machine, self.model, placement, self.costs)
        enough = WORTH * min(map(seconds, counts))
        return self.given_threads or next(count for count in counts if seconds(count) <= enough)

    @property
    def threads_prefill(self) -> int:
        """With half of the cores a laptop stays cool and its fans quiet."""
        cores = self.machine.processor.cores
        return self.given_threads or (max(1, cores // 2) if self.goal.power == ECO else cores)

    @property
    def given_threads(self) -> int | None:
        """Where nothing is left to weigh."""
        return self.goal.threads or (self.machine.processor.threads if self.goal.power == FULL else None)

    def allocations(self, placement: Placement) -> tuple[Allocation, ...]:
        found = footprint(self.model, placement, self.costs, self.unified, driver=GPU in self.room)
        return (*found, Allocation(MEMORY, PROMPTS, self.goal.prompts, "anonymous")) if self.goal.prompts else found

    def all_allocations(self, placement: Placement) -> tuple[Allocation, ...]:
        """With what is to be had for prompts where the goal leaves that open: what nothing else needs."""
        found = self.allocations(placement)
        kept = Bytes(min(_MOST_PROMPTS, self._left(placement) // _OF_WHAT_IS_LEFT) // 2**20 * 2**20)
        return (*found, Allocation(MEMORY, PROMPTS, kept, "anonymous")) if self.goal.prompts is None and kept else found

    def sizes(self, placement: Placement) -> dict[str, Bytes]:
        return total(self.allocations(placement))

    def fits(self, placement: Placement) -> bool:
        return self._has_room(self.sizes(placement))

    def _has_room(self, sizes: dict[str, Bytes]) -> bool:
        return all(size <= self.room[tier] for tier, size in sizes.items())
