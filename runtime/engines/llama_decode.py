"""Several tokens of one sequence in one call, by llama_decode.c: see `base.Engine.decode`."""

import ctypes
from functools import cache
from typing import Any

import numpy as np

from ...compiled import library
from . import llama_api as api
from .base import Chosen, CompiledLaw, Stop


class _Engine(ctypes.Structure):
    """Engine of llama_decode.c."""

    _fields_ = (
        ("decode", api.address),
        ("logits", api.address),
        ("context", api.address),
        ("batch", api.address),
        ("vocabulary", ctypes.c_int64),
        ("ends", api.address),
    )


class _Law(ctypes.Structure):
    """Law of llama_decode.c."""

    _fields_ = (
        ("choose", api.address),
        ("key", ctypes.c_uint64),
        ("temperature", ctypes.c_double),
        ("top_k", ctypes.c_int32),
        ("top_p", ctypes.c_double),
        ("min_p", ctypes.c_double),
    )


class Decoder:
    """Decodes with a context and the batch that holds its next row. Both must outlive it."""

    def __init__(self, context: int, batch: api.Batch, vocabulary: int, ends: frozenset[int]) -> None:
        self._ends = np.zeros(vocabulary, np.uint8)
        self._ends[list(ends)] = 1
        decode, logits = (ctypes.cast(function, api.address) for function in (api.decode, api.logits_of))
        self._engine = _Engine(decode, logits, context, ctypes.addressof(batch), vocabulary, self._ends.ctypes.data)

    def __call__(self, law: CompiledLaw, most: int, chosen: Chosen, stop: Stop) -> bool:
        """Whether all went well; see `accel_decode`."""
        law_of_c = _Law(law.choose, law.key, law.temperature, law.top_k, law.top_p, law.min_p)
        flag = (ctypes.c_uint8 * len(stop.flag)).from_buffer(stop.flag)
        return compiled()(self._engine, law_of_c, flag, min(most, chosen.MOST), chosen.room.ctypes.data) >= 0


@cache
def compiled() -> Any:
    """`accel_decode` of llama_decode.c, or None where it was not compiled, or does not load."""
    loaded = library(f"{__package__}._llama_decode")
    if loaded is None:
        return None
    decode = loaded.accel_decode
    decode.restype = ctypes.c_int32
    decode.argtypes = (
        *(ctypes.POINTER(_Engine), ctypes.POINTER(_Law), api.address),
        *(ctypes.c_int32, api.address),
    )
    return decode
