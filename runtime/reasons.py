"""Why a placement is as it is, in the words that a user reads. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from ..units import Bytes
from .costs import USUAL_DEPTH
from .expert_costs import MEASURED_ROUTING, USUAL_ROUTING, bytes_per_token, expected_quality, kept_share, reading_rate
from .footprint import Placement, repacked_weights
from .model import ModelSpec
from .quality import OFF
from .search import ECO, EXACT_KV, FULL, LEAST_CONTEXT, UBATCHES, USUAL_CONTEXT, WORTH, WORTH_APART, Search
from .speculation import BUDGETS, ENOUGH, Point, Shares, model_pays


@dataclass(frozen=True, slots=True)
class Choice:
    """An automatic decision."""

    value: bool | int | float | str
    reason: str


def choices_of(
    search: Search, placement: Placement, threads: int, rests_on: str, curve: Sequence[Point]
) -> dict[str, Choice]:
    """`curve`: what was weighed for drafts."""
    model, goal = search.model, search.goal
    return {
        "context": Choice(placement.context, _why_context(search, placement)),
        "sequences": Choice(goal.sequences, "as asked"),
        "kv_type": Choice(placement.kv_type, _why_kv_type(search, placement)),
        "threads": Choice(threads, _why_given(search) or f"{_why_threads(search, threads)} by {rests_on}"),
        "threads_prefill": Choice(search.threads_prefill, _why_given(search) or _why_threads_prefill(search)),
        "batch": Choice(placement.ubatch, "as many rows as are computed at once"),
        "ubatch": Choice(placement.ubatch, _why_ubatch(search, placement)),
        "outputs": Choice(placement.outputs, f"{Bytes(placement.outputs * model.vocabulary * 4)} of logits"),
        "flash_attention": Choice(placement.fused, _why_fused(search, placement)),
        "repack": Choice(placement.repack, _why_repack(search, placement)),
        "gpu_layers": Choice(placement.gpu_layers, _why_gpu_layers(search, placement)),
        "experts_in_memory": Choice(placement.experts_in_memory, _why_experts(search, placement)),
        "expert_memory": Choice(placement.expert_memory, _why_expert_memory(search, placement)),
        "through_cache": Choice(placement.through_cache, _why_through_cache(search, placement)),
        **_stand_ins(search, placement),
        **_drafting(search, placement, curve),
    }


def _drafting(search: Search, placement: Placement, curve: Sequence[Point]) -> dict[str, Choice]:
    wanted = placement.speculation
    nodes, leaves = (wanted.nodes, wanted.leaves) if wanted else (0, 1)
    draft = wanted.draft if wanted else None
    why = _why_nodes(search, placement, curve) if wanted else _why_no_drafts(search, placement, curve)
    branches = f"trees gain more than {1 - ENOUGH:.0%} over chains here"
    return {
        "draft_nodes": Choice(nodes, why),
        "draft_leaves": Choice(leaves, branches if leaves > 1 else "chains: trees would hardly be faster"),
        "draft_model": Choice(draft.paths[0] if draft else "", _why_draft_model(search, placement, curve)),
    }


def _why_nodes(search: Search, placement: Placement, curve: Sequence[Point]) -> str:
    chosen = chosen_of(curve, placement)
    if search.goal.draft_nodes is not None or not chosen:
        return "as asked"
    fast = f"{chosen.repeating:.2f} times as fast where text repeats itself, {chosen.other:.2f} elsewhere"
    largest = max(point.nodes for point in curve if point.fits)
    limit = "" if largest == BUDGETS[-1] else f"; more than {largest} do not fit"
    kept = f"the least that keeps {ENOUGH:.0%} of what {largest} give" if largest > chosen.nodes else "the most"
    if not search.knows_steps(placement.plain, curve):
        kept = "as many as fit, until it is timed what they take"
    return f"{kept}: {fast}, {chosen.memory} more memory; {Shares.of(search.costs.shares)}{limit}"


def _why_no_drafts(search: Search, placement: Placement, curve: Sequence[Point]) -> str:
    if not search.goal.drafting or search.goal.draft_nodes == 0:
        return "nothing is to be drafted"
    if search.model.recurrent:
        return "this model's state cannot be taken back: what was guessed wrong would stay in it"
    if curve and not any(point.fits for point in curve):
        least = min(point.memory for point in curve)
        return f"drafts would take {least}, more than is left beside the context"
    if curve:
        best = max(max(point.repeating, point.other) for point in curve if point.fits)
        return f"no drafts that fit make it faster than {best:.2f} times; {Shares.of(search.costs.shares)}"
    pace, most = search.pace(placement), min(BUDGETS[-1], placement.ubatch - placement.outputs)
    if most < 1:
        return "the context is too short"
    rows, cost = min(
        ((1 + n, pace.rows(1 + n) / pace.rows(1)) for n in range(1, most + 1)), key=lambda found: found[1] / found[0]
    )
    return f"{rows} rows at once cost {cost:.1f} times as much as one: no draft could pay, however many stand"


def _why_draft_model(search: Search, placement: Placement, curve: Sequence[Point]) -> str:
    if not search.named:
        return "none was named"
    if placement.speculation and placement.speculation.draft:
        chosen = chosen_of(curve, placement)
        faster = f"{chosen.other:.2f} times as fast where text does not repeat itself" if chosen else "as asked"
        return f"{faster}, if {Shares.of(search.costs.shares).model:.2f} of its guesses stand"
    if search.named.recurrent:
        return f"the state of {search.named.path.name} cannot be taken back"
    if not placement.speculation:
        return "nothing is drafted"
    if not model_pays(curve):
        return f"{search.named.path.name} would take longer to guess than it saves"
    return f"{search.named.path.name} does not fit beside the context, or leaves room for fewer drafts than pay"


def chosen_of(curve: Sequence[Point], placement: Placement) -> Point | None:
    """The point of the curve that a placement is at."""
    wanted = placement.speculation
    found = (
        point for point in curve if wanted and (point.nodes, point.model) == (wanted.nodes, wanted.draft is not None)
    )
    return next(found, None)


def _why_given(search: Search) -> str:
    """Of threads that were not for the plan to choose."""
    if search.goal.threads:
        return "as asked"
    return "full: all that the processor has" if search.goal.power == FULL else ""


def _why_threads_prefill(search: Search) -> str:
    return "eco: half of the cores" if search.goal.power == ECO else "a long prompt keeps every core busy"


def _why_ubatch(search: Search, placement: Placement) -> str:
    if placement.ubatch == UBATCHES[0]:
        return "larger batches do not get faster"
    if search.ubatches != UBATCHES:
        return "eco: steps a quarter as long and smaller buffers, for about a tenth more work"
    return "larger buffers do not fit"


def _why_threads(search: Search, threads: int) -> str:
    if threads == search.threads_prefill:
        return "eco: half of the cores, and fewer decode slower" if search.goal.power == ECO else "fewer decode slower"
    return f"more would gain less than {WORTH - 1:.0%}, and lose more when other programs run,"


def _why_context(search: Search, placement: Placement) -> str:
    trained, context = search.model.context, placement.context
    if search.goal.context:
        asked = "as asked" if context == search.goal.context else "the most that can be asked for"
        return "; ".join(filter(None, (asked, beyond(search.model, context))))
    if context == trained:
        return "all that the model was trained for"
    if context == USUAL_CONTEXT:
        return f"enough for a long conversation; the model was trained for {trained}"
    return "what fits beside the weights" if context < LEAST_CONTEXT else "more would take room that makes it faster"


def beyond(model: ModelSpec, context: int) -> str:
    if not 0 < model.context < context:
        return ""
    return f"the model was trained for {model.context} positions and will not make sense beyond them"


def _why_kv_type(search: Search, placement: Placement) -> str:
    wish, kind = search.goal.kv_type, placement.kv_type
    if wish == kind:
        return "as asked"
    if wish:
        return f"{wish} does not divide this model's heads of {search.model.key_size}"
    return "keeps the text exact" if kind == EXACT_KV else f"{EXACT_KV} does not fit, and another text is allowed"


def _why_fused(search: Search, placement: Placement) -> str:
    if placement.gpu_layers or placement.expert_memory:
        return "a GPU computes it so" if placement.gpu_layers else "memory is for experts"
    if placement.sequences > 1:
        return "no text looks at what belongs to others"
    if placement.kv_type != EXACT_KV:
        return f"a cache in {placement.kv_type} is read only so"
    gain = search.gain_apart(placement)
    if not placement.fused:
        return f"in parts it decodes {gain - 1:.0%} faster behind {USUAL_DEPTH} positions"
    return f"in parts it would {'decode faster and does not fit' if gain > WORTH_APART else 'hardly decode faster'}"


def _why_repack(search: Search, placement: Placement) -> str:
    size = repacked_weights(search.model, replace(placement, repack=True), search.costs)
    if placement.repack:
        return f"a copy of {size} in the order that this processor reads fastest fits"
    if not size:
        return "this processor reads these weights best as they are"
    if search.fits(replace(placement, repack=True)):
        return f"a copy of {size} would not make it faster"
    return f"a copy of {size} would make it faster and does not fit"


def _why_gpu_layers(search: Search, placement: Placement) -> str:
    if not search.accelerator:
        present = search.machine.accelerators
        return "the engine was built without accelerators" if present else "no accelerator"
    spared = ", without their experts" if placement.experts_in_memory >= search.model.layers else ""
    if placement.gpu_layers > search.model.layers:
        return f"every layer fits on {search.accelerator.name}{spared}"
    if placement.gpu_layers:
        return f"as many as fit on {search.accelerator.name}{spared}"
    if placement.expert_memory and search.unified:
        return "its memory is the one that experts are read into"
    return "main memory is faster"


def _why_experts(search: Search, placement: Placement) -> str:
    if not search.model.experts:
        return "a dense model"
    if placement.experts_in_memory and placement.expert_memory:
        return "the processor computes those that are there, and the GPU all else that fits on it"
    if placement.experts_in_memory:
        return "their layers' attention gains more from the GPU than they do"
    return "with their layers"


def _why_expert_memory(search: Search, placement: Placement) -> str:
    if not placement.expert_memory:
        return "all of them are mapped" if search.model.experts else "a dense model"
    routing = search.costs.routing
    share, size = kept_share(search.model, placement), bytes_per_token(search.model, placement, routing)
    rate = reading_rate(search.machine, search.model, placement) / 1e9
    rests_on = MEASURED_ROUTING if routing else USUAL_ROUTING
    rests_on += " and measured stand-ins" if placement.stand_ins else ""
    waits = f"a token waits for about {size} of others by {rests_on}, read at {rate:.1f} GB/s"
    return f"{share:.0%} of the experts fit; {waits}"


def _why_through_cache(search: Search, placement: Placement) -> str:
    """How experts come into memory."""
    if not placement.expert_memory:
        return "all of them are mapped" if search.model.experts else "a dense model"
    if placement.through_cache:
        return "experts come through the system's cache: pages cannot be moved here"
    if not search.machine.can_read_directly:
        return f"reads go through the system's cache: {search.model.paths[0]} cannot be read directly"
    return "pages are moved into place, read past the system's cache"


def _stand_ins(search: Search, placement: Placement) -> dict[str, Choice]:
    if not placement.stand_ins:
        why = _why_no_stand_ins(search, placement)
        off = Choice(OFF, "nothing stands in for an expert")
        exact = Choice(False, "every expert is exact, whatever is in memory")
        return {"low_experts": Choice("", why), "low_above": off, "skip_above": off, "deterministic": exact}
    chosen, goal = placement.stand_ins.qualities[0], search.goal
    before = "of a token's gate scores lies before an expert"
    will_do = f"a stand-in will do where a larger share {before}: the best measured"
    left_out = f"left out where a larger share {before}" if chosen.skip < OFF else "leaving one out is not worth it"
    return {
        "low_experts": Choice(placement.stand_ins.path, quality_words(search, placement)),
        "low_above": Choice(chosen.low, will_do if chosen.low < chosen.skip else "leaving out alone reads less"),
        "skip_above": Choice(chosen.skip, f"{left_out}: the best measured"),
        "deterministic": Choice(
            goal.deterministic, "as asked" if goal.deterministic else "what is in memory serves, which reads the least"
        ),
    }


def quality_words(search: Search, placement: Placement) -> str:
    """What the placement's stand-ins cost."""
    found = expected_quality(search.model, placement, search.costs.routing)
    if not found or not placement.stand_ins:
        return ""
    least = placement.stand_ins.qualities[0].share
    fewer = f" and extrapolated from {least:.0%} of the experts in memory to {found.share:.0%}"
    return found.words + (fewer if found.share < least else "")


def _why_no_stand_ins(search: Search, placement: Placement) -> str:
    if not placement.expert_memory:
        return "all experts are in memory" if search.model.experts else "a dense model"
    known = search.costs.stand_ins
    if placement.through_cache and search.goal.approximate:
        return "the text stays exact: nothing can stand in for an expert where pages cannot be moved"
    if known.problem and search.goal.approximate:
        return known.problem
    if not search.goal.approximate:
        return "the text stays exact"
    if not known.of(search.goal.deterministic):
        return "no stand-ins that depend on gate scores alone lose as little as they should"
    if not search.with_stand_ins(placement):
        return "to read stand-ins takes memory that experts need"
    return "stand-ins would not make it faster"
