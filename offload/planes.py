"""One expert, two precisions: a file beside the model that holds a stand-in of every expert in about half the bytes.

A record of that file stands in for the whole pages that hold one expert's slice of one tensor. Pages at both ends are
shared with neighbours and must show the model's own bytes, so a record is: those bytes as they are (`head`), low blocks
(planes.h says how they are made), and again the model's bytes (`tail`). Reading a record and expanding its low blocks
gives exactly these pages. The file is a GGUF: one tensor of records for each tensor of experts.
"""

import hashlib
import mmap
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np

from ..errors import (
    ModelDamaged,
    ModelEmpty,
    ModelError,
    ModelMissing,
    ModelTruncated,
    ModelUnreadable,
    ModelUnsupported,
)
from ..units import Bytes
from .gguf_header import NUMBER_OF, Array, Header, Tensor, read_header
from .layout import ExpertTensor, Layout
from .layout import sidecar_of as sidecar_of

PAGE = mmap.PAGESIZE
VERSION = 1
ARCHITECTURE = "experts"
TABLE = 16  # bytes
_SAMPLES, _SAMPLE = 16, 4096  # tensors that are looked into, and bytes of each
_AGAIN = "export it again: accel-export experts MODEL"
_DAMAGED = (ModelDamaged, ModelEmpty, ModelMissing, ModelTruncated, ModelUnsupported)


class Form(NamedTuple):
    """A format that has low blocks."""

    number: int  # in planes.h
    block: int  # bytes
    low: int


FORMS = {"Q4_0": Form(0, 18, 10), "Q8_0": Form(1, 34, 18), "Q4_K": Form(2, 144, 80), "Q6_K": Form(3, 210, 114)}


class Span(NamedTuple):
    """Whole pages that hold a slice, less what lies beyond the file's end; and how a record holds them."""

    start: int  # in the model's file
    end: int
    head: int  # bytes that are kept as they are
    blocks: int
    tail: int


