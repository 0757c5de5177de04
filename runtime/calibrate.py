"""Gathers a model's costs on this machine: from the cache, or measured in a process of its own and then kept."""

import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, TypeVar

import msgspec

from .. import errors
from ..devices.files import write_atomic, write_error
from ..devices.machine import Machine
from ..devices.measure import is_busy
from ..errors import AccelError, EngineError
from ..offload.curves import HitCurves
from ..units import Bytes, from_json, to_json
from .costs import Costs, DryRun, Kernel, Look, Overhead, RowTimes, usual_costs
from .drafting.kept_acceptance import load_shares
from .expert_costs import expert_sizes
from .footprint import Placement
from .model import ModelSpec
from .search import Goal, draft_placements_to_try, placements_to_try

T = TypeVar("T")
Say = Callable[[str], None]

_METHOD = 11  # counts up when a measurement's meaning changes, so that old ones are not believed
_TIME_LIMIT = 120  # seconds for one child
_HEAD_GRANULE, _MOST_HEAD = 8, 1024  # values of a head that can be timed
_GRANULE = 8  # rows that are repacked together, at most
_DOING = {"buffers": "its buffers were measured", "kernels": "its kernels were timed"}


@dataclass(frozen=True, slots=True)
class _OfModel:
    """What is kept of one model on one machine."""

    dry_runs: tuple[DryRun, ...] = ()
    process: tuple[Bytes, Bytes] | None = None
    vocabulary: Bytes = Bytes(0)  # noqa: RUF009
    offloads: bool = False
    rows: tuple[RowTimes, ...] = ()
    routing: HitCurves | None = None


@dataclass(frozen=True, slots=True)
class _OfMachine:
    """What is kept of one machine."""

    kernels: tuple[Kernel, ...] = ()
    repacked: dict[str, int] | None = None  # every format that was looked at; 0 where it is not repacked
    overhead: dict[int, Overhead] | None = None
    looks: tuple[Look, ...] = ()


def known_costs(
    machine: Machine,
    model: ModelSpec,
    goal: Goal,
    cache: Path,
    say: Say = lambda doing: None,
    draft: ModelSpec | None = None,
) -> Costs:
    """What is kept below `cache` of this model on this machine, the one that runs this, and of the model that may draft
    for it. Buffers that were never dry-run are, in about a second; kernels are not timed here.

    Raises what the engine says to a model's header (a ModelError), EngineError, or what a cache without room raises.
    """
    costs = _known_costs(machine, model, placements_to_try(model, goal), cache, say)
    if draft:
        of_draft = _known_costs(machine, draft, draft_placements_to_try(model, goal), cache, say)
        costs = replace(costs, draft=of_draft)
    if not goal.drafting:
        return costs
    return replace(costs, shares=load_shares(cache / "drafting", model.fingerprint, draft.fingerprint if draft else ""))


def _known_costs(machine: Machine, model: ModelSpec, placements: list[Placement], cache: Path, say: Say) -> Costs:
    file = _file(cache, "model", machine.fingerprint, model.fingerprint)
    kept = _read(file, _OfModel)
    known = {_key(run) for run in kept.dry_runs}
    missing = [placement for placement in dict.fromkeys(placements) if _key_of(placement) not in known]
    if missing or kept.process is None:
        say("asking the engine for its buffers")
        kept = _dry_run(kept, machine, model, missing or placements[:1])
        _write(file, kept)
    of_machine = _read(_file(cache, "machine", machine.fingerprint), _OfMachine)
    usual = usual_costs(machine)
    sound = kept.routing and kept.routing.sound(len(expert_sizes(model)), model.experts)
    return Costs(
        dry_runs=kept.dry_runs,
        process=kept.process or usual.process,
        repacked=usual.repacked | (of_machine.repacked or {}),
        kernels=of_machine.kernels,
        overhead=of_machine.overhead or {},
        looks=of_machine.looks,
        rows=kept.rows,
        routing=kept.routing if sound else None,
        offloads=kept.offloads,
        vocabulary=kept.vocabulary,
    )


