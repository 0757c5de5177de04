"""What `accel doctor` prints: what this machine has, how fast it is, and which engines ran on it."""

import json as json_module
import platform
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from importlib import metadata
from importlib.util import find_spec

from ..devices.machine import Accelerator, Disk, Machine, Processor
from ..devices.measure import measured
from ..devices.paths import cache_dir
from ..devices.probe import probe
from ..errors import STATUS, EngineError
from ..units import Rate
from .engines import ENGINES
from .prove import Proof, prove

_VERSIONS = ("accel-runtime", "llama-cpp-python", "numpy")


def run(json: bool = False, measure: bool = False) -> int:
    """Prints a table, or one JSON object; `measure` measures again. The exit code of EngineError where an engine that
    comes with accel did not run."""
    with _progress() as (say, warn):
        machine = measured(probe(), cache_dir(), again=measure, say=say, warn=warn)
        proofs = []
        for engine in ENGINES:
            say(f"running {engine}")
            proofs.append(prove(engine))
    if json:
        print(json_module.dumps(facts(machine, proofs), indent=1))
    else:
        _print_table(rows(machine, proofs))
    return 0 if all(proof.ran for proof in proofs) else STATUS[EngineError].exit


def facts(machine: Machine, proofs: Sequence[Proof]) -> dict[str, object]:
    """For programs: sizes in bytes, rates in bytes a second."""
    return {
        "machine": json_module.loads(machine.to_json()),
        "fingerprint": machine.fingerprint,
        "engines": [asdict(proof) for proof in proofs],
        "versions": _versions(),
    }


def rows(machine: Machine, proofs: Sequence[Proof]) -> list[tuple[str, str]]:
    """(what, value) of the table; rows that belong to the one above have no `what`."""
    memory, chip = machine.memory, machine.processor
    limit = f", as {memory.limited_by} allows" if memory.limited_by else ""
    return [
        ("processor", chip.name),
        ("", f"{_count(chip.cores, 'core')}, {_count(chip.threads, 'thread')}"),
        ("", " ".join(chip.features) or "no instruction sets known that matter"),
        ("memory", f"{memory.total}{limit}; {memory.free} free now"),
        ("", _bandwidth(chip)),
        *_titled("accelerators", [_accelerator(a) for a in machine.accelerators] or [_none_found()]),
        *_titled("disks", [_disk(disk) for disk in machine.disks] or ["none found"]),
        ("can", f"move pages: {_yes(machine.can_move_pages)}; read directly: {_yes(machine.can_read_directly)}"),
        *_titled("engines", [_proof(proof) for proof in proofs]),
        ("versions", ", ".join(f"{name} {version}" for name, version in _versions().items())),
    ]


def _titled(what: str, values: Sequence[str]) -> list[tuple[str, str]]:
    return [("" if i else what, value) for i, value in enumerate(values)]


def _bandwidth(chip: Processor) -> str:
    if not chip.bandwidth:
        return "read speed not measured: too little memory is free"
    shown = [n for n in range(1, chip.threads + 1) if n & (n - 1) == 0 or n == chip.threads]
    return "read with " + ", ".join(f"{_count(n, 'thread')} at {chip.bandwidth[n - 1]}" for n in shown)


def _accelerator(accelerator: Accelerator) -> str:
    shared = ", shared with the processor" if accelerator.unified else ""
    speeds = _at(accelerator.bandwidth, "reads") + _at(accelerator.link, "link")
    return f"{accelerator.name} ({accelerator.kind}): {accelerator.memory}, {accelerator.free} free now{shared}{speeds}"


def _at(rate: Rate | None, what: str) -> str:
    return f", {what} at {rate}" if rate else ""


def _none_found() -> str:
    if find_spec("pynvml"):
        return "none found"
    return "none looked for: NVIDIA's need nvidia-ml-py (pip install 'accel-runtime[gpu]')"


def _disk(disk: Disk) -> str:
    how = "directly" if disk.direct else "through the page cache"
    speed = f"read {how} at {disk.read}, several reads in flight" if disk.read else "read speed not measured"
    return f"{disk.path}: {disk.total}, {disk.free} free; {speed}"


def _proof(proof: Proof) -> str:
    if proof.ran:
        return f"{proof.engine}: ran; {proof.why} in {proof.seconds:.1f} s"
    return f"{proof.engine}: DID NOT RUN; {proof.why}"


def _count(n: int, what: str) -> str:
    return f"{n} {what}" if n == 1 else f"{n} {what}s"


def _yes(flag: bool) -> str:
    return "yes" if flag else "no"


def _versions() -> dict[str, str]:
    found = {"python": platform.python_version(), platform.system().lower(): platform.release()}
    for name in _VERSIONS:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            found[name] = "not installed"
    return found


def _print_table(table: Sequence[tuple[str, str]]) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    grid = Table.grid(padding=(0, 2))
    for what, value in table:
        grid.add_row(Text(what, style="bold"), Text(value))
    Console().print(grid)


@contextmanager
def _progress() -> Iterator[tuple[Callable[[str], None], Callable[[str], None]]]:
    """(say, warn), both on stderr: what takes so long, where somebody is looking, and a line that stays."""
    from rich.console import Console

    console = Console(stderr=True, markup=False, highlight=False, soft_wrap=True)
    with console.status("looking at this machine") as status:
        yield lambda doing: status.update(doing), lambda line: console.print(line)
