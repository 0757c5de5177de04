"""What probe says of a machine: of made-up ones exactly, of this one plausibly."""

import json
import mmap
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from accel.devices.machine import Machine
from accel.devices.probe import probe, probe_memory, reads_directly
from accel.devices.processor import probe_processor

MEMINFO = "MemTotal:       1000 kB\nMemFree:         100 kB\nMemAvailable:    600 kB\n"


def limited(size: int, used: int) -> dict[str, str]:
    return {
        "proc/meminfo": MEMINFO,
        "proc/self/mountinfo": "30 23 0:26 / /cg rw - cgroup2 cgroup2 rw\n",
        "proc/self/cgroup": "0::/\n",
        "cg/memory.max": f"{size}\n",
        "cg/memory.current": f"{used}\n",
    }


def test_a_limit_below_the_machines_memory_is_the_machines_memory(tree, tmp_path: Path) -> None:
    memory = probe_memory(tree(tmp_path, limited(size=500 * 1024, used=200 * 1024)))
    assert (memory.total, memory.free) == (500 * 1024, 300 * 1024)
    assert memory.limited_by == "cgroup v2 / memory.max"


def test_a_limit_above_the_machines_memory_is_none(tree, tmp_path: Path) -> None:
    memory = probe_memory(tree(tmp_path, limited(size=2**63, used=0)))
    assert (memory.total, memory.free, memory.limited_by) == (1000 * 1024, 600 * 1024, "")


@given(st.integers(0, 2**64), st.integers(0, 2**64))
def test_no_more_is_free_than_there_is(tree, tmp_path_factory, size: int, used: int) -> None:
    memory = probe_memory(tree(tmp_path_factory.mktemp("machine"), limited(size, used)))
    assert 0 <= memory.free <= memory.total <= 1000 * 1024


def x86(threads: int, cores: int) -> dict[str, str]:
    """A processor whose thread n runs on core n % cores."""
    files = {
        "proc/cpuinfo": "processor\t: 0\nmodel name\t: A Chip\nflags\t\t: fpu avx2 fma avx512_vnni sse2\n\n",
        "proc/self/status": f"Name:\tx\nCpus_allowed_list:\t0-{threads - 1}\n",
    }
    for cpu in range(threads):
        siblings = ",".join(str(other) for other in range(cpu % cores, threads, cores))
        files[f"sys/devices/system/cpu/cpu{cpu}/topology/thread_siblings_list"] = siblings + "\n"
    return files


def test_threads_of_one_core_are_one_core(tree, tmp_path: Path) -> None:
    processor = probe_processor(tree(tmp_path, x86(threads=8, cores=4)))
    assert (processor.name, processor.cores, processor.threads) == ("A Chip", 4, 8)
    assert processor.features == ("avx2", "avx512_vnni", "fma")


def test_affinity_leaves_fewer(tree, tmp_path: Path) -> None:
    files = x86(threads=8, cores=4) | {"proc/self/status": "Cpus_allowed_list:\t0,4-5\n"}
    processor = probe_processor(tree(tmp_path, files))
    assert (processor.cores, processor.threads) == (2, 3)


@pytest.mark.parametrize(("quota", "threads"), [("250000 100000", 2), ("50000 100000", 1), ("max 100000", 8)])
def test_a_quota_leaves_whole_threads(tree, tmp_path: Path, quota: str, threads: int) -> None:
    files = x86(threads=8, cores=4) | limited(size=1, used=0) | {"cg/cpu.max": quota}
    processor = probe_processor(tree(tmp_path, files))
    assert processor.threads == threads and processor.cores == min(4, threads)


def test_an_arm_board_is_named_and_its_features_are_the_fields(tree, tmp_path: Path) -> None:
    files = {
        "proc/cpuinfo": "processor\t: 0\nFeatures\t: fp asimd crc32 asimdhp asimddp\nCPU part\t: 0xd0b\n",
        "proc/device-tree/model": "Raspberry Pi 5 Model B Rev 1.0\0",
        "proc/self/status": "Cpus_allowed_list:\t0-3\n",
    }
    processor = probe_processor(tree(tmp_path, files))
    assert processor.name == "Raspberry Pi 5 Model B Rev 1.0"
    assert processor.features == ("dotprod", "fp16", "neon") and processor.threads == 4


def test_disks_are_those_on_devices_once_each(tree, tmp_path: Path) -> None:
    files = {
        "proc/self/mountinfo": (
            "27 1 254:0 / / rw - ext4 /dev/vda rw\n"
            "28 27 254:0 /etc/hosts /etc/hosts rw - ext4 /dev/vda rw\n"
            "29 27 8:1 / /data/model\\040files rw - xfs /dev/sda1 rw\n"
            "30 27 7:0 / /snap/core ro - squashfs /dev/loop0 ro\n"
            "31 27 0:5 / /dev/shm rw - tmpfs tmpfs rw\n"
            "32 27 0:9 / /far rw - nfs4 server:/export rw\n"
        ),
        "etc/hosts": "",
        "data/model files/x": "",
    }
    machine = probe(tree(tmp_path, files))
    assert [disk.path for disk in machine.disks] == [str(tmp_path), str(tmp_path / "data/model files")]


def test_a_tree_without_kernel_files_is_a_machine_all_the_same(tmp_path: Path) -> None:
    machine = probe(tmp_path)
    assert machine.processor.threads >= machine.processor.cores >= 1
    assert machine.memory.total >= machine.memory.free > 0 and machine.disks


def test_this_machine_goes_through_json_unchanged() -> None:
    machine = probe()
    assert Machine.from_json(machine.to_json()) == machine
    assert json.loads(machine.to_json())["page"] == mmap.PAGESIZE
    assert machine.fingerprint == probe().fingerprint


def test_nothing_heavy_is_imported_to_look_at_this_machine() -> None:
    code = "import sys; from accel.devices.probe import probe; probe(); print('numpy' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


def test_a_file_that_is_not_there_is_not_read_directly(tmp_path: Path) -> None:
    assert not reads_directly(tmp_path / "missing")
