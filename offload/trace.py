"""Recorded routing: which experts every token of some text used, in a file that anybody may have written.

The file is a line of magic, the length of a header in four bytes, the header as JSON, the experts as 16-bit numbers
and, where they were recorded, the gates' scores as halves; all little-endian. Its length follows from its header.
"""

import math
import os
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import msgspec
import numpy as np

from ..devices.files import open_atomic
from ..errors import AccelError, StateError, UsageError
from ..units import Bytes, from_json, to_json

_MAGIC = b"accel routing 1\n"
_LONGEST_HEADER = 2**20  # bytes
_LARGEST = 2**28  # bytes: hours of any model's writing
_MOST_WORDS = 1000  # characters of a name


@dataclass(frozen=True, slots=True, eq=False)
class Trace:
    """`chosen`: uint16 of shape (tokens, layers, used), no two alike in one layer of one token; a layer is counted
    among those that have experts. `scores`: what the gates gave them, float16 of the same shape, or None."""

    model: str  # its fingerprint
    name: str
    experts: int  # of every layer
    sizes: tuple[Bytes, ...]  # of one expert of each layer
    chosen: np.ndarray
    scores: np.ndarray | None = None

    def __post_init__(self) -> None:
        """Raises UsageError for what no model's routing can be."""
        shape, chosen = self.chosen.shape, self.chosen
        if len(shape) != 3 or 0 in shape or len(self.sizes) != shape[1] or not shape[2] <= self.experts <= 2**16:
            raise _impossible(f"experts of shape {shape}, of {self.experts} in each of {len(self.sizes)} layers")
        if min(self.sizes) < 1 or max(self.sizes) > 2**62:
            raise _impossible("an expert without bytes")
        if chosen.dtype != np.uint16 or chosen.max() >= self.experts:
            raise _impossible(f"an expert beyond the {self.experts} of a layer")
        ordered = np.sort(chosen, axis=-1)
        if (ordered[..., 1:] == ordered[..., :-1]).any():
            raise _impossible("a token that uses an expert twice")
        if self.scores is not None and (self.scores.shape != shape or not np.isfinite(self.scores).all()):
            raise _impossible("scores that are not each expert's")

    @property
    def tokens(self) -> int:
        return self.chosen.shape[0]

    @property
    def layers(self) -> int:
        return self.chosen.shape[1]

    @property
    def used(self) -> int:
        """Experts of a layer that one token uses."""
        return self.chosen.shape[2]

    def part(self, first: int, end: int) -> "Trace":
        """Of some of the tokens, one at least."""
        scores = None if self.scores is None else self.scores[first:end]
        return Trace(self.model, self.name, self.experts, self.sizes, self.chosen[first:end], scores)


@dataclass(frozen=True, slots=True)
class _Header:
    model: str
    name: str
    experts: int
    tokens: int
    used: int
    scores: bool
    sizes: tuple[Bytes, ...]

    @property
    def values(self) -> int:
        return self.tokens * len(self.sizes) * self.used

    @property
    def size(self) -> int:
        """Bytes that follow it."""
        return self.values * (4 if self.scores else 2)

    @property
    def sane(self) -> bool:
        counts = (self.experts, self.tokens, self.used, len(self.sizes))
        words = max(len(self.model), len(self.name))
        return min(counts) > 0 and math.prod(counts[1:]) <= _LARGEST and words <= _MOST_WORDS


def save_trace(path: Path, trace: Trace) -> None:
    """The file is there whole or not at all. Raises DiskFull, AccelError."""
    header = to_json(
        _Header(
            model=trace.model[:_MOST_WORDS],
            name=trace.name[:_MOST_WORDS],
            experts=trace.experts,
            tokens=trace.tokens,
            used=trace.used,
            scores=trace.scores is not None,
            sizes=trace.sizes,
        )
    )
    with open_atomic(path) as sink:
        sink.write(_MAGIC + len(header).to_bytes(4, "little") + header)
        sink.write(trace.chosen.astype("<u2").tobytes())
        if trace.scores is not None:
            sink.write(trace.scores.astype("<f2").tobytes())


def load_trace(path: Path) -> Trace:
    """Raises StateError for a file that holds no trace, AccelError for one that cannot be read."""
    try:
        if not stat.S_ISREG(path.stat().st_mode):  # who opens a pipe may wait for ever
            raise _damaged(path, "is no regular file")
        with path.open("rb") as source:
            return _read(path, source)
    except OSError as error:
        raise AccelError(f"cannot read {path}: {error.strerror or error}", "name a file that can be read") from error


def _read(path: Path, source: BinaryIO) -> Trace:
    size = os.fstat(source.fileno()).st_size
    start = source.read(len(_MAGIC) + 4)
    length = int.from_bytes(start[len(_MAGIC) :], "little")
    if len(start) < len(_MAGIC) + 4 or not start.startswith(_MAGIC) or length > _LONGEST_HEADER:
        raise _damaged(path, "is no recorded routing")
    try:
        header = from_json(source.read(length), _Header)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise _damaged(path, f"has a header that cannot be read ({error})") from error
    if not header.sane or len(start) + length + header.size != size or size > _LARGEST:
        raise _damaged(path, "is not as long as its header says")
    raw = source.read(header.size)
    if len(raw) != header.size:
        raise _damaged(path, "was written to while it was read")
    shape = header.tokens, len(header.sizes), header.used
    chosen = np.frombuffer(raw, "<u2", header.values).astype(np.uint16).reshape(shape)
    scores = None
    if header.scores:
        scores = np.frombuffer(raw, "<f2", offset=2 * header.values).astype(np.float16).reshape(shape)
    try:
        return Trace(header.model, header.name, header.experts, header.sizes, chosen, scores)
    except UsageError as error:
        raise _damaged(path, f"holds {error.what}") from error


def _damaged(path: Path, what: str) -> StateError:
    return StateError(f"{path} {what}", "record the routing again")


def _impossible(what: str) -> UsageError:
    return UsageError(what, "record the routing of a model")
