"""Where every expert's bytes lie in a model's files.

An expert of a layer is one slice of each of the layer's expert tensors (gate, up, down; gate and up may be one): the
tensor's bytes, cut into as many equal parts as there are experts. Biases of experts are small and stay with the dense
weights.
"""

import math
import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from ..errors import ModelDamaged
from ..units import Bytes
from .gguf_header import Header, Tensor, first_file

_EXPERTS = re.compile(r"blk\.(\d{1,9})\.(ffn_\w*_exps)\.weight")


@dataclass(frozen=True, slots=True, order=True)
class Expert:
    layer: int
    index: int


@dataclass(frozen=True, slots=True)
class Slice:
    """One expert's part of one tensor."""

    file: int  # of `Layout.files`
    offset: int
    size: Bytes

    @property
    def end(self) -> int:
        return self.offset + self.size


@dataclass(frozen=True, slots=True)
class ExpertTensor:
    """One tensor that holds a slice of every expert of its layer."""

    name: str  # "ffn_gate_exps"
    file: int
    offset: int
    slice_size: Bytes
    format: str

    def of(self, index: int) -> Slice:
        return Slice(self.file, self.offset + index * self.slice_size, self.slice_size)


@dataclass(frozen=True, slots=True)
class Layout:
    """Of a Mixture-of-Experts model; `layers` maps a layer's number to its tensors in the order of the file."""

    files: tuple[Path, ...]
    sizes: tuple[Bytes, ...]
    experts: int  # of every layer
    layers: dict[int, tuple[ExpertTensor, ...]]

    @classmethod
    def of(cls, header: Header) -> "Layout":
        """Without layers for a dense model. Raises ModelDamaged where the tensors of experts contradict each other."""
        layers: dict[int, list[ExpertTensor]] = {}
        counts: set[int] = set()
        places = {path: number for number, path in enumerate(header.files)}
        for tensor in sorted(header.tensors.values(), key=lambda tensor: (places[tensor.file], tensor.offset)):
            if named := _EXPERTS.fullmatch(tensor.name):
                count = _count(tensor)
                counts.add(count)
                size = Bytes(tensor.size // count)
                part = ExpertTensor(named[2], places[tensor.file], tensor.offset, size, tensor.format)
                layers.setdefault(int(named[1]), []).append(part)
        if len(counts) > 1:
            raise _damaged(header.files[0], f"has layers of {' and of '.join(map(str, sorted(counts)))} experts")
        whole = {layer: tuple(parts) for layer, parts in sorted(layers.items())}
        return cls(header.files, header.sizes, counts.pop() if counts else 0, whole)

    def within(self, holds: Callable[[int, int, int], bool]) -> "Layout":
        """Without the layers of which `holds(file, start, end)` is not true of every tensor: those an engine leaves."""

        def held(tensors: tuple[ExpertTensor, ...]) -> bool:
            return all(holds(part.file, part.offset, part.offset + self.experts * part.slice_size) for part in tensors)

        return replace(self, layers={layer: tensors for layer, tensors in self.layers.items() if held(tensors)})

    def slices(self, expert: Expert) -> tuple[Slice, ...]:
        return tuple(tensor.of(expert.index) for tensor in self.layers[expert.layer])

    def size_of(self, layer: int) -> Bytes:
        """Of one expert of a layer."""
        return Bytes(sum(tensor.slice_size for tensor in self.layers[layer]))

    @property
    def size(self) -> Bytes:
        """Of all experts."""
        return Bytes(self.experts * sum(self.size_of(layer) for layer in self.layers))

    def ranges(self) -> tuple[tuple[int, int, int], ...]:
        """(file, start, end) of all that belongs to experts, ascending; what lies together is one range."""
        found: list[tuple[int, int, int]] = []
        for tensor in sorted(
            (tensor for tensors in self.layers.values() for tensor in tensors),
            key=lambda part: (part.file, part.offset),
        ):
            start, end = tensor.offset, tensor.offset + self.experts * tensor.slice_size
            if found and found[-1][0] == tensor.file and found[-1][2] == start:
                found[-1] = (tensor.file, found[-1][1], end)
            else:
                found.append((tensor.file, start, end))
        return tuple(found)


def sidecar_of(model: Path) -> Path:
    """Where a model's stand-ins are looked for; any file of a split model may be named."""
    first = first_file(model)
    return first.with_name(f"{first.name.removesuffix('.gguf')}.low.gguf")


def _count(tensor: Tensor) -> int:
    """How many experts share a tensor: its last dimension."""
    if len(tensor.shape) != 3 or math.prod(tensor.shape) == 0 or tensor.size % tensor.shape[2]:
        raise _damaged(tensor.file, f"holds '{tensor.name[:80]}' in a shape that no experts can share: {tensor.shape}")
    return tensor.shape[2]


def _damaged(path: Path, what: str) -> ModelDamaged:
    return ModelDamaged(f"{path} {what}", "download or convert the model again")
