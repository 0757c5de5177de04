"""Figures of a worker's parts and answers, as `messages.py` carries them. Pure."""

from typing import Annotated, TypeAlias

import msgspec

Count: TypeAlias = Annotated[int, msgspec.Meta(ge=0, lt=2**62)]
Seconds: TypeAlias = Annotated[float, msgspec.Meta(ge=0)]


class LayerUse(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """As `engines.base.LayerUse`."""

    layer: Count
    uses: Count
    hits: Count
    late: Count
    beside: Count
    expected: Count
    fulfilled: Count
    stall: Seconds
    recall: Annotated[float, msgspec.Meta(ge=0, le=1)]
    wasted: Count = 0
    low: Count = 0
    skipped: Count = 0
    needed: Count = 0
    read: Count = 0


class DrafterUse(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """As `drafting.conductor.Use`, of the drafter of a name; `trouble` is why it does not guess."""

    name: str
    asked: Count
    guessed: Count
    drafted: Count
    stood: Count
    seconds: Seconds
    reading: Seconds
    trouble: str = ""


class Usage(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Tokens of a prompt, how many of them were cached, how many rows were forwarded, tokens of the answer, and how
    many of these are text of thoughts, which markers are not."""

    prompt: Count
    reused: Count
    forwarded: Count
    generated: Count
    thought: Count = 0


class Timings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Seconds that a request waited for its turn, took for its prompt, and for all tokens after the first."""

    waited: Seconds
    prefill: Seconds
    decode: Seconds