def span_of(start: int, size: int, block: int, file_size: int, page: int = PAGE) -> Span:
    """Of a slice of whole blocks. Where no block lies off the pages at its ends, all is kept."""
    start, end = int(start), int(start + size)
    first, last = start // page * page, min(-(-end // page) * page, int(file_size))
    skipped = -(-(-start % page) // block)  # blocks that touch the first page, if the slice shares it
    until = (end // page * page - start) // block
    if until <= skipped:
        return Span(first, last, last - first, 0, 0)
    return Span(first, last, start + skipped * block - first, until - skipped, last - (start + until * block))


@dataclass(frozen=True, slots=True)
class Plane:
    """One tensor of experts at low precision: its records lie one after another at `offset` of the file at `path`."""

    path: Path
    tensor: ExpertTensor
    file_size: int  # of the model's file that holds the tensor
    table: bytes  # TABLE
    offset: int  # divisible by PAGE, as is the size of a record
    record_size: Bytes

    @property
    def form(self) -> Form:
        return FORMS[self.tensor.format]

    def span(self, index: int) -> Span:
        part = self.tensor.of(index)
        return span_of(part.offset, part.size, self.form.block, self.file_size)

    def length(self, index: int) -> int:
        """Bytes of an expert's record that have to be read: whole pages, at `offset + index * record_size`."""
        return record_length(self.span(index), self.form)

    def pages(self, index: int, record: bytes) -> bytes:
        """What a record stands for: whole pages, zero beyond the end of the model's file."""
        span, form = self.span(index), self.form
        raw = np.frombuffer(record, np.uint8, span.head + span.blocks * form.low + span.tail)
        low = raw[span.head : span.head + span.blocks * form.low].reshape(span.blocks, form.low)
        blocks = expand(self.tensor.format, self.table, low).tobytes()
        whole = raw[: span.head].tobytes() + blocks + raw[len(raw) - span.tail :].tobytes()
        return whole + bytes(-len(whole) % PAGE)


@dataclass(frozen=True, slots=True)
class Planes:
    """Of a whole model: for every layer its tensors' planes, in the order of `Layout.layers`."""

    path: Path
    layers: dict[int, tuple[Plane, ...]]
    fingerprint: str = ""  # of the file's header

    @property
    def longest(self) -> Bytes:
        """Of all records: what whoever reads them needs room for."""
        return max(plane.record_size for planes in self.layers.values() for plane in planes)

    @classmethod
    def read(cls, path: Path, model: Header, layout: Layout) -> "Planes":
        """Raises ModelMissing where there is no such file, and another ModelError where it is damaged, or was made for
        another model, another size of pages or by another version."""
        try:
            header = read_header(path)
        except _DAMAGED as error:
            raise type(error)(error.what, _AGAIN) from error
        _check(path, header, model, layout)
        formats, tables = _numbers(path, header, "formats"), bytes(_numbers(path, header, "tables"))
        parts = [(layer, part) for layer, tensors in layout.layers.items() for part in tensors]
        if formats != tuple(NUMBER_OF[part.format] for _, part in parts) or len(tables) != TABLE * len(parts):
            raise _damaged(path, "holds tables of other tensors than its model's")
        if len(header.tensors) != len(parts):
            raise _damaged(path, f"holds {len(header.tensors)} tensors for {len(parts)} of its model")
        layers: dict[int, list[Plane]] = {layer: [] for layer in layout.layers}
        for place, (layer, part) in enumerate(parts):
            table = tables[TABLE * place : TABLE * (place + 1)]
            layers[layer].append(_plane(path, header, layout, name_of(layer, part), part, table))
        return cls(path, {layer: tuple(planes) for layer, planes in layers.items()}, header.fingerprint)


def name_of(layer: int, part: ExpertTensor) -> str:
    """Of the tensor of records."""
    return f"blk.{layer}.{part.name}.low"


def form_of(part: ExpertTensor) -> Form:
    """Raises ModelUnsupported where its format has no low form."""
    if part.format not in FORMS:
        raise ModelUnsupported(
            f"experts in {part.format} have no low-precision form", f"take a model whose experts are {', '.join(FORMS)}"
        )
    return FORMS[part.format]


def record_length(span: Span, form: Form) -> int:
    """In bytes, of whole pages."""
    return -(-(span.head + span.blocks * form.low + span.tail) // PAGE) * PAGE


def record_size(layout: Layout, part: ExpertTensor) -> Bytes:
    """What the longest record of a tensor's experts takes. Raises ModelUnsupported as `form_of` does."""
    form, end = form_of(part), layout.sizes[part.file]
    spans = (span_of(part.of(index).offset, part.slice_size, form.block, end) for index in range(layout.experts))
    return Bytes(max(record_length(span, form) for span in spans))


def sample_of(layout: Layout) -> str:
    """A digest of some of the experts' bytes: models that were trained on have the same header. Raises
    ModelUnreadable."""
    parts = [part for tensors in layout.layers.values() for part in tensors]
    digest = hashlib.blake2b(digest_size=16)
    for part in parts[:: -(-len(parts) // _SAMPLES)]:
        path = layout.files[part.file]
        try:
            with path.open("rb", buffering=0) as file:
                file.seek(part.of(layout.experts // 2).offset)
                digest.update(file.read(min(_SAMPLE, part.slice_size)))
        except OSError as error:
            raise ModelUnreadable(f"{path} cannot be read: {error.strerror}", "check the disk and the path") from error
    return digest.hexdigest()


def _check(path: Path, header: Header, model: Header, layout: Layout) -> None:
    """That a file holds stand-ins, and those of this model, for this machine."""
    if header.metadata.get("general.architecture") != ARCHITECTURE or header.files != (path,):
        raise ModelUnsupported(f"{path} holds no stand-ins of experts", _AGAIN)
    if header.metadata.get("experts.version") != VERSION:
        raise ModelUnsupported(f"{path} was made by another version", _AGAIN)
    if header.metadata.get("experts.page") != PAGE:
        raise ModelUnsupported(f"{path} was made for pages of another size than the {PAGE} bytes here", _AGAIN)
    if header.metadata.get("experts.model") != model.fingerprint:
        raise ModelUnsupported(f"{path} was made for another model than {model.files[0]}", _AGAIN)
    if header.metadata.get("experts.sample") != sample_of(layout):
        raise ModelUnsupported(f"{path} was made for other weights than those of {model.files[0]}", _AGAIN)


def _plane(path: Path, header: Header, layout: Layout, name: str, part: ExpertTensor, table: bytes) -> Plane:
    size, found = record_size(layout, part), header.tensors.get(name)
    if found is None or not _holds(found, size, layout.experts):
        raise _damaged(path, f"lacks '{name}', or holds it in another shape")
    return Plane(path, part, layout.sizes[part.file], table, found.offset, size)


def _holds(tensor: Tensor, record: int, experts: int) -> bool:
    return tensor.format == "I8" and tensor.shape == (record, experts) and tensor.offset % PAGE == 0


def _numbers(path: Path, header: Header, key: str) -> tuple[int, ...]:
    """An array of bytes."""
    found = header.metadata.get(f"experts.{key}")
    if not isinstance(found, Array) or found.kind != 0:
        raise _damaged(path, f"lacks its {key}")
    return found.numbers()


def _damaged(path: Path, what: str) -> ModelError:
    return ModelDamaged(f"{path} {what}", _AGAIN)


def expand(format: str, table: bytes, low: np.ndarray) -> np.ndarray:
    """Low blocks (uint8, [blocks, bytes]) as blocks, as planes.c does it."""
    entries, many = np.frombuffer(table, np.uint8), len(low)
    if format == "Q6_K":
        return _expand_q6_k(entries, low)
    kept, together = {"Q4_0": (2, 8), "Q8_0": (2, 16), "Q4_K": (16, 16)}[format]
    codes = low[:, kept:].reshape(many, (low.shape[1] - kept) // together, 1, together)
    quants = entries[np.concatenate([codes & 15, codes >> 4], axis=2)]
    return np.concatenate([low[:, :kept], quants.reshape(many, FORMS[format].block - kept)], axis=1)


def _expand_q6_k(entries: np.ndarray, low: np.ndarray) -> np.ndarray:
    halves = low[:, :96].reshape(len(low), 2, 48)
    most, rest = halves[..., :32], np.concatenate([halves[..., 32:] & 15, halves[..., 32:] >> 4], axis=2)
    codes = [most & 7, most >> 6 | (rest & 1) << 2, most >> 3 & 7, rest >> 1]
    a, b, c, d = (entries[code] for code in codes)
    bottom = np.concatenate([a & 15 | c << 4, b & 15 | d << 4], axis=2)
    top = a >> 4 & 3 | (b >> 4 & 3) << 2 | (c >> 4 & 3) << 4 | (d >> 4 & 3) << 6
    return np.concatenate([bottom.reshape(len(low), 128), top.reshape(len(low), 64), low[:, 96:]], axis=1)
