"""Which parts of a file this process has mapped, and where: pages are moved nowhere else."""

import os
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

from ..devices.kernel import read_text
from ..errors import EngineError
from .advice import advise

_MOST = 1 << 24  # bytes of what the system tells of this process


@dataclass(frozen=True, slots=True)
class Mapped:
    """One mapping of a file. Its first byte lies at `base`, or would: an engine unmaps what it does not need. 0: nobody
    knows where."""

    base: int
    runs: tuple[tuple[int, int], ...]  # [start, end) in the file, ascending, whole pages

    def holds(self, start: int, end: int) -> bool:
        """Whether all of these bytes of the file are mapped."""
        return any(first <= start and end <= last for first, last in self.runs)

    def advise(self, how: str) -> None:
        """Tells the system how all of it is used: see advice.py."""
        for first, last in self.runs if self.base else ():
            advise(self.base + first, last - first, how)


def mappings_of(path: Path) -> list[Mapped]:
    """All there are, shared or not, by their address; none where the system does not tell."""
    if not (maps := read_text(Path("/proc/self/maps"), _MOST)):
        return []
    about = path.stat()
    number, name = f"{os.major(about.st_dev):02x}:{os.minor(about.st_dev):02x} {about.st_ino}", str(path.resolve())
    found: dict[int, list[tuple[int, int]]] = {}
    for line in maps.splitlines():
        place, _, offset, device, node, *rest = line.split(maxsplit=5)
        # Some file systems (btrfs, overlayfs) tell another device here than a file's own.
        if f"{device} {node}" != number and rest != [name]:
            continue
        first, last = (int(side, 16) for side in place.split("-"))
        start = int(offset, 16)
        runs = found.setdefault(first - start, [])
        if runs and runs[-1][1] == start:
            runs[-1] = (runs[-1][0], start + last - first)
        else:
            runs.append((start, start + last - first))
    return [Mapped(base, tuple(runs)) for base, runs in found.items()]


def mapped_anew(files: Sequence[Path], before: Collection[int]) -> tuple[Mapped, ...]:
    """The mapping of each file whose base is none of those there were before: other engines' are not this one's.
    Raises EngineError where there is none."""
    found = []
    for path in files:
        anew = [mapped for mapped in mappings_of(path) if mapped.base not in before]
        if not anew:
            raise EngineError(f"{path} is not mapped in this process", "open it with mapped weights")
        found.append(anew[0])
    return tuple(found)
