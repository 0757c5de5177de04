"""A Mixture-of-Experts model larger than memory: accel against llama.cpp's own mapping, all under one memory limit.

    python tools/bench/experts.py MOE.gguf [--shares 0.6,0.4,0.25] [--rounds 3] [--topics 16] [--disk MB/s]

MOE.gguf is one of `tools/synthetic_moe.py` (of as many topics), beside it what `accel-export experts` wrote. Every
contestant runs in a fresh process under a cgroup that holds it, and the system's cache for it, to a share of the file's
size; the file's pages are dropped before. They take turns, round by round. Needs root and cgroup v1. One JSON line for
every run, and a table at the end.

    mmap, mmap-128      llama.cpp's mapping without repacking, at the machine's read-ahead and at Linux's 128 KiB
    exact, approximate  accel with experts within a budget, without and with stand-ins
    plain               the same where no page can be moved: exact, through the system's cache, at 128 KiB
    memory              llama.cpp without repacking, without a limit: what there is to compute

A token's bound is the greater of two: what there is to compute, and with it the experts that the best cache (Belady)
lacks and nobody foresaw, since their layer waits for them; or all that the best cache lacks, read at the rate that was
seen. `x bound` is the bound over the time it took.
"""

import argparse
import json
import os
import subprocess
import sys
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, replace
from pathlib import Path
from statistics import median
from typing import Any

from pairs import environment

from accel.offload.gguf_header import read_header
from accel.offload.layout import Layout
from accel.offload.planes import sidecar_of
from accel.runtime.engines.options import EngineOptions
from accel.runtime.model import ModelSpec

CHILD = Path(__file__).with_name("experts_child.py")
CGROUPS = Path("/sys/fs/cgroup")
BESIDE = 92 << 20  # bytes of a process and its buffers, beside weights and the KV cache
COUNTS = ("bytes", "uses", "hits", "low", "skipped", "wasted", "stall")
CONTESTANTS = ("memory", "mmap-128", "exact", "approximate")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path)
    parser.add_argument("--shares", default="0.6,0.4,0.25")
    parser.add_argument("--contestants", default=",".join(CONTESTANTS))
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--prompt", type=int, default=32)
    parser.add_argument("--warm", type=int, default=64, help="tokens that are decoded before any is timed")
    parser.add_argument("--tokens", type=int, default=64)
    parser.add_argument("--topics", type=int, default=16)
    parser.add_argument("--context", type=int, default=1024)
    parser.add_argument("--low", type=float, default=0.8, help="threshold beyond which a stand-in will do")
    parser.add_argument("--skip", type=float, default=1.01, help="threshold beyond which nothing is needed")
    parser.add_argument("--disk", type=int, default=0, help="throttle reads to so many MB/s")
    given = parser.parse_args()
    print(json.dumps(environment()), flush=True)
    found: dict[tuple[float, str], list[dict[str, Any]]] = defaultdict(list)
    for share in map(float, given.shares.split(",")):
        for round in range(given.rounds):
            names = given.contestants.split(",")
            for name in names[round % len(names) :] + names[: round % len(names)]:
                run = _run(given, name, share, seed=round)
                found[share, name].append(run)
                print(json.dumps({"share": share, "contestant": name, "round": round} | run), flush=True)
    _show(found)


def _run(given: argparse.Namespace, name: str, share: float, seed: int) -> dict[str, Any]:
    size = given.model.stat().st_size
    limit = int(share * size) if name != "memory" else None
    options = _options(given, name, int(share * size))
    job = {"options": asdict(options), "prompt": given.prompt, "warm": given.warm, "tokens": given.tokens}
    job |= {"topics": given.topics, "seed": seed}
    if limit:
        _forget(given.model)
    else:
        _remember(given.model)
    with (
        _cgroup(limit, given.disk, given.model) as groups,
        _read_ahead(given.model, 128 if name in ("mmap-128", "plain") else None),
    ):
        done = subprocess.run(
            [sys.executable, str(CHILD)],
            input=json.dumps(job).encode(),
            capture_output=True,
            check=False,
            env=os.environ | {"OPENBLAS_NUM_THREADS": "1"},  # as in a worker
            preexec_fn=lambda: [(group / "cgroup.procs").write_text(str(os.getpid())) for group in groups],
        )
        held = _held(groups[0]) if limit else {"peak": 0, "oom_kills": 0}
    if done.returncode:
        raise SystemExit(f"{name} at {share}: {done.returncode} {done.stderr.decode()[-1500:]}")
    return json.loads(done.stdout) | {"limit": limit or 0} | held