def time_kernels(
    machine: Machine, model: ModelSpec, costs: Costs, cache: Path, again: bool = False, say: Say = lambda doing: None
) -> Costs:
    """The costs with kernels for every format that matters in this model and heads of its size, timed where they were
    not or `again`: some seconds for each, once. Where other processes keep the machine busy, or no room is left below
    `cache` for what is timed, nothing is: a plan holds without. `say` is told. Raises EngineError.
    """
    timed = set() if again else {kernel.format for kernel in costs.kernels}
    wanted = tuple(format for format in _formats(model) if format not in timed)
    heads = _heads_to_time(model, () if again else costs.looks)
    if not wanted and not heads:
        return costs
    named = ", ".join((*wanted, *(f"heads of {head}" for head in heads)))
    if is_busy():
        say(f"the machine is busy: its speed with {named} is not timed")
        return costs
    say(f"timing {named} on this machine")
    try:
        found = _time(wanted, heads, (1, machine.processor.cores), cache)
    except EngineError:
        raise
    except AccelError as error:
        say(f"its speed with {named} is not timed: {error}")
        return costs
    costs = replace(
        costs,
        kernels=(*(kernel for kernel in costs.kernels if kernel.format not in wanted), *found.kernels),
        repacked=costs.repacked | (found.repacked or {}),
        overhead=costs.overhead | (found.overhead or {}),
        looks=(*(look for look in costs.looks if look.head not in heads), *found.looks),
    )
    if not is_busy():
        _keep_kernels(machine, costs, cache, say)
    return costs


def time_looks(machine: Machine, model: ModelSpec, threads: int, cache: Path, say: Say = lambda doing: None) -> None:
    """Keeps how fast heads of a model's size look back, for the next plan, where that was never timed: in about a
    second, once. Not where other processes keep the machine busy. Raises EngineError, and what a cache without room
    raises."""
    file = _file(cache, "machine", machine.fingerprint)
    heads = _heads_to_time(model, _read(file, _OfMachine).looks)
    if not heads or is_busy():
        return
    say(f"timing heads of {model.key_size} on this machine, once")
    found = _time((), heads, (threads,), cache)
    kept = _read(file, _OfMachine)
    _write(file, replace(kept, looks=(*kept.looks, *found.looks)))


def _heads_to_time(model: ModelSpec, known: Sequence[Look]) -> tuple[int, ...]:
    head = model.key_size
    timed = head in {look.head for look in known}
    return (head,) if not timed and 0 < head <= _MOST_HEAD and head % _HEAD_GRANULE == 0 else ()


def _keep_kernels(machine: Machine, costs: Costs, cache: Path, say: Say) -> None:
    """What was timed holds where it cannot be kept too, and is timed again the next time."""
    kept = _OfMachine(costs.kernels, costs.repacked, costs.overhead, costs.looks)
    try:
        _write(_file(cache, "machine", machine.fingerprint), kept)
    except AccelError as error:
        say(f"what was timed is not kept: {error}")


def keep_rows(machine: Machine, model: ModelSpec, times: RowTimes, cache: Path) -> None:
    """Keeps what a worker measured on the loaded model. Raises what a cache without room raises."""
    file = _file(cache, "model", machine.fingerprint, model.fingerprint)
    kept = _read(file, _OfModel)
    others = (
        old for old in kept.rows if (old.threads, old.repack, old.fused) != (times.threads, times.repack, times.fused)
    )
    _write(file, replace(kept, rows=(*others, times)))


def keep_routing(machine: Machine, model: ModelSpec, curves: HitCurves, cache: Path) -> None:
    """Keeps what was recorded of the model's routing. Raises what a cache without room raises."""
    file = _file(cache, "model", machine.fingerprint, model.fingerprint)
    _write(file, replace(_read(file, _OfModel), routing=curves))


def _dry_run(kept: _OfModel, machine: Machine, model: ModelSpec, placements: list[Placement]) -> _OfModel:
    from .measure_costs import BufferJob, BufferResult

    options = tuple(_options(model, placement, machine.processor.cores) for placement in placements)
    found = _child("buffers", BufferJob(options), BufferResult)
    runs = {_key_of(placement): size for placement, size in zip(placements, found.compute, strict=True)}
    others = (run for run in kept.dry_runs if _key(run) not in runs)
    return replace(
        kept,
        dry_runs=(*others, *(DryRun(*key, size) for key, size in runs.items())),
        process=(found.anonymous, found.mapped),
        vocabulary=found.vocabulary,
        offloads=found.offloads,
    )


