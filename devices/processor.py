"""The processor of this machine, and how much of it this process may use."""

import platform
from pathlib import Path

from .cgroup import processor_quota
from .kernel import read_text, whole_number
from .machine import Processor

# What the kernel calls an instruction set that a kernel of ours gains from, and what the field calls it.
_FEATURES = {
    "avx": "avx",
    "avx2": "avx2",
    "fma": "fma",
    "f16c": "f16c",
    "bmi2": "bmi2",
    "avx512f": "avx512f",
    "avx512bw": "avx512bw",
    "avx512vbmi": "avx512_vbmi",
    "avx512_vnni": "avx512_vnni",
    "avx512_bf16": "avx512_bf16",
    "avx512_fp16": "avx512_fp16",
    "avx_vnni": "avx_vnni",
    "amx_tile": "amx_tile",
    "amx_int8": "amx_int8",
    "amx_bf16": "amx_bf16",
    "asimd": "neon",
    "asimdhp": "fp16",
    "asimddp": "dotprod",
    "i8mm": "i8mm",
    "bf16": "bf16",
    "sve": "sve",
    "sve2": "sve2",
    "sme": "sme",
}
_MOST_CPUS = 1 << 16
_FIRST_CPUS = 16 << 10  # bytes; one processor's entry is below 3 KiB; all of a server's take milliseconds to read


def probe_processor(root: Path) -> Processor:
    """Name, instruction sets, and the cores and threads that affinity and quota leave to this process."""
    facts = _cpuinfo(root)
    allowed = _allowed(root)
    if allowed:
        cores, threads = len({_core(root, number) for number in allowed}), len(allowed)
    else:
        cores, threads = _counted()
    quota = processor_quota(root)
    if quota is not None:
        # A quota of 2.5 processors runs 2 threads without a pause; a third would make all three wait for it.
        threads = min(threads, max(1, int(quota)))
    words = (facts.get("flags") or facts.get("Features") or "").split()
    features = sorted({_FEATURES[word] for word in words if word in _FEATURES})
    return Processor(_name(root, facts), min(cores, threads), threads, tuple(features))


def _allowed(root: Path) -> list[int]:
    """Numbers of the processors that this process may run on; empty where no kernel file says."""
    lines = read_text(root / "proc/self/status").splitlines()
    return next((_numbers(line.partition(":")[2]) for line in lines if line.startswith("Cpus_allowed_list:")), [])


def _counted() -> tuple[int, int]:
    """(cores, threads) as the operating system counts them."""
    import psutil

    threads = psutil.cpu_count() or 1
    return psutil.cpu_count(logical=False) or threads, threads


def _numbers(text: str) -> list[int]:
    """`0-3,8` as 0, 1, 2, 3, 8."""
    found: list[int] = []
    for part in text.strip().split(","):
        first, _, last = part.partition("-")
        start, end = whole_number(first), whole_number(last or first)
        if start is not None and end is not None and end < _MOST_CPUS:
            found += range(start, end + 1)
    return found


def _core(root: Path, number: int) -> str:
    """What names the physical core of a processor: the same text for all threads of one core."""
    siblings = read_text(root / f"sys/devices/system/cpu/cpu{number}/topology/thread_siblings_list").strip()
    return siblings or f"alone {number}"


def _cpuinfo(root: Path) -> dict[str, str]:
    """The facts of the first processor in /proc/cpuinfo."""
    facts: dict[str, str] = {}
    for line in read_text(root / "proc/cpuinfo", _FIRST_CPUS).splitlines():
        name, colon, value = line.partition(":")
        if colon:
            facts.setdefault(name.strip(), value.strip())
    return facts


def _name(root: Path, facts: dict[str, str]) -> str:
    board = read_text(root / "proc/device-tree/model").strip("\0\n ")
    return facts.get("model name") or board or facts.get("Model") or platform.processor() or platform.machine()