def _options(given: argparse.Namespace, name: str, limit: int) -> EngineOptions:
    layout = Layout.of(read_header(given.model))
    kv = given.context * ModelSpec.read(given.model).kv_bytes_per_position("f16")
    memory = min(limit - (given.model.stat().st_size - layout.size) - kv - BESIDE, layout.size)
    options = EngineOptions(
        str(given.model), given.context, batch=64, ubatch=64, outputs=1, threads=2, threads_prefill=2, repack=False,
        expert_memory=memory if name in ("exact", "approximate", "plain") else 0, through_cache=name == "plain",
    )  # fmt: skip
    if name != "approximate":
        return options
    return replace(options, low_experts=str(sidecar_of(given.model)), low_above=given.low, skip_above=given.skip)


def _held(group: Path) -> dict[str, int]:
    peak = int((group / "memory.max_usage_in_bytes").read_text())
    return {"peak": peak, "oom_kills": int((group / "memory.oom_control").read_text().split("oom_kill ")[1].split()[0])}


def _forget(path: Path) -> None:
    """The system's cache holds nothing of it any more."""
    file = os.open(path, os.O_RDONLY)
    os.fsync(file)
    os.posix_fadvise(file, 0, 0, os.POSIX_FADV_DONTNEED)
    os.close(file)


def _remember(path: Path) -> None:
    """The system's cache holds all of it, if there is room."""
    with path.open("rb", buffering=0) as file:
        while file.read(1 << 24):
            pass


@contextmanager
def _cgroup(limit: int | None, disk: int, path: Path) -> Iterator[list[Path]]:
    """Groups (the first for memory) that a process may be put into; gone afterwards. None without a limit."""
    if not limit:
        yield []
        return
    groups = [CGROUPS / "memory" / f"accel-bench-{os.getpid()}"]
    groups += [CGROUPS / "blkio" / groups[0].name] if disk else []
    for group in groups:
        group.mkdir()
    try:
        (groups[0] / "memory.limit_in_bytes").write_text(str(limit))
        if disk:
            (groups[1] / "blkio.throttle.read_bps_device").write_text(f"{_device(path)} {disk * 10**6}")
        yield groups
    finally:
        for group in groups:
            group.rmdir()


def _device(path: Path) -> str:
    """The number of the disk, not of its part, that a file lies on."""
    device = path.stat().st_dev
    part = Path(f"/sys/dev/block/{os.major(device)}:{os.minor(device)}").resolve()
    disk = part.parent if (part / "partition").exists() else part
    return (disk / "dev").read_text().strip()


@contextmanager
def _read_ahead(path: Path, kilobytes: int | None) -> Iterator[None]:
    setting = Path(f"/sys/dev/block/{_device(path)}/queue/read_ahead_kb")
    before = setting.read_text()
    if kilobytes is not None:
        setting.write_text(str(kilobytes))
    try:
        yield
    finally:
        setting.write_text(before)


def _show(found: dict[tuple[float, str], list[dict[str, Any]]]) -> None:
    print(
        " limit contestant   tokens/s  x mmap-128  x exact  x bound  MB/token   hit   low  skip  waste  stall ms   peak"
    )
    for (share, name), runs in found.items():
        middle = {what: median(run.get(what, 0.0) for run in runs) for what in runs[0] | dict.fromkeys(COUNTS, 0.0)}
        uses, expert = max(1.0, middle["uses"]), middle.get("expert", 0.0)
        alone = found.get((share, "memory"))
        bound = median(_bound(run, median(each["decode"] for each in alone)) for run in runs) if alone else 0.0
        print(
            f"{share:6.0%} {name:11} {1 / middle['decode']:9.2f} {_ratio(found, share, 'mmap-128', runs):11.2f} "
            f"{_ratio(found, share, 'exact', runs):8.2f} {bound / middle['decode'] if expert else 0:8.0%} "
            f"{middle['bytes'] / 1e6:9.1f} {middle['hits'] / uses:5.0%} {middle['low'] / uses:5.0%} "
            f"{middle['skipped'] / uses:5.0%} {middle['wasted'] * expert / max(1, middle['bytes']):6.1%} "
            f"{1e3 * middle['stall']:9.1f} {max(run['peak'] / max(1, run['limit']) for run in runs):6.1%}"
        )


def _ratio(found: dict[tuple[float, str], list[dict[str, Any]]], share: float, rival: str, runs: list[Any]) -> float:
    rivals = found.get((share, rival), runs)
    return median(other["decode"] / run["decode"] for other, run in zip(rivals, runs, strict=True))


def _bound(run: dict[str, Any], computing: float) -> float:
    """Seconds of a token: see above."""
    if "best" not in run:
        return computing
    reading = run["best"] / run["rate"]
    return max(computing + (1 - run["recall"]) * reading, reading)


if __name__ == "__main__":
    main()
