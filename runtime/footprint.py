"""Bytes of every part of a running model, by tier and kind."""

from dataclasses import dataclass

from ..units import Bytes

MEMORY = "memory"  # the tier that every machine has


@dataclass(frozen=True, slots=True)
class Allocation:
    """Bytes of one part in one tier. Mapped bytes are a file's pages, which the system may drop and read again."""

    tier: str
    what: str
    size: Bytes
    kind: str  # mapped | anonymous | pinned | device
