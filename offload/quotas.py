"""How many experts each layer may keep: a layer without its share would be flushed by the others within every token."""

from collections.abc import Sequence

from ..units import Bytes

FLOOR = 0.5  # of its quota that a layer keeps when others need room for a long prompt


def least_budget(rooms: Sequence[int], used: int) -> Bytes:
    """For one token: what every layer uses at once. `rooms`: bytes of one expert of each layer."""
    return Bytes(used * sum(rooms))


def share_out(rooms: Sequence[int], experts: int, used: int, budget: Bytes, most: int) -> tuple[int, ...] | None:
    """Experts for every layer, `used` to `experts` each, in no more than `budget` bytes and `most` experts in all; as
    even as that goes, the rest to the first layers, whose experts are foreseen worst (Fate, arXiv 2502.12224, on its
    cache). None where that is not enough for a single token."""
    layers = len(rooms)
    each = min(experts, budget // max(1, sum(rooms)), most // max(1, layers))
    if each < used:
        return None
    left, more, quotas = budget - each * sum(rooms), most - each * layers, []
    for room in rooms:
        # The first that has no room ends it: another one's would be taken away again with a little more memory.
        left, more = left - room, more - 1
        quotas.append(each + (each < experts and left >= 0 and more >= 0))
    return tuple(quotas)


def floors(quotas: Sequence[int]) -> tuple[int, ...]:
    """Below which no layer is taken from for another."""
    return tuple(int(FLOOR * quota) for quota in quotas)
