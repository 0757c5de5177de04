"""What keeping only a part of the experts in memory costs: bytes that a token has to wait for. Pure."""

from bisect import bisect_right

from ..devices.machine import Machine
from ..units import Bytes, Rate
from .footprint import Placement, expert_rooms
from .model import ModelSpec

# Of a layer's experts the share that is kept, and how many of a token's are found there when those used last are kept:
# seen with routing as local as is reported of real models.
_USUAL_HITS = ((0.0, 0.0), (0.25, 0.64), (0.4, 0.75), (0.5, 0.81), (0.6, 0.86), (1.0, 1.0))
_USUAL_DISK = Rate(1e9)
COMPUTING = 1.35  # times as long as alone: readers and their bookkeeping take a part of the processor


def kept_share(model: ModelSpec, placement: Placement) -> float:
    """Of the experts, how many are in memory at once: 1 where nothing is managed."""
    rooms = sum(expert_rooms(model)) * model.experts
    return min(1.0, placement.expert_memory / rooms) if placement.expert_memory and rooms else 1.0


def usual_hits(share: float) -> float:
    """Of a token's experts, how many are found where this share of every layer's is kept."""
    right = min(bisect_right(_USUAL_HITS, (share, 1.0)), len(_USUAL_HITS) - 1)
    (x0, y0), (x1, y1) = _USUAL_HITS[right - 1 : right + 1]
    return y0 + (y1 - y0) * (share - x0) / (x1 - x0)


def bytes_per_token(model: ModelSpec, placement: Placement) -> Bytes:
    """That are read for one token, in the mean."""
    missing = 1 - usual_hits(kept_share(model, placement))
    return Bytes(missing * model.experts_used * sum(expert_rooms(model)))


def reading_seconds(machine: Machine, model: ModelSpec, placement: Placement, rows: int) -> float:
    """Of one forward of so many rows: one waits for what it lacks, a batch for all that is not kept."""
    if not placement.expert_memory:
        return 0.0
    whole = (1 - kept_share(model, placement)) * model.experts * sum(expert_rooms(model))
    return min(float(bytes_per_token(model, placement) * rows), whole) / disk_rate(machine, model)


def disk_rate(machine: Machine, model: ModelSpec) -> Rate:
    """Of the disk that the model lies on, or of the fastest one known."""
    path = str(model.paths[0])
    known = [disk for disk in machine.disks if disk.read]
    here = [disk for disk in known if path.startswith(disk.path)]
    best = max(here or known, key=lambda disk: (len(disk.path) if here else 0, disk.read or 0.0), default=None)
    return (best.read if best else None) or _USUAL_DISK
