"""The disks of this machine."""

import shutil
from pathlib import Path

from ..units import Bytes
from .kernel import mounts
from .machine import Disk


def probe_disks(root: Path) -> tuple[Disk, ...]:
    """Every writable file system on a device, and the one at /; without what was not measured."""
    points: dict[str, str] = {}
    for mount in mounts(root):
        if mount.point == "/" or (mount.source.startswith("/dev/") and not mount.read_only):
            # One device may be mounted often, in containers over single files too: its shortest path stands for it.
            points[mount.device] = min(mount.point, points.get(mount.device, mount.point), key=len)
    folders = [root / point.lstrip("/") for point in points.values()] or _partitions()
    return tuple(disk for folder in folders if (disk := disk_at(folder)) is not None)


def _partitions() -> list[Path]:
    import psutil

    found = [Path(partition.mountpoint) for partition in psutil.disk_partitions(all=False)]
    return found or [Path(Path.cwd().anchor)]  # in a changed root no mount may be told, yet there is a disk


def disk_at(folder: Path) -> Disk | None:
    """The file system that a folder lies on, named by the folder; None where there is none."""
    try:
        usage = shutil.disk_usage(folder) if folder.is_dir() else None
    except OSError:
        return None  # a drive without a medium, a mount that went away
    return Disk(str(folder), Bytes(usage.total), Bytes(usage.free)) if usage else None
