"""What this process's control groups allow it: memory and processor time, cgroup v1 and v2, nested ones too."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from ..units import Bytes
from .kernel import mounts, read_number, read_text, whole_number


@dataclass(frozen=True, slots=True)
class Limit:
    """One memory limit on the way from this process's group to the root."""

    size: Bytes
    free: Bytes  # until it is reached, file pages that can be dropped counted as free
    who: str  # "cgroup v2 /user.slice memory.max"


@dataclass(frozen=True, slots=True)
class _Hierarchy:
    version: int
    mount: Path
    group: PurePosixPath  # this process's group, below the mount

    def groups(self) -> Iterator[tuple[str, Path]]:
        """(name, folder) of the group and of all that contain it, innermost first."""
        for name in dict.fromkeys((self.group, *self.group.parents)):
            yield f"/{name}" if name.parts else "/", self.mount / name


def memory_limits(root: Path) -> list[Limit]:
    """Every memory limit that holds for this process, innermost group first."""
    return [
        limit
        for hierarchy in _hierarchies(root, "memory")
        for name, folder in hierarchy.groups()
        for limit in (_limits_v2 if hierarchy.version == 2 else _limits_v1)(name, folder)
    ]


def processor_quota(root: Path) -> float | None:
    """How many processors' time this process may use, the least of its groups' quotas; None without a quota."""
    quotas = [
        _quota(hierarchy.version, folder) for hierarchy in _hierarchies(root, "cpu") for _, folder in hierarchy.groups()
    ]
    return min((quota for quota in quotas if quota is not None), default=None)


def _limits_v2(name: str, folder: Path) -> Iterator[Limit]:
    used = read_number(folder / "memory.current")
    # Beyond memory.high the kernel throttles a process until it hardly runs: for a plan that is a limit too.
    for file in ("memory.max", "memory.high"):
        size = read_number(folder / file)
        if size is not None and used is not None:
            free = size - used + _file_pages(folder, ("inactive_file", "active_file"))
            yield Limit(Bytes(size), Bytes(min(max(free, 0), size)), f"cgroup v2 {name} {file}")


def _limits_v1(name: str, folder: Path) -> Iterator[Limit]:
    used, size = read_number(folder / "memory.usage_in_bytes"), read_number(folder / "memory.limit_in_bytes")
    if size is not None and used is not None:
        free = size - used + _file_pages(folder, ("total_inactive_file", "total_active_file"))
        yield Limit(Bytes(size), Bytes(min(max(free, 0), size)), f"cgroup v1 {name} memory.limit_in_bytes")


def _file_pages(folder: Path, names: tuple[str, ...]) -> int:
    pairs = (line.split() for line in read_text(folder / "memory.stat").splitlines())
    return sum(whole_number(pair[1]) or 0 for pair in pairs if len(pair) == 2 and pair[0] in names)


def _quota(version: int, folder: Path) -> float | None:
    if version == 2:
        share, period = ([*read_text(folder / "cpu.max").split(), "", ""])[:2]
        allowed, of = whole_number(share), whole_number(period)
    else:
        allowed, of = read_number(folder / "cpu.cfs_quota_us"), read_number(folder / "cpu.cfs_period_us")
    return allowed / of if allowed and of else None


def _hierarchies(root: Path, controller: str) -> Iterator[_Hierarchy]:
    """The mounted hierarchies that may limit `controller`: v1's own, and v2's."""
    own = _own_groups(root)
    for mount in mounts(root):
        if mount.kind == "cgroup2":
            version, group = 2, own.get("")
        elif mount.kind == "cgroup" and controller in mount.options:
            version, group = 1, own.get(controller)
        else:
            continue
        if group is not None:
            yield _Hierarchy(version, root / mount.point.lstrip("/"), _below(group, mount.shown))


def _own_groups(root: Path) -> dict[str, str]:
    """This process's group per controller; "" stands for cgroup v2."""
    groups: dict[str, str] = {}
    for line in read_text(root / "proc/self/cgroup").splitlines():
        _, controllers, path = ([*line.split(":", 2), "", ""])[:3]
        groups |= dict.fromkeys(controllers.split(","), path)
    return groups


def _below(group: str, shown: str) -> PurePosixPath:
    """A group's path below a mount that shows only `shown` and what it contains.

    Inside a container the two may name paths of different views; then the mount itself is the group.
    """
    path = PurePosixPath(group.removesuffix(" (deleted)"))
    if ".." in path.parts or not path.is_relative_to(shown):
        return PurePosixPath()
    return path.relative_to(shown)
