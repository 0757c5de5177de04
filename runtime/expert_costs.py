"""What keeping only a part of the experts in memory costs: bytes that a token has to wait for. Pure."""

from bisect import bisect_right
from dataclasses import replace
from functools import partial

from ..devices.machine import Machine
from ..offload.curves import HitCurves
from ..units import Bytes, Rate
from .footprint import Placement, expert_rooms
from .model import ModelSpec
from .quality import Quality

# Of a layer's experts the share that is kept, and how many of a token's are found there when those used last are kept:
# seen with routing as local as is reported of real models.
_USUAL_HITS = ((0.0, 0.0), (0.25, 0.64), (0.4, 0.75), (0.5, 0.81), (0.6, 0.86), (1.0, 1.0))
_USUAL_DISK = Rate(1e9)
_THROUGH_CACHE = 0.6  # of what is read directly: the system makes room for pages first, and copies what is in them
MEASURED_ROUTING, USUAL_ROUTING = "measured routing", "usual routing"  # what hits rest on
COMPUTING = 1.35  # times as long as alone: readers and their bookkeeping take a part of the processor


def kept_share(model: ModelSpec, placement: Placement) -> float:
    """Of the experts, how many are in memory at once: 1 where nothing is managed."""
    rooms = sum(expert_rooms(model)) * model.experts
    kept = placement.expert_memory - placement.staging
    return min(1.0, kept / rooms) if placement.expert_memory and rooms else 1.0


def expert_sizes(model: ModelSpec) -> dict[int, Bytes]:
    """Bytes of one expert of each layer that has some, by the layer's number."""
    sizes: dict[int, Bytes] = {}
    for part in model.weights:
        if part.role == "experts" and 0 <= part.layer < model.layers and model.experts:
            sizes[part.layer] = sizes.get(part.layer, Bytes(0)) + part.size // model.experts
    return sizes


def hits(model: ModelSpec, share: float, routing: HitCurves | None) -> float:
    """Of a token's experts, how many are found where this share of every layer's is kept: as measured on the model, or
    as usual."""
    if routing:
        return routing.rate(share, tuple(expert_sizes(model).values()))
    right = min(bisect_right(_USUAL_HITS, (share, 1.0)), len(_USUAL_HITS) - 1)
    (x0, y0), (x1, y1) = _USUAL_HITS[right - 1 : right + 1]
    return y0 + (y1 - y0) * (share - x0) / (x1 - x0)


def missing(model: ModelSpec, share: float, routing: HitCurves | None) -> float:
    """Bytes that one exact token lacks in the mean, where this share of every layer's experts is kept."""
    return (1 - hits(model, share, routing)) * model.experts_used * sum(expert_rooms(model))


def bytes_per_token(model: ModelSpec, placement: Placement, routing: HitCurves | None) -> Bytes:
    """That are read for one token, in the mean."""
    lacks, share = partial(missing, model, routing=routing), kept_share(model, placement)
    return Bytes(placement.stand_ins.read(share, lacks) if placement.stand_ins else lacks(share))


def expected_quality(model: ModelSpec, placement: Placement, routing: HitCurves | None) -> Quality | None:
    """What the placement's stand-ins cost."""
    if not placement.stand_ins:
        return None
    return placement.stand_ins.expected(kept_share(model, placement), partial(missing, model, routing=routing))


def reading_seconds(
    machine: Machine, model: ModelSpec, placement: Placement, rows: int, routing: HitCurves | None
) -> float:
    """Of one forward of so many rows: one waits for what it lacks, a batch for all that is not kept, and none of that
    is replaced by a stand-in."""
    if not placement.expert_memory:
        return 0.0
    whole = (1 - kept_share(model, placement)) * model.experts * sum(expert_rooms(model))
    exact = replace(placement, expert_memory=placement.expert_memory - placement.staging, stand_ins=None)
    lacking = float(bytes_per_token(model, placement if rows == 1 else exact, routing) * rows)
    return min(lacking, whole) / reading_rate(machine, model, placement)


def reading_rate(machine: Machine, model: ModelSpec, placement: Placement) -> Rate:
    """At which its experts come in. A disk that is not read directly was not measured so either."""
    slower = _THROUGH_CACHE if placement.through_cache and machine.can_read_directly else 1.0
    return Rate(slower * disk_rate(machine, str(model.paths[0])))


def disk_rate(machine: Machine, path: str) -> Rate:
    """Of the disk that a file lies on, or of the fastest one known, or a usual one."""
    return measured_disk_rate(machine, path) or _USUAL_DISK


def measured_disk_rate(machine: Machine, path: str) -> Rate | None:
    """None where no disk was measured."""
    known = [disk for disk in machine.disks if disk.read]
    here = [disk for disk in known if path.startswith(disk.path)]
    best = max(here or known, key=lambda disk: (len(disk.path) if here else 0, disk.read or 0.0), default=None)
    return best.read if best else None
