"""Measures costs in a process of its own: `python -m accel.runtime.measure_costs buffers` or `kernels`, what to measure
on stdin as JSON, the result on stdout.

The engine's libraries may abort, take memory and keep threads; the process that asked goes on whatever happens here.
"""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path
from tempfile import gettempdir

from ..devices.files import take_room, write_error
from ..devices.resident import give_back_freed_memory, resident
from ..errors import AccelError, DiskFull
from ..units import Bytes, Rate, from_json, to_json
from .costs import Kernel, Look, Overhead
from .engines.base import Batch, Engine
from .engines.options import EngineOptions
from .model import ModelSpec
from .probe_model import ProbeShape, write_probe
from .timing import best_seconds

FAILED = 3  # exit code: stdout holds a Failure
_DEPTH = 512  # positions
_ROOM = 8192  # positions of a usual context: how far apart values lie may depend on it
_BATCH = 64  # rows that stand for a prefill
_STREAMED = Bytes.from_mib(160)  # of weights: several times what a processor's cache holds
_CACHED = Bytes.from_mib(8)
_FURTHER = 7  # rows beside the first, to tell what one more looks back for
_SECONDS = 0.06  # that one time is measured for
_LOOKING = 0.12  # the same, where it is a small difference of two that counts


@dataclass(frozen=True, slots=True)
class BufferJob:
    """Dry runs of one model."""

    options: tuple[EngineOptions, ...]


@dataclass(frozen=True, slots=True)
class BufferResult:
    compute: tuple[Bytes, ...]  # for each of the job's options
    anonymous: Bytes  # of a worker that has answered, with the vocabulary and without weights and contexts
    mapped: Bytes
    vocabulary: Bytes  # and header: what of `anonymous` a second model would take again
    offloads: bool  # whether the engine was built for accelerators


@dataclass(frozen=True, slots=True)
class KernelJob:
    """Matrices of some formats and heads of some sizes, with so many threads. Probe models are written to `folder`."""

    formats: tuple[str, ...]
    heads: tuple[int, ...]
    threads: tuple[int, ...]
    folder: str


@dataclass(frozen=True, slots=True)
class KernelResult:
    kernels: tuple[Kernel, ...]
    repacked: tuple[str, ...]  # formats whose matrices the engine copies into another order
    overhead: dict[int, Overhead]  # by threads
    looks: tuple[Look, ...]


@dataclass(frozen=True, slots=True)
class Failure:
    """An AccelError, by the name of its class."""

    kind: str
    what: str
    do: str


def main(what: str) -> int:
    job = sys.stdin.buffer.read()
    try:
        buffers = what == "buffers"
        result = measure_buffers(from_json(job, BufferJob)) if buffers else measure_kernels(from_json(job, KernelJob))
    except AccelError as error:
        return _fail(error)
    except OSError as error:
        failed = write_error(Path(str(error.filename or gettempdir())), error)
        if not isinstance(failed, DiskFull):
            raise
        return _fail(failed)
    sys.stdout.buffer.write(to_json(result))
    return 0


def _fail(error: AccelError) -> int:
    sys.stdout.buffer.write(to_json(Failure(type(error).__name__, error.what, error.do)))
    return FAILED


def measure_buffers(job: BufferJob) -> BufferResult:
    """Raises ModelError, EngineError, OSError."""
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(1) as thread:  # in a worker too another thread than the first holds the engine
        return thread.submit(_measure_buffers, job).result()


def _measure_buffers(job: BufferJob) -> BufferResult:
    from . import worker  # noqa: F401 - a worker's own modules are in its memory too
    from .engines import llama_api as api
    from .engines.dry_run import dry_model
    from .rehearsal import rehearse

    give_back_freed_memory()
    rehearse(job.options[0].threads)
    before, _ = resident()
    ModelSpec.read(Path(job.options[0].path))  # as opening an engine does: the allocator keeps what it took for that
    with dry_model(job.options[0]) as buffers:
        anonymous, mapped = resident()
        compute = tuple(sum(buffers(options).compute.values(), Bytes(0)) for options in job.options)
    return BufferResult(compute, anonymous, mapped, Bytes(max(0, anonymous - before)), api.offloads())


def measure_kernels(job: KernelJob) -> KernelResult:
    """Raises EngineError; DiskFull or AccelError where the probe models cannot be written."""
    overhead = {threads: _measure_overhead(job, threads) for threads in job.threads if job.formats}
    kernels, repacked = [], []
    for format in job.formats:
        choices = (False, True) if _is_repacked(job, format) else (False,)
        repacked += [format] if True in choices else []
        for repack, threads in product(choices, job.threads):
            kernels.append(_measure_kernel(job, format, repack, threads, overhead[threads]))
    looks = [look for head, threads in product(job.heads, job.threads) for look in _measure_looks(job, head, threads)]
    return KernelResult(tuple(kernels), tuple(repacked), overhead, tuple(looks))


