"""What the operating system does not tell about this machine: measured once, and kept."""

import contextlib
import math
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import msgspec

from ..errors import AccelError, DiskFull
from ..units import Bytes, Rate, from_json, to_json
from .bandwidth import read_rates
from .disk_speed import DiskSpeed, disk_speed
from .disks import disk_at
from .files import write_atomic
from .machine import Disk, Machine

Say = Callable[[str], None]

_BUSY = 20.0  # per cent of all processors that others may use while something is measured
_METHOD = 1  # counts up when a measurement's meaning changes, so that old ones are not believed


@dataclass(frozen=True, slots=True)
class Measured:
    """What is kept. `read` is None where the disk could not be measured."""

    bandwidth: tuple[Rate, ...]
    read: Rate | None
    direct: bool


def measured(
    machine: Machine, cache: Path, again: bool = False, say: Say = lambda doing: None, warn: Say | None = None
) -> Machine:
    """The machine with its memory's read rates, and the read speed of the disk that `cache` lies on.

    Both come from the folder `cache` where this hardware was measured before, unless `again`; else they are measured
    in about two seconds and kept there. `say` is told what is being measured. Nothing is raised for a disk that is
    full or may not be written to: its speed is then unknown, and is measured the next time. So is what was measured on
    a busy machine, unless `again`: it serves for now, is not kept, and `warn`, or else `say`, is told.
    """
    file = cache / f"measured-{_METHOD}-{machine.fingerprint}.json"
    known = None if again else _kept(file, machine)
    if known is None:
        calm = again or not is_busy()
        known = _measure(machine, cache, say)
        calm = calm and (again or not is_busy())
        if not calm:
            (warn or say)("the machine is busy: its speed is measured again the next time")
        elif known.read and known.bandwidth:
            _keep(file, known)
    processor = replace(machine.processor, bandwidth=known.bandwidth)
    return replace(machine, processor=processor, disks=_with_speed(machine.disks, cache, known))


def is_busy() -> bool:
    """Whether other processes than this one and its children would spoil a measurement; takes a tenth of a second."""
    import psutil

    own, began = _own_seconds(), time.monotonic()
    used = psutil.cpu_percent(interval=0.1)
    seconds = (time.monotonic() - began) * (psutil.cpu_count() or 1)
    ours = max(_own_seconds() - own, 0.0)  # a child that ended and nobody waited for takes its seconds with it
    return used - 100 * ours / seconds > _BUSY


def _own_seconds() -> float:
    """Of processors, that this process and its children have used: a chat starts some beside the measurement."""
    import psutil

    seconds = 0.0
    with contextlib.suppress(psutil.Error):
        me = psutil.Process()
        for process in (*me.children(recursive=True), me):
            with contextlib.suppress(psutil.Error):
                seconds += sum(process.cpu_times()[:4])  # those of children that have ended are its own
    return round(seconds, 2)  # the kernel counts hundredths: sums taken in another order must be equal


def _measure(machine: Machine, cache: Path, say: Say) -> Measured:
    say("measuring memory")
    bandwidth = read_rates(machine.processor.threads, machine.memory.free)
    say("measuring the disk")
    speed = _disk_speed(machine, cache)
    return Measured(bandwidth, speed.read, speed.direct) if speed else Measured(bandwidth, None, False)


def _kept(file: Path, machine: Machine) -> Measured | None:
    """What was measured before; None where nothing was, or what stands there cannot have been."""
    try:
        known = from_json(file.read_bytes(), Measured)
    except (OSError, msgspec.ValidationError, msgspec.DecodeError):
        return None
    rates = (*known.bandwidth, known.read or 0.0)
    sound = len(known.bandwidth) == machine.processor.threads and all(0 < rate < math.inf for rate in rates)
    return known if sound else None


def _keep(file: Path, known: Measured) -> None:
    try:
        write_atomic(file, to_json(known))
    except AccelError:
        return  # what was measured holds all the same; it is measured again the next time


def _disk_speed(machine: Machine, folder: Path) -> DiskSpeed | None:
    disk = _disk_of(machine.disks, folder)
    room = Bytes(min(disk.free // 8, machine.memory.free // 4)) if disk else Bytes(0)
    try:
        return disk_speed(folder, room)
    except (DiskFull, OSError):
        return None


def _with_speed(disks: tuple[Disk, ...], folder: Path, known: Measured) -> tuple[Disk, ...]:
    disk = _disk_of(disks, folder)
    if disk is None or known.read is None:
        return disks
    others = (other for other in disks if other is not disk)
    return (*others, replace(disk, read=known.read, direct=known.direct))


def _disk_of(disks: tuple[Disk, ...], folder: Path) -> Disk | None:
    """The disk that a folder lies on: one of these, or one that probe does not list, a share or memory say."""
    holding = [disk for disk in disks if folder.resolve().is_relative_to(disk.path)]
    nearest = max(holding, key=lambda disk: len(disk.path), default=None)
    if nearest and Path(nearest.path).stat().st_dev == folder.stat().st_dev:
        return nearest
    return disk_at(folder)
