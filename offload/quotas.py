"""How many experts each layer may keep: a layer without its share would be flushed by the others within every token."""

from collections.abc import Sequence
from heapq import heapify, heappop, heappush

from ..units import Bytes
from .curves import HitCurves

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


def share_by_hits(
    rooms: Sequence[int], experts: int, used: int, budget: Bytes, most: int, curves: HitCurves
) -> tuple[int, ...] | None:
    """As `share_out`, and each expert more goes to the layer where it spares the most bytes of reading, for every byte
    it takes, as measured: where it is hit the most often."""
    quotas = [used] * len(rooms)
    left, more = budget - least_budget(rooms, used), most - used * len(rooms)
    if experts < used or left < 0 or more < 0:
        return None
    gains = [_falling_gains(curve, used) for curve in curves.hits]
    best = [(-steps[0], layer) for layer, steps in enumerate(gains) if steps]
    heapify(best)
    while best and more > 0:
        _, layer = heappop(best)
        if left < rooms[layer]:
            continue
        quotas[layer] += 1
        left, more = left - rooms[layer], more - 1
        if (step := quotas[layer] - used) < len(gains[layer]):
            heappush(best, (-gains[layer][step], layer))
    return tuple(quotas)


def _falling_gains(curve: Sequence[int], first: int) -> list[float]:
    """Hits that each expert after the first so many adds, made even where a later one would add more than an earlier:
    whoever takes the best next one then finds what only several together bring."""
    runs: list[tuple[float, int]] = []  # (gain of each, how many)
    for low, high in zip(curve[first:-1], curve[first + 1 :], strict=True):
        gain, count = float(high - low), 1
        while runs and runs[-1][0] < gain:
            before, several = runs.pop()
            gain, count = (gain * count + before * several) / (count + several), count + several
        runs.append((gain, count))
    return [gain for gain, count in runs for _ in range(count)]


def floors(quotas: Sequence[int]) -> tuple[int, ...]:
    """Below which no layer is taken from for another."""
    return tuple(int(FLOOR * quota) for quota in quotas)
