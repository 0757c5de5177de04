"""Bytes of every part of a running model, by tier and kind. Pure."""

from dataclasses import dataclass
from typing import Protocol

from ..units import Bytes
from .model import ModelSpec, Weights

MEMORY = "memory"  # the tier that every machine has
GPU = "gpu"  # memory of its own of the accelerator that the plan uses
CELLS = 256  # llama.cpp rounds the KV cache up to so many positions


@dataclass(frozen=True, slots=True)
class Allocation:
    """Bytes of one part in one tier. Mapped bytes are a file's pages, which the system may drop and read again."""

    tier: str
    what: str
    size: Bytes
    kind: str  # mapped | anonymous | pinned | device


@dataclass(frozen=True, slots=True)
class Placement:
    """What an engine is opened with, as far as it has bytes."""

    context: int  # positions that all sequences share
    sequences: int
    kv_type: str
    ubatch: int  # rows of one forward
    outputs: int  # rows with logits of one forward
    repack: bool = False
    gpu_layers: int = 0  # the last so many; the output matrix counts as one
    experts_in_memory: int = 0  # the first so many layers keep their experts in main memory

    @property
    def cells(self) -> int:
        """Positions that the KV cache is made for."""
        return -(-self.context // CELLS) * CELLS


class BufferCosts(Protocol):
    """What footprint asks of the measured costs."""

    @property
    def process(self) -> tuple[Bytes, Bytes]:
        """(anonymous, mapped) bytes of a worker that holds the vocabulary and no weights."""
        ...

    def compute_buffer(self, model: ModelSpec, placement: Placement) -> Bytes: ...

    def repacks(self, part: Weights) -> bool:
        """Whether this processor's kernels want a part's matrices in another order than the file's."""
        ...


def footprint(
    model: ModelSpec, placement: Placement, costs: BufferCosts, unified: bool = False
) -> tuple[Allocation, ...]:
    """Every part of the worker at its peak. `unified`: the GPU has no memory of its own."""
    gpu = MEMORY if unified else GPU
    anonymous, mapped = costs.process
    compute = costs.compute_buffer(model, placement)
    logits = Bytes(placement.outputs * model.vocabulary * 4)
    parts = [
        Allocation(MEMORY, "process", anonymous, "anonymous"),
        Allocation(MEMORY, "program files", mapped, "mapped"),
        Allocation(MEMORY, "weights", mapped_weights(model, placement), "mapped"),
        Allocation(MEMORY, "repacked weights", repacked_weights(model, placement, costs), "anonymous"),
        Allocation(MEMORY, "KV cache", kv_cache(model, placement, on_gpu=False), "anonymous"),
        Allocation(MEMORY, "compute buffer", compute, "anonymous"),
        Allocation(MEMORY, "logits", logits, "anonymous"),
    ]
    if placement.gpu_layers:
        parts += [
            Allocation(gpu, "GPU weights", gpu_weights(model, placement), "device"),
            Allocation(gpu, "GPU KV cache", kv_cache(model, placement, on_gpu=True), "device"),
            Allocation(gpu, "GPU compute buffer", compute, "device"),
        ]
    return tuple(part for part in parts if part.size)


def total(parts: tuple[Allocation, ...]) -> dict[str, Bytes]:
    """Bytes by tier."""
    sizes: dict[str, Bytes] = {}
    for part in parts:
        sizes[part.tier] = sizes.get(part.tier, Bytes(0)) + part.size
    return sizes


def first_gpu_layer(model: ModelSpec, placement: Placement) -> int:
    return max(0, model.layers + 1 - placement.gpu_layers)


def is_on_gpu(part: Weights, model: ModelSpec, placement: Placement) -> bool:
    """Embeddings are looked up in main memory; what stands after the layers goes with the output matrix."""
    if not placement.gpu_layers or part.role == "embedding":
        return False
    if part.role == "experts" and part.layer < placement.experts_in_memory:
        return False
    return part.layer < 0 or part.layer >= first_gpu_layer(model, placement)


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