def _options(model: ModelSpec, placement: Placement, threads: int) -> Any:
    from .engines.options import EngineOptions

    return EngineOptions(
        path=model.paths[0],
        context=placement.positions,
        sequences=placement.sequences,
        batch=placement.ubatch,
        ubatch=placement.ubatch,
        outputs=placement.outputs,
        kv_type=placement.kv_type,
        threads=threads,
        threads_prefill=threads,
        flash_attention=placement.fused,
    )


_Key = tuple[int, int, str, int, int, bool]


def _key(run: DryRun) -> _Key:
    return run.context, run.sequences, run.kv_type, run.ubatch, run.outputs, run.fused


def _key_of(placed: Placement) -> _Key:
    return placed.positions, placed.sequences, placed.kv_type, placed.ubatch, placed.outputs, placed.fused


def _formats(model: ModelSpec) -> list[str]:
    """Those with more than a hundredth of the weights that are multiplied."""
    sizes: dict[str, int] = {}
    for part in model.weights:
        if part.role != "embedding" or model.tied:
            sizes[part.format] = sizes.get(part.format, 0) + part.size
    return [format for format, size in sizes.items() if size * 100 > sum(sizes.values())]


def _time(formats: tuple[str, ...], heads: tuple[int, ...], threads: tuple[int, ...], cache: Path) -> _OfMachine:
    from .measure_costs import KernelJob, KernelResult

    counts = tuple(sorted(set(threads)))
    try:
        with TemporaryDirectory(dir=cache, prefix="probe-") as folder:  # ours, so that it goes whatever the child does
            found = _child("kernels", KernelJob(formats, heads, counts, folder), KernelResult)
    except OSError as error:
        raise write_error(cache / "probe", error) from error
    repacked = {format: _GRANULE if format in found.repacked else 0 for format in formats}
    return _OfMachine(found.kernels, repacked, found.overhead, found.looks)


def _child(what: str, job: object, kind: type[T]) -> T:
    """Raises what the child raised, or EngineError where it died, hung or babbled."""
    from .measure_costs import FAILED, Failure

    command = [sys.executable, "-P", "-m", f"{__package__}.measure_costs", what]
    try:
        done = subprocess.run(command, input=to_json(job), capture_output=True, timeout=_TIME_LIMIT, check=False)
        if done.returncode == 0:
            return from_json(done.stdout, kind)
        if done.returncode == FAILED:
            failure = from_json(done.stdout, Failure)
            raised = getattr(errors, failure.kind, EngineError)
            raise raised(failure.what, failure.do)
    except subprocess.TimeoutExpired as error:
        raise EngineError(f"the engine did not answer within {_TIME_LIMIT} s", "see `accel doctor`") from error
    except (OSError, msgspec.MsgspecError) as error:
        raise EngineError(f"costs could not be measured: {error}", "see `accel doctor`") from error
    last = (done.stderr.decode(errors="replace").strip().splitlines() or [f"exit code {done.returncode}"])[-1]
    raise EngineError(f"the engine failed while {_DOING[what]}: {last[:200]}", "see `accel doctor`")


def _file(cache: Path, *names: str) -> Path:
    return cache / "costs" / f"{'-'.join((names[0], str(_METHOD), _engine_version(), *names[1:]))}.json"


def _engine_version() -> str:
    try:
        return version("llama-cpp-python")
    except PackageNotFoundError:
        return "none"


def _read(file: Path, kind: type[T]) -> T:
    """What was kept, or nothing where nothing was or it is damaged."""
    try:
        return from_json(file.read_bytes(), kind)
    except (OSError, msgspec.MsgspecError):
        return kind()


def _write(file: Path, record: object) -> None:
    try:
        file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise write_error(file.parent, error) from error
    write_atomic(file, to_json(record))
