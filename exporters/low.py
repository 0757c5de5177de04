"""Blocks of quants as low blocks: which few levels lose least of a tensor, and its blocks in these.

low.c does the sums; offload/planes.h says what a low block is.
"""

import ctypes
from dataclasses import dataclass
from functools import cache
from itertools import pairwise, product
from typing import Any, NamedTuple

import numpy as np

from ..compiled import library
from ..errors import EngineError
from ..offload.planes import FORMS, TABLE

_MOST_LEVELS = 16
_MOST_TURNS = 50  # some 10 are enough
_STEPS = (2, 1)  # by which levels are moved

Levels = tuple[int, ...]  # ascending


class _Range(NamedTuple):
    """Which quants a format has, and how many of them can be levels. Quants are counted from what means zero, except
    where each run has its own zero."""

    lowest: int
    highest: int
    levels: int


_RANGES = {
    "Q4_0": _Range(-8, 7, 4),
    "Q8_0": _Range(-127, 127, 16),
    "Q4_K": _Range(0, 15, 4),
    "Q6_K": _Range(-32, 31, 8),
}


class _Account(ctypes.Structure):
    """As in low.c."""

    _fields_ = (
        ("error", ctypes.c_double),
        ("whole", ctypes.c_double),
        ("levels", ctypes.c_double),
        ("sum", ctypes.c_double * _MOST_LEVELS),
        ("weight", ctypes.c_double * _MOST_LEVELS),
    )


@dataclass(frozen=True, slots=True)
class Loss:
    """Sums of squares: of what low blocks differ by, and of what they stand for."""

    error: float = 0.0
    whole: float = 0.0

    def __add__(self, other: "Loss") -> "Loss":
        return Loss(self.error + other.error, self.whole + other.whole)

    @property
    def share(self) -> float:
        return self.error / self.whole if self.whole else 0.0


def encode(format: str, levels: Levels, blocks: np.ndarray) -> tuple[np.ndarray, Loss]:
    """Blocks (uint8, [blocks, bytes]) as low blocks. Raises EngineError where low.c was not compiled."""
    low, account = _encode(format, levels, blocks, False)
    return low, Loss(account.error, account.whole)


def table_of(format: str, levels: Levels) -> bytes:
    """What codes are looked up in."""
    lowest = _RANGES[format].lowest
    if format == "Q8_0":
        return bytes(level & 255 for level in levels)
    quants = [level - lowest for level in levels]
    if format == "Q6_K":
        return bytes(quants).ljust(TABLE, b"\0")
    return bytes(quants[code & 3] | quants[code >> 2] << 4 for code in range(TABLE))


def choose_levels(format: str, blocks: np.ndarray) -> Levels:
    """Those that lose least of these blocks, as far as moving one at a time finds them. Raises EngineError."""
    levels, account = _means(format, blocks)
    lowest, highest, count = _RANGES[format]
    for step in _STEPS:
        again = True
        while again:
            again = False
            for place, by in product(range(count), (-step, step)):
                near = (*levels[:place], levels[place] + by, *levels[place + 1 :])
                if not _ascend((lowest - 1, *near, highest + 1)):
                    continue
                found = _encode(format, near, blocks, False)[1]
                if found.error < account.error:
                    levels, account, again = near, found, True
    return levels


def _means(format: str, blocks: np.ndarray) -> tuple[Levels, _Account]:
    """From evenly spaced levels on, each moves to the mean of what it stands for, as long as that gains anything."""
    lowest, highest, count = _RANGES[format]
    levels = tuple(np.rint(np.linspace(lowest, highest, count + 2)[1:-1]).astype(int).tolist())
    account = _encode(format, levels, blocks, True)[1]
    for _ in range(_MOST_TURNS):
        means = [
            account.sum[place] / account.weight[place] if account.weight[place] else level
            for place, level in enumerate(levels)
        ]
        near = tuple(round(min(max(mean, lowest), highest)) for mean in means)
        if near == levels or not _ascend(near):
            break
        found = _encode(format, near, blocks, True)[1]
        if found.error >= account.error:
            break
        levels, account = near, found
    return levels, account


def _ascend(levels: Levels) -> bool:
    return all(a < b for a, b in pairwise(levels))


def _encode(format: str, levels: Levels, blocks: np.ndarray, means: bool) -> tuple[np.ndarray, _Account]:
    form, account = FORMS[format], _Account(levels=means)
    blocks = np.ascontiguousarray(blocks, np.uint8).reshape(-1, form.block)
    low = np.empty((len(blocks), form.low), np.uint8)
    these = (ctypes.c_int8 * len(levels))(*levels)
    _library()(form.number, these, blocks.ctypes.data, low.ctypes.data, len(blocks), ctypes.byref(account))
    return low, account


@cache
def _library() -> Any:
    loaded = library(f"{__package__}._low")
    if loaded is None:
        raise EngineError("stand-ins cannot be made here: low.c was not compiled", "install accel with a C compiler")
    pointer = ctypes.c_void_p
    encode = loaded.accel_low_encode
    encode.restype = None
    encode.argtypes = (ctypes.c_int32, pointer, pointer, pointer, ctypes.c_int64, pointer)
    return encode
