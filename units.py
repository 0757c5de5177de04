"""Numbers that know their unit: sizes and rates never travel as bare ints, not even through JSON."""

import re
from typing import Any, Self, TypeVar

import msgspec

from .errors import UsageError

_SCALE = {"": 1, "b": 1, "k": 10**3, "m": 10**6, "g": 10**9, "t": 10**12}
_BINARY = {"ki": 2**10, "mi": 2**20, "gi": 2**30, "ti": 2**40}
_SIZE = re.compile(r"\s*(\d{1,15}(?:\.\d{1,6})?)\s*([kmgt]i?)?b?\s*", re.IGNORECASE)


class Bytes(int):
    """A size in memory or on disk. Arithmetic among sizes stays a size."""

    @classmethod
    def parse(cls, text: str) -> Self:
        """`6GiB`, `512 MiB`, `1.5g`, `4096`. Raises UsageError for anything else."""
        found = _SIZE.fullmatch(text)
        if not found:
            raise UsageError(f"'{text}' is no size", "write for example 6GiB, 512MiB or 4096")
        unit = (found[2] or "").lower()
        return cls(float(found[1]) * {**_SCALE, **_BINARY}[unit])

    @classmethod
    def from_mib(cls, value: float) -> Self:
        return cls(value * 2**20)

    @classmethod
    def from_gib(cls, value: float) -> Self:
        return cls(value * 2**30)

    @property
    def mib(self) -> float:
        return self / 2**20

    @property
    def gib(self) -> float:
        return self / 2**30

    def __add__(self, other: int) -> "Bytes":
        return Bytes(int(self) + int(other))

    __radd__ = __add__

    def __sub__(self, other: int) -> "Bytes":
        return Bytes(int(self) - int(other))

    def __mul__(self, other: float) -> "Bytes":
        return Bytes(int(self) * other)

    __rmul__ = __mul__

    def __str__(self) -> str:
        size = abs(int(self))
        for unit, scale in (("GiB", 2**30), ("MiB", 2**20), ("KiB", 2**10)):
            if size >= scale:
                return f"{self / scale:.2f} {unit}" if size < 10 * scale else f"{self / scale:.1f} {unit}"
        return f"{int(self)} B"

    def __format__(self, spec: str) -> str:
        return format(str(self), spec)

    def __repr__(self) -> str:
        return f"Bytes({int(self)})"


class Rate(float):
    """Bytes per second."""

    def __str__(self) -> str:
        return f"{Bytes(self)}/s"

    def __format__(self, spec: str) -> str:
        return format(str(self), spec)

    def __repr__(self) -> str:
        return f"Rate({float(self)})"


T = TypeVar("T")


def to_json(value: Any) -> bytes:
    """A record with sizes and rates in it, as JSON of plain numbers."""
    return msgspec.json.encode(value, enc_hook=_plain)


def from_json(data: bytes, kind: type[T]) -> T:
    """The record back, its sizes and rates typed. Raises msgspec.ValidationError or DecodeError."""
    return msgspec.json.decode(data, type=kind, dec_hook=_typed)


def _plain(value: object) -> object:
    if isinstance(value, Bytes):
        return int(value)
    if isinstance(value, Rate):
        return float(value)
    raise TypeError(f"{type(value).__name__} has no JSON form")


def _typed(kind: type, value: object) -> object:
    if kind in (Bytes, Rate) and isinstance(value, int | float):
        return kind(value)
    raise TypeError(f"{kind.__name__} cannot be read from {type(value).__name__}")
