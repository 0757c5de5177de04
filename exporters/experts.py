"""Low-precision stand-ins of a Mixture-of-Experts model's experts, in a file beside it: see offload/planes.py.

The model is read in pieces, twice where levels are chosen: a sample of each tensor, then everything.
"""

import os
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from gguf import GGUFWriter

from ..errors import ModelChanged, ModelUnsupported, UsageError
from ..offload.gguf_header import NUMBER_OF, Header, read_header
from ..offload.layout import ExpertTensor, Layout
from ..offload.planes import (
    ARCHITECTURE,
    FORMS,
    PAGE,
    VERSION,
    Span,
    form_of,
    name_of,
    record_length,
    record_size,
    sample_of,
    sidecar_of,
    span_of,
)
from ..units import Bytes
from .gguf_file import Planned, Progress, Type, write_tensors
from .low import Levels, Loss, choose_levels, encode, table_of

_PIECE = 2**20  # bytes of a model in memory at once
_SAMPLE = 2**15  # bytes of a tensor that its levels are chosen by, in so many places
_PLACES = 32
_CHOOSING = 0.1  # of the work


@dataclass(frozen=True, slots=True)
class Exported:
    """What was written, and what it costs."""

    path: Path
    size: Bytes
    reads: dict[str, tuple[Bytes, Bytes]]  # by format: what all stand-ins read, and all experts
    losses: dict[tuple[str, str], Loss]  # of low blocks, by a tensor's name in its layer, and its format


def export_experts(model: Path, out: Path | None = None, progress: Progress | None = None) -> Exported:
    """Writes stand-ins of the experts of the model in the GGUF `model` to `out`, or to where they are looked for.

    Raises ModelUnsupported where there are no experts or they have no low form, another ModelError where the model
    cannot be read or changes meanwhile, UsageError where `out` is a file of the model, EngineError where low.c was not
    compiled, DiskFull or AccelError; and then leaves `out` as it was.
    """
    header = read_header(model)
    layout, out = Layout.of(header), out or sidecar_of(model)
    if not layout.layers:
        raise ModelUnsupported(
            f"{model} is a dense model", "only experts have stand-ins: name a Mixture-of-Experts model"
        )
    if out.exists() and any(out.samefile(file) for file in header.files):
        raise UsageError(f"{out} is the model itself", "name another file, or none")
    parts = [(layer, part) for layer, tensors in layout.layers.items() for part in tensors]
    tensors = [
        Planned(name_of(layer, part), (layout.experts, record_size(layout, part)), Type.I8) for layer, part in parts
    ]
    tell = progress or (lambda done: None)
    with _Source(layout) as source:
        levels: list[Levels] = []
        for number, (_, part) in enumerate(parts):
            tell(_CHOOSING * number / len(parts))
            levels.append(choose_levels(part.format, source.sample(part)))
        losses: dict[tuple[str, str], Loss] = {}

        def contents(number: int) -> Iterator[bytes]:
            part = parts[number][1]
            key = part.name, part.format
            for index in range(layout.experts):
                for piece, loss in _record(source, part, index, levels[number], tensors[number].shape[1]):
                    losses[key] = losses.get(key, Loss()) + loss
                    yield piece

        writer = _writer(header, layout, [part for _, part in parts], levels)
        write_tensors(out, writer, tensors, contents, lambda done: tell(_CHOOSING + (1 - _CHOOSING) * done))
    reads = {format: _reads(layout, [part for _, part in parts if part.format == format]) for format in FORMS}
    return Exported(out, Bytes(out.stat().st_size), {name: both for name, both in reads.items() if both[1]}, losses)


class _Source:
    """A model's files, which must stay as they are while they are read."""

    def __init__(self, layout: Layout) -> None:
        self.layout = layout

    def __enter__(self) -> "_Source":
        with ExitStack() as opening:
            self._files = [opening.enter_context(path.open("rb", buffering=0)) for path in self.layout.files]
            self._before = [self._state(number) for number in range(len(self._files))]
            self._open = opening.pop_all()
        return self

    def __exit__(self, *what: object) -> None:
        self._open.close()

    def _state(self, number: int) -> tuple[int, int]:
        about = os.fstat(self._files[number].fileno())
        return about.st_size, about.st_mtime_ns

    def read(self, file: int, offset: int, size: int) -> bytes:
        """Raises ModelChanged."""
        self._files[file].seek(offset)
        data = self._files[file].read(size)
        if len(data) != size or self._state(file) != self._before[file]:
            raise ModelChanged(f"{self.layout.files[file]} changed while it was read", "export its experts again")
        return data

    def sample(self, part: ExpertTensor) -> np.ndarray:
        """Blocks from evenly spaced places of a tensor: uint8, [blocks, bytes]."""
        block = form_of(part).block
        blocks = self.layout.experts * part.slice_size // block
        each = min(-(-_SAMPLE // _PLACES // block), blocks)
        places = np.unique(np.linspace(0, blocks - each, _PLACES).astype(np.int64)).tolist()
        found = b"".join(self.read(part.file, part.offset + place * block, each * block) for place in places)
        return np.frombuffer(found, np.uint8).reshape(-1, block)


def _record(source: _Source, part: ExpertTensor, index: int, levels: Levels, size: int) -> Iterator[tuple[bytes, Loss]]:
    """The record of one expert, `size` bytes in pieces, and what each of them loses."""
    form, span = form_of(part), _span(source.layout, part, index)
    at, blocks = span.start + span.head, span.blocks
    yield from _kept(source, part.file, span.start, span.head)
    while blocks:
        count = min(blocks, _PIECE // form.block)
        raw = np.frombuffer(source.read(part.file, at, count * form.block), np.uint8)
        low, loss = encode(part.format, levels, raw)
        yield low.tobytes(), loss
        at, blocks = at + count * form.block, blocks - count
    yield from _kept(source, part.file, at, span.tail)
    yield bytes(size - (span.head + span.blocks * form.low + span.tail)), Loss()


def _kept(source: _Source, file: int, offset: int, size: int) -> Iterator[tuple[bytes, Loss]]:
    if size:
        yield source.read(file, offset, size), Loss()


def _span(layout: Layout, part: ExpertTensor, index: int) -> Span:
    slice = part.of(index)
    return span_of(slice.offset, slice.size, form_of(part).block, layout.sizes[part.file])


def _reads(layout: Layout, parts: list[ExpertTensor]) -> tuple[Bytes, Bytes]:
    """Of all experts' slices of these tensors: what reading their records takes, and what reading their pages does."""
    spans = [(_span(layout, part, index), form_of(part)) for part in parts for index in range(layout.experts)]
    whole = sum(-(-(span.end - span.start) // PAGE) * PAGE for span, _ in spans)
    return Bytes(sum(record_length(span, form) for span, form in spans)), Bytes(whole)


def _writer(header: Header, layout: Layout, parts: list[ExpertTensor], levels: list[Levels]) -> GGUFWriter:
    tables = (table_of(part.format, these) for part, these in zip(parts, levels, strict=True))
    writer = GGUFWriter(None, ARCHITECTURE)
    writer.add_type("experts")
    writer.add_name(header.files[0].stem)
    writer.add_custom_alignment(PAGE)
    writer.add_uint32("experts.version", VERSION)
    writer.add_uint32("experts.page", PAGE)
    writer.add_string("experts.model", header.fingerprint)
    writer.add_string("experts.sample", sample_of(layout))
    writer.add_array("experts.formats", bytes(NUMBER_OF[part.format] for part in parts))
    writer.add_array("experts.tables", b"".join(tables))
    return writer
