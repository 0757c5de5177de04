"""Bytes of every part of a running model, by tier and kind. Pure."""

from dataclasses import dataclass, replace
from typing import Protocol

from ..units import Bytes
from .model import ModelSpec, Weights
from .quality import StandIns

MEMORY = "memory"  # the tier that every machine has
GPU = "gpu"  # memory of its own of the accelerator that the plan uses
WORKER, TEMPLATES = "worker", "templates"  # processes
CELLS = 256  # llama.cpp rounds the KV cache up to so many positions

# What llama.cpp keeps of a cell beside its keys and values: 52 bytes in four arrays (llama-kv-cells.h), and once it is
# used a node of 48 bytes in each of two trees.
_CELL = 160
_CHOICE = 40  # bytes for every token of the vocabulary where numpy draws one: copies of the logits, masks, an order
_BRANCH = 48  # bytes, of each cell that the root of a draft tree stands on, for each of its leaves beyond the first
# For every position of the context, where a prompt that fills it is read: its text as it came and as bytes, the room
# that its tokens are made in, and these as Python's integers in a request, a conversation and an answer.
_POSITION = 256
# Pages of a saved sequence's file that stand in memory at once: what was read or written is let go every half
# millisecond, or later where other processes keep the processor (engines/state.py).
_MAPPED_STATE = Bytes.from_mib(8)
_EXPERT_PAGES = 6 * 4096  # three slices, whose first and last pages are another's too
_BESIDE_EXPERTS = Bytes.from_mib(24)  # pages that experts share with others, and what the system reads around them
_RANKS, _LARGEST_MATRIX = 8, 8_000_000  # candidates of a token, and bytes, in the matrix of recycling.py
_NGRAMS = 2**18 * 19  # bytes of the table of ngrams.py
_COPIED = 2**17  # tokens of one text that copying.py indexes
_INDEXED, _SLOT = 84, 20  # bytes of a token there, and of a slot of the dict
_DRIVER = Bytes.from_mib(168)  # of main memory, that CUDA takes for a context, kernels and cuBLAS (seen with 13.0)
_TEMPLATES = Bytes.from_mib(12)  # Python with jinja2; its files' pages are those of the front, too
_PROMPT = 16  # bytes that it takes for every position of the prompt that it makes


_CANDIDATES = {  # parts of an engine that grow with what is drafted: what their growth is called
    "KV cache": "candidate KV",
    "compute buffer": "compute buffer for drafts",
    "logits": "candidate logits",
    "cells of the KV cache": "cells of candidates",
    "GPU KV cache": "GPU candidate KV",
    "GPU compute buffer": "GPU compute buffer for drafts",
}


@dataclass(frozen=True, slots=True)
class Allocation:
    """Bytes of one part in one tier. Mapped bytes are a file's pages, which the system may drop and read again."""

    tier: str
    what: str
    size: Bytes
    kind: str  # mapped | anonymous | pinned | device
    process: str = WORKER  # which holds it: the worker, or the one that renders chat templates


@dataclass(frozen=True, slots=True)
class Speculation:
    """What an engine that drafts is opened for, beside what plain decoding takes."""

    nodes: int  # of the drafts of one step, of all texts together, at most
    leaves: int = 1  # of one text's draft; 1: chains only
    draft: ModelSpec | None = None  # the model that drafts; None: drafters without one do
    placement: "Placement | None" = None  # of that model

    def branches(self, sequences: int) -> int:
        """Leaves beyond the first of all trees together: each is a node."""
        return min((self.leaves - 1) * sequences, self.nodes)

    def candidates(self, sequences: int) -> int:
        """Positions beyond the context. Where cached texts of others fill that, nothing would be left for drafts; who
        has it alone drafts in what is free of it, and goes on plainly at its end: neither takes anything from it."""
        return self.nodes if sequences > 1 else 0


