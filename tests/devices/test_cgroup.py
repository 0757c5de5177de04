"""Control groups: the smallest limit on the way to the root holds, in either version, however deep."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from accel.devices.cgroup import memory_limits, processor_quota
from accel.devices.kernel import mounts

V2 = "30 23 0:26 / /sys/fs/cgroup rw,nosuid - cgroup2 cgroup2 rw,nsdelegate\n"
V1 = (
    "35 31 0:32 / /sys/fs/cgroup/memory rw,relatime - cgroup cgroup rw,memory\n"
    "32 31 0:29 / /sys/fs/cgroup/cpu,cpuacct rw,relatime - cgroup cgroup rw,cpu,cpuacct\n"
)


def test_version_2_counts_droppable_file_pages_as_free(tree, tmp_path: Path) -> None:
    group = "sys/fs/cgroup/box"
    tree(
        tmp_path,
        {
            "proc/self/mountinfo": V2,
            "proc/self/cgroup": "0::/box\n",
            f"{group}/memory.max": "1000\n",
            f"{group}/memory.high": "max\n",
            f"{group}/memory.current": "700\n",
            f"{group}/memory.stat": "anon 300\ninactive_file 250\nactive_file 50\nshmem 100\n",
        },
    )
    (limit,) = memory_limits(tmp_path)
    assert (limit.size, limit.free, limit.who) == (1000, 600, "cgroup v2 /box memory.max")


def test_version_1_reads_the_totals_of_a_group_and_those_within_it(tree, tmp_path: Path) -> None:
    group = "sys/fs/cgroup/memory/box"
    tree(
        tmp_path,
        {
            "proc/self/mountinfo": V1,
            "proc/self/cgroup": "4:memory:/box\n3:cpu,cpuacct:/box\n",
            f"{group}/memory.limit_in_bytes": "1000\n",
            f"{group}/memory.usage_in_bytes": "700\n",
            f"{group}/memory.stat": "inactive_file 1\ntotal_inactive_file 250\ntotal_active_file 50\n",
        },
    )
    (limit,) = memory_limits(tmp_path)
    assert (limit.size, limit.free) == (1000, 600)
    assert limit.who == "cgroup v1 /box memory.limit_in_bytes"


@given(
    st.lists(st.tuples(st.one_of(st.none(), st.integers(0, 2**40)), st.integers(0, 2**40)), min_size=1, max_size=5),
)
def test_every_limit_on_the_way_to_the_root_is_seen(tree, tmp_path_factory, levels) -> None:
    root = tmp_path_factory.mktemp("machine")
    path = ""
    files = {"proc/self/mountinfo": V2}
    for size, used in levels:
        files[f"sys/fs/cgroup{path}/memory.max"] = f"{'max' if size is None else size}\n"
        files[f"sys/fs/cgroup{path}/memory.current"] = f"{used}\n"
        path += "/deeper"
    files["proc/self/cgroup"] = f"0::{path.removesuffix('/deeper') or '/'}\n"
    limits = memory_limits(tree(root, files))
    assert [limit.size for limit in limits] == [size for size, _ in reversed(levels) if size is not None]
    assert all(0 <= limit.free <= limit.size for limit in limits)


def test_memory_high_is_a_limit_too(tree, tmp_path: Path) -> None:
    group = "sys/fs/cgroup"
    tree(
        tmp_path,
        {
            "proc/self/mountinfo": V2,
            "proc/self/cgroup": "0::/\n",
            f"{group}/memory.max": "max\n",
            f"{group}/memory.high": "500\n",
            f"{group}/memory.current": "100\n",
        },
    )
    assert [(limit.size, limit.free) for limit in memory_limits(tmp_path)] == [(500, 400)]


@pytest.mark.parametrize(
    ("shown", "group"),
    [
        ("/docker/abc", "/docker/abc"),  # the container's group is mounted as the top
        ("/", "/../../elsewhere"),  # the process lies outside the view of its namespace
        ("/../..", "/"),  # the mount was made in the host's view
        ("/docker/abc", "/somewhere/else"),
    ],
)
def test_in_a_container_the_mount_itself_is_the_group(tree, tmp_path: Path, shown: str, group: str) -> None:
    tree(
        tmp_path,
        {
            "proc/self/mountinfo": V2.replace(" / /sys", f" {shown} /sys"),
            "proc/self/cgroup": f"0::{group}\n",
            "sys/fs/cgroup/memory.max": "800\n",
            "sys/fs/cgroup/memory.current": "0\n",
        },
    )
    assert [limit.size for limit in memory_limits(tmp_path)] == [800]


def test_a_mount_point_with_a_space_is_found(tree, tmp_path: Path) -> None:
    tree(
        tmp_path,
        {
            "proc/self/mountinfo": V2.replace("/sys/fs/cgroup", r"/my\040groups"),
            "proc/self/cgroup": "0::/\n",
            "my groups/memory.max": "800\n",
            "my groups/memory.current": "0\n",
        },
    )
    assert [limit.size for limit in memory_limits(tmp_path)] == [800]


def test_the_least_processor_quota_on_the_way_holds(tree, tmp_path: Path) -> None:
    tree(
        tmp_path,
        {
            "proc/self/mountinfo": V2,
            "proc/self/cgroup": "0::/slice/box\n",
            "sys/fs/cgroup/slice/cpu.max": "150000 100000\n",
            "sys/fs/cgroup/slice/box/cpu.max": "max 100000\n",
        },
    )
    assert processor_quota(tmp_path) == 1.5


def test_a_version_1_quota_of_minus_one_is_none(tree, tmp_path: Path) -> None:
    group = "sys/fs/cgroup/cpu,cpuacct"
    files = {
        "proc/self/mountinfo": V1,
        "proc/self/cgroup": "3:cpu,cpuacct:/\n",
        f"{group}/cpu.cfs_quota_us": "-1\n",
        f"{group}/cpu.cfs_period_us": "100000\n",
    }
    assert processor_quota(tree(tmp_path, files)) is None
    assert processor_quota(tree(tmp_path, {f"{group}/cpu.cfs_quota_us": "50000\n"})) == 0.5


def test_no_control_groups_no_limits(tmp_path: Path) -> None:
    assert memory_limits(tmp_path) == [] and processor_quota(tmp_path) is None


@given(st.text(max_size=200), st.text(max_size=100), st.text(max_size=50))
def test_nonsense_in_kernel_files_limits_nothing(tmp_path_factory, mountinfo: str, group: str, size: str) -> None:
    root = tmp_path_factory.mktemp("machine")
    for name, text in (("mountinfo", V2 + mountinfo), ("cgroup", "0::/\n" + group)):
        (root / "proc/self").mkdir(parents=True, exist_ok=True)
        (root / "proc/self" / name).write_text(text, encoding="utf-8", errors="replace")
    (root / "sys/fs/cgroup").mkdir(parents=True)
    (root / "sys/fs/cgroup/memory.max").write_text("x" + size, encoding="utf-8", errors="replace")
    (root / "sys/fs/cgroup/memory.current").write_text("0")
    assert memory_limits(root) == []


JOIN = """
import os, sys
from pathlib import Path
from accel.devices.probe import probe_memory
group, data = Path(sys.argv[1]), Path(sys.argv[2])
(group / "cgroup.procs").write_text(str(os.getpid()))
before = probe_memory()
data.write_bytes(os.urandom(24 << 20))
held = bytearray(16 << 20)
held[::4096] = b"x" * len(held[::4096])
after = probe_memory()
print(int(before.total), int(before.free - after.free), before.limited_by)
"""


@pytest.fixture
def real_group() -> Iterator[Path]:
    """A real control group of 128 MiB in which nobody is."""
    top = next((Path(m.point) for m in mounts(Path("/")) if m.kind == "cgroup" and "memory" in m.options), None)
    size = "memory.limit_in_bytes"
    if top is None:
        top, size = Path("/sys/fs/cgroup"), "memory.max"
    group = top / f"accel-test-{os.getpid()}"
    try:
        group.mkdir()
    except OSError as error:
        pytest.skip(f"no control group may be made here: {error}")
    try:
        (group / size).write_text(str(128 << 20))
        yield group
    except OSError as error:
        pytest.skip(f"control groups do not limit memory here: {error}")
    finally:
        group.rmdir()


def test_in_a_real_group_held_memory_is_not_free_and_written_files_are(real_group: Path, tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", JOIN, str(real_group), str(tmp_path / "data")],
        capture_output=True,
        text=True,
        check=True,
    )
    total, gone, who = done.stdout.split(maxsplit=2)
    assert int(total) == 128 << 20 and real_group.name in who
    assert 16 << 20 <= int(gone) < 32 << 20