def _measure_overhead(job: KernelJob, threads: int) -> Overhead:
    """A forward takes: something, something for each layer, and what grows with the bytes. Models that differ in one of
    them tell these apart."""
    few, many, wide = (ProbeShape("Q8_0", width, layers) for width, layers in ((256, 4), (256, 16), (512, 4)))
    few_seconds, many_seconds, wide_seconds, routed_seconds = (
        _seconds(job, shape, repack=False, threads=threads)[0] for shape in (few, many, wide, replace(few, experts=16))
    )
    narrow_layer = _positive((many_seconds - few_seconds) / (many.layers - few.layers))
    forward = _positive(few_seconds - narrow_layer * few.layers)
    wide_layer = _positive((wide_seconds - forward) / wide.layers)
    narrow_bytes, wide_bytes = few.size / few.layers, wide.size / wide.layers
    per_byte = _positive(wide_layer - narrow_layer) / (wide_bytes - narrow_bytes)
    routing = max(routed_seconds - few_seconds, 0.0) / few.layers
    return Overhead(forward, _positive(narrow_layer - narrow_bytes * per_byte), routing)


def _measure_looks(job: KernelJob, head: int, threads: int) -> tuple[Look, Look]:
    """With fused attention and without."""
    shape = ProbeShape("Q8_0", width=256, head=head)
    first, fused = _looking(job, shape, threads, fused=True)
    start, apart = _looking(job, shape, threads, fused=False)
    besides = max(start - first, 0.0) / (shape.layers * shape.heads)
    return Look(head, threads, *fused), Look(head, threads, *apart, fused=False, start=besides)


def _looking(job: KernelJob, shape: ProbeShape, threads: int, fused: bool) -> tuple[float, tuple[float, float]]:
    """Seconds of one row that has nothing to look back at; of every position that a head does look back at, for one row
    and for each further one."""
    counts = 1, 1 + _FURTHER
    with _engine(job, shape, False, threads, fused) as engine:
        shallow = [best_seconds(engine, rows, _LOOKING) for rows in counts]
        for _ in range(_DEPTH // _BATCH):
            engine.forward(Batch.chain(0, [1] * _BATCH))
            engine.commit(0, range(_BATCH))
        deep = [best_seconds(engine, rows, _LOOKING, _DEPTH) for rows in counts]
    one, many = (max(after - before, 0.0) for before, after in zip(shallow, deep, strict=True))
    looks = _DEPTH * shape.layers * shape.heads
    return shallow[0], (one / looks, max(many - one, 0.0) / _FURTHER / looks)


def _is_repacked(job: KernelJob, format: str) -> bool:
    from .engines.dry_run import weight_buffers

    path = _probe(job, ProbeShape(format, width=256, layers=1))
    return any(not name.endswith("Mapped") for name in weight_buffers(EngineOptions(str(path))))


def _measure_kernel(job: KernelJob, format: str, repack: bool, threads: int, overhead: Overhead) -> Kernel:
    small = ProbeShape(format, width=512, layers=1).of_size(_CACHED)
    large = ProbeShape(format, width=2048, layers=1).of_size(_STREAMED)
    one, batch = _seconds(job, small, repack, threads, rows=(1, _BATCH))
    (streamed,) = _seconds(job, large, repack, threads)

    def rate(shape: ProbeShape, rows: int, seconds: float) -> Rate:
        return Rate(shape.size * rows / _positive(seconds - overhead.forward - overhead.layer * shape.layers))

    cached = rate(small, 1, one)
    return Kernel(format, repack, threads, cached, min(cached, rate(large, 1, streamed)), rate(small, _BATCH, batch))


def _positive(seconds: float) -> float:
    """Differences of times that were measured can come out as nothing or less."""
    return max(seconds, 1e-7)


def _seconds(
    job: KernelJob, shape: ProbeShape, repack: bool, threads: int, rows: tuple[int, ...] = (1,)
) -> tuple[float, ...]:
    """Of one forward, for each number of rows."""
    with _engine(job, shape, repack, threads) as engine:
        return tuple(best_seconds(engine, count, _SECONDS) for count in rows)


@contextmanager
def _engine(job: KernelJob, shape: ProbeShape, repack: bool, threads: int, fused: bool = True) -> Iterator[Engine]:
    from .engines import open_engine

    options = EngineOptions(
        str(_probe(job, shape)), context=_ROOM, batch=_BATCH, ubatch=_BATCH, outputs=1, threads=threads,
        threads_prefill=threads, repack=repack, flash_attention=fused,
    )  # fmt: skip
    engine = open_engine("llamacpp", options)
    try:
        yield engine
    finally:
        engine.close()


def _probe(job: KernelJob, shape: ProbeShape) -> Path:
    path = Path(job.folder) / "probe.gguf"
    try:
        path.unlink(missing_ok=True)
        write_probe(path, shape)
        with path.open("r+b") as file:
            take_room(file, path.parent, path.stat().st_size)
    except OSError as error:
        raise write_error(path.parent, error) from error
    return path


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