@dataclass(frozen=True, slots=True)
class Placement:
    """What an engine is opened with, as far as it has bytes."""

    context: int  # positions that all sequences share
    sequences: int
    kv_type: str
    ubatch: int  # rows of one forward
    outputs: int  # rows with logits of one forward, those of drafts included
    repack: bool = False
    gpu_layers: int = 0  # the last so many; the output matrix counts as one
    experts_in_memory: int = 0  # the first so many layers keep their experts in main memory
    # Bytes for experts that are read as they are needed, none of them on a GPU; 0: all of the file is mapped.
    expert_memory: int = 0
    through_cache: bool = False  # those bytes are the system's cache, since pages cannot be moved into place
    stand_ins: StandIns | None = None  # for experts that count for little; None: all are exact
    speculation: Speculation | None = None  # None: nothing is drafted
    fused: bool = True  # attention in one kernel; in several it takes a buffer more, and a processor often less time

    @property
    def cells(self) -> int:
        """Positions that the KV cache is made for."""
        return -(-self.positions // CELLS) * CELLS

    @property
    def positions(self) -> int:
        """Of the context and of drafts beyond it."""
        return self.context + (self.speculation.candidates(self.sequences) if self.speculation else 0)

    @property
    def branches(self) -> int:
        return self.speculation.branches(self.sequences) if self.speculation else 0

    @property
    def plain(self) -> "Placement":
        """The same without drafts."""
        if not self.speculation:
            return self
        return replace(self, outputs=self.outputs - self.speculation.nodes, speculation=None)

    def drafting(self, speculation: Speculation) -> "Placement":
        """The same with drafts: all of their rows have logits."""
        return replace(self.plain, outputs=self.plain.outputs + speculation.nodes, speculation=speculation)

    @property
    def staging(self) -> Bytes:
        """Of the memory for experts what stand-ins are read into before they are expanded."""
        return self.stand_ins.staging if self.stand_ins else Bytes(0)


class BufferCosts(Protocol):
    """What footprint asks of the measured costs."""

    @property
    def process(self) -> tuple[Bytes, Bytes]:
        """(anonymous, mapped) bytes of a worker that has answered, with the vocabulary and without what follows."""
        ...

    @property
    def vocabulary(self) -> Bytes:
        """Of the model's header and vocabulary in memory: what a second model takes of its own."""
        ...

    @property
    def draft(self) -> "BufferCosts | None":
        """Of the model that may draft."""
        ...

    def compute_buffer(self, model: ModelSpec, placement: Placement) -> Bytes: ...

    def repacks(self, part: Weights) -> bool:
        """Whether this processor's kernels want a part's matrices in another order than the file's."""
        ...


def footprint(
    model: ModelSpec, placement: Placement, costs: BufferCosts, unified: bool = False, driver: bool = False
) -> tuple[Allocation, ...]:
    """Every part of the processes that a chat starts, at its peak: of the worker, and of the one for templates. The
    front is not among them: it is there before anything is planned. `unified`: the GPU has no memory of its own.
    `driver`: the engine starts a GPU's, even where nothing is put there."""
    gpu = MEMORY if unified else GPU
    anonymous, mapped = costs.process
    plain = _engine_parts(model, placement.plain, costs, gpu)
    parts = [
        Allocation(MEMORY, "process", anonymous, "anonymous"),
        Allocation(MEMORY, "program files", mapped, "mapped"),
        *plain,
        Allocation(MEMORY, "choosing a token", Bytes(_CHOICE * model.vocabulary), "anonymous"),
        Allocation(MEMORY, "text and tokens", Bytes(_POSITION * placement.context), "anonymous"),
        Allocation(MEMORY, "embeddings", embeddings(model, placement.plain.outputs), "anonymous"),
        Allocation(MEMORY, "saved sequence", saved_sequence(model, placement.plain), "mapped"),
        Allocation(MEMORY, "template process", template_process(placement), "anonymous", TEMPLATES),
    ]
    if driver:
        parts.append(Allocation(MEMORY, "GPU driver", _DRIVER, "anonymous"))
    if placement.speculation:
        parts += _speculative_parts(model, placement, placement.speculation, plain, costs, gpu)
    return tuple(part for part in parts if part.size)


def _engine_parts(model: ModelSpec, placement: Placement, costs: BufferCosts, gpu: str) -> list[Allocation]:
    compute = costs.compute_buffer(model, placement)
    parts = [
        *_weights(model, placement),
        Allocation(MEMORY, "repacked weights", repacked_weights(model, placement, costs), "anonymous"),
        Allocation(MEMORY, "KV cache", kv_cache(model, placement, on_gpu=False), "anonymous"),
        Allocation(MEMORY, "compute buffer", compute, "anonymous"),
        Allocation(MEMORY, "logits", Bytes(placement.outputs * model.vocabulary * 4), "anonymous"),
        Allocation(MEMORY, "cells of the KV cache", cells(model, placement), "anonymous"),
        Allocation(MEMORY, "rows for the kernels", kernel_rows(model, placement), "anonymous"),
    ]
    if placement.gpu_layers:
        parts += [
            Allocation(gpu, "GPU weights", gpu_weights(model, placement), "device"),
            Allocation(gpu, "GPU KV cache", kv_cache(model, placement, on_gpu=True), "device"),
            Allocation(gpu, "GPU compute buffer", compute, "device"),
        ]
    return parts


def _speculative_parts(
    model: ModelSpec, placement: Placement, wanted: Speculation, plain: list[Allocation], costs: BufferCosts, gpu: str
) -> list[Allocation]:
    """What drafting takes beside plain decoding: candidates in the engine's own buffers, leaves of trees, tables of the
    drafters, and the model that drafts."""
    drafting = _engine_parts(model, placement, costs, gpu)
    parts = [
        replace(more, what=_CANDIDATES.get(more.what, more.what), size=Bytes(max(0, more.size - part.size)))
        for part, more in zip(plain, drafting, strict=True)
    ]
    trees = _BRANCH * placement.context * min(wanted.leaves - 1, placement.branches)
    parts += [
        Allocation(MEMORY, "candidate embeddings", embeddings(model, wanted.nodes), "anonymous"),
        Allocation(MEMORY, "draft tree branches", Bytes(trees), "anonymous"),
        Allocation(MEMORY, "drafters' tables", drafter_tables(model.vocabulary, placement, wanted.leaves), "anonymous"),
    ]
    if wanted.draft and wanted.placement and costs.draft:
        parts += [
            replace(part, what=f"draft {part.what}")
            for part in _engine_parts(wanted.draft, wanted.placement, costs.draft, gpu)
        ]
        parts += [
            Allocation(MEMORY, "draft vocabulary", costs.draft.vocabulary, "anonymous"),
            Allocation(MEMORY, "draft model's tree branches", Bytes(trees), "anonymous"),
        ]
    return parts


def drafter_tables(vocabulary: int, placement: Placement, leaves: int) -> Bytes:
    """What the drafters without a model keep: candidates of every token (recycling.py; where drafts are chains, one),
    n-grams, and the index of the texts that run (copying.py). What they read and write are a file's pages, as of a
    saved sequence."""
    ranks = max(1, min(_RANKS, vocabulary, _LARGEST_MATRIX // (4 * vocabulary))) if leaves > 1 else 1
    texts = copied(min(placement.context, placement.sequences * _COPIED))
    return Bytes(4 * vocabulary * ranks + _NGRAMS + texts)


def copied(positions: int) -> int:
    """Bytes of an index of so many tokens: of each its run and its place as Python's integers, and a dict that is two
    thirds full at most, beside the one of half the size that it grew out of."""
    slots = 1 << (3 * positions // 2).bit_length()
    return max(_INDEXED * positions + _SLOT * slots, (_INDEXED // 3 + _SLOT + _SLOT // 2) * slots)


def total(parts: tuple[Allocation, ...]) -> dict[str, Bytes]:
    """Bytes by tier."""
    sizes: dict[str, Bytes] = {}
    for part in parts:
        sizes[part.tier] = sizes.get(part.tier, Bytes(0)) + part.size
    return sizes


def of_worker(parts: tuple[Allocation, ...]) -> tuple[Bytes, Bytes, Bytes]:
    """(anonymous, mapped, pinned) bytes of main memory that the worker may hold."""
    held = [part for part in parts if part.tier == MEMORY and part.process == WORKER]
    anonymous, mapped, pinned = (
        Bytes(sum(part.size for part in held if part.kind == kind)) for kind in ("anonymous", "mapped", "pinned")
    )
    return anonymous, mapped, pinned


def first_gpu_layer(model: ModelSpec, placement: Placement) -> int:
    return max(0, model.layers + 1 - placement.gpu_layers)


def is_on_gpu(part: Weights, model: ModelSpec, placement: Placement) -> bool:
    """Embeddings are looked up in main memory; what stands after the layers goes with the output matrix."""
    if not placement.gpu_layers or part.role == "embedding":
        return False
    if part.role == "experts" and part.layer < placement.experts_in_memory:
        return False
    return part.layer < 0 or part.layer >= first_gpu_layer(model, placement)


def is_multiplied_on_gpu(part: Weights, model: ModelSpec, placement: Placement) -> bool:
    """Embeddings that are the output matrix too are copied to the GPU as such."""
    tied = part.role == "embedding" and model.tied and placement.gpu_layers > 0
    return tied or is_on_gpu(part, model, placement)


def _weights(model: ModelSpec, placement: Placement) -> tuple[Allocation, ...]:
    if not placement.expert_memory:
        return (Allocation(MEMORY, "weights", mapped_weights(model, placement), "mapped"),)
    experts = model.bytes_of("experts")
    dense, beside = Bytes(mapped_weights(model, placement) - experts), min(_BESIDE_EXPERTS, Bytes(experts / 20))
    kind = "mapped" if placement.through_cache else "pinned"
    return (
        Allocation(MEMORY, "dense weights", dense, kind),
        Allocation(MEMORY, "experts", Bytes(placement.expert_memory) - placement.staging, kind),
        Allocation(MEMORY, "room to read stand-ins", placement.staging, "anonymous"),
        Allocation(MEMORY, "pages beside experts", beside, "mapped"),
    )


def expert_rooms(model: ModelSpec) -> tuple[Bytes, ...]:
    """Memory of one expert of each layer that has some, in whole pages at both ends of every slice."""
    return tuple(Bytes(part.size // model.experts + _EXPERT_PAGES) for part in model.weights if part.role == "experts")


def mapped_weights(model: ModelSpec, placement: Placement) -> Bytes:
    """The file's pages. All of them are read once; those that were copied to a GPU are let go."""
    if not placement.gpu_layers:
        return Bytes(sum(model.sizes))
    return Bytes(sum(part.size for part in model.weights if not is_on_gpu(part, model, placement)))


def gpu_weights(model: ModelSpec, placement: Placement) -> Bytes:
    placed = sum(part.size for part in model.weights if is_on_gpu(part, model, placement))
    return Bytes(placed + (model.bytes_of("embedding") if model.tied and placement.gpu_layers else 0))


def repacked_weights(model: ModelSpec, placement: Placement, costs: BufferCosts) -> Bytes:
    """Copies of the matrices in the order that the kernels want; a lookup of embeddings needs the file's order."""
    if not placement.repack:
        return Bytes(0)
    multiplied = (
        part for part in model.weights if part.role != "embedding" or (model.tied and not placement.gpu_layers)
    )
    return Bytes(sum(part.size for part in multiplied if costs.repacks(part) and not is_on_gpu(part, model, placement)))


def kv_cache(model: ModelSpec, placement: Placement, on_gpu: bool) -> Bytes:
    """Keys and values of every cell, and recurrent states of every sequence, of the layers of one side."""
    first = first_gpu_layer(model, placement) if placement.gpu_layers else model.layers
    layers = range(first, model.layers) if on_gpu else range(min(first, model.layers))
    cells = model.kv_bytes_per_position(placement.kv_type, layers) * placement.cells
    return Bytes(cells + model.state * placement.sequences * len(layers) // model.layers)


def template_process(placement: Placement) -> Bytes:
    """The process in which chat templates are rendered."""
    return Bytes(_TEMPLATES + _PROMPT * placement.context)


def cells(model: ModelSpec, placement: Placement) -> Bytes:
    """Which sequences see which position; a sliding window has a cache and cells of its own."""
    return Bytes(_CELL * placement.cells * (2 if model.sliding_window else 1))


def kernel_rows(model: ModelSpec, placement: Placement) -> Bytes:
    """The widest rows that a matrix is multiplied with, in the format that kernels want beside the matrix's, and where
    experts are chosen the list of each one's rows (ggml_graph_plan). No dry run tells it."""
    widest = max(
        model.width,
        model.ff_width,
        model.expert_width * model.experts_used,
        max(model.heads) * max(model.key_size, model.value_size),
    )
    half = any(part.format in ("F16", "BF16") for part in model.weights if part.role != "embedding")
    row = widest * 2 if half else widest * 1.15  # 8 bits a value and the scales
    if not placement.fused:  # then what is multiplied with the values is as wide as the context
        row = max(row, 2 * placement.cells * max(model.heads))
    return Bytes(placement.ubatch * (row + 8 * model.experts * model.experts_used))


def embeddings(model: ModelSpec, outputs: int) -> Bytes:
    """What the last layer makes of so many rows: where somebody asks for it, it lies beside their logits."""
    return Bytes(outputs * model.width * 4)


def saved_sequence(model: ModelSpec, placement: Placement) -> Bytes:
    """Pages of the file that a sequence is saved to or loaded from."""
    whole = model.kv_bytes_per_position(placement.kv_type) * placement.cells + model.state
    return Bytes(min(whole, _MAPPED_STATE))
