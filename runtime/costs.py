"""What running a model costs here: what was measured, and what stands in until it is. Pure records and arithmetic;
`calibrate.py` measures and keeps them."""

import math
from bisect import bisect_left
from dataclasses import dataclass, field, replace

from ..devices.machine import Machine
from ..offload.curves import HitCurves
from ..offload.gguf_header import FORMATS
from ..units import Bytes, Rate
from .expert_costs import COMPUTING, reading_seconds
from .footprint import Placement, first_gpu_layer, is_multiplied_on_gpu
from .model import ModelSpec, Weights
from .quality import StandIns

MEASURED, KERNELS = "times measured on this model", "kernels measured on this machine"  # what estimates rest on
ROWS = (1, 2, 3, 4, 6, 8, 12, 16, 24, 32)  # forwards of so many rows are timed
USUAL_DEPTH = 512  # positions that a decoded token is assumed to look back at

_CACHED, _STREAMED = Bytes.from_mib(12), Bytes.from_mib(96)  # weights that surely are, and are not, in a core's cache

# Until a machine is measured. A core with AVX-512 reads so many bytes of a format's weights per second in decode, and
# so many times that per row of a large batch (seen on a 2-core EPYC; llama.cpp without and with repacked weights).
_USUAL_RATE = {"F32": 40e9, "F16": 24e9, "BF16": 20e9, "Q8_0": 22e9}
_USUAL_QUANTISED = {False: 11e9, True: 18e9}
_USUAL_BATCHED = 1.8
_USUAL_SHARE = {"avx512f": 1.0, "avx2": 0.75, "dotprod": 0.4}  # of that, by the best instruction set
_LEAST_SHARE = 0.2
_USUAL_BANDWIDTH = (Rate(10e9), Rate(18e9))
_USUAL_OVERHEAD = {1: (1e-5, 8e-6, 8e-6), 2: (1.2e-5, 1.5e-5, 1.5e-5)}  # by threads
_USUAL_LOOK = 6e-10  # for each value of a head, with one thread
_USUAL_LOOK_APART = 7e-10  # the same where attention is not fused: whether it is faster is to be measured
_USUAL_VOCABULARY = Bytes.from_mib(24)
_USUAL_PROCESS = (Bytes.from_mib(80), Bytes.from_mib(30))
_GPU_EFFICIENCY = 0.65  # of a GPU's bandwidth in decode
_GPU_LAYER = 5e-5  # seconds, beside its bytes (seen on an H200: 18 layers of experts)
_GPU_BATCHED = 30.0  # rows of a batch that cost one decode
_USUAL_REPACKED = {  # an instruction set to the formats that llama.cpp repacks for it, and in rows of how many
    "avx2": {"Q4_0": 8, "Q4_K": 8, "IQ4_NL": 8, "MXFP4": 8},
    "avx512f": {"Q2_K": 8},
    "dotprod": {"Q4_0": 4, "IQ4_NL": 4},
}


@dataclass(frozen=True, slots=True)
class DryRun:
    """A compute buffer as the engine itself laid it out, without memory for it."""

    context: int  # positions, those of drafts included
    sequences: int
    kv_type: str
    ubatch: int
    outputs: int
    fused: bool  # attention
    size: Bytes


@dataclass(frozen=True, slots=True)
class Kernel:
    """Speed at matrices of one format, all threads together, in bytes of weights per second."""

    format: str
    repacked: bool
    threads: int
    cached: Rate  # one row, weights in the processor's cache
    streamed: Rate  # one row, weights in main memory
    batched: Rate  # times rows, with many rows


@dataclass(frozen=True, slots=True)
class Overhead:
    """Seconds of a forward that are spent beside its arithmetic: graphs are built, threads wait for one another."""

    forward: float
    layer: float
    routing: float  # more for a layer whose experts are chosen


@dataclass(frozen=True, slots=True)
class Look:
    """What looking back costs a head of so many values in one layer: seconds for every position. Kernels are made for
    some sizes, and take several times as long for others."""

    head: int
    threads: int
    seconds: float  # of one row
    further: float  # of every further row of the same text
    fused: bool = True
    start: float = 0.0  # seconds more than fused attention takes, however little there is to look back at


@dataclass(frozen=True, slots=True)
class RowTimes:
    """Seconds of one forward of so many rows of one sequence, measured on the loaded model. Of up to `outputs` rows all
    have logits, as drafts need them; of more the last one, as in a prompt."""

    threads: int
    repack: bool
    rows: tuple[int, ...]
    seconds: tuple[float, ...]
    batch_threads: int = 0  # of more rows than one; 0: as many
    outputs: int = ROWS[-1]
    fused: bool = True  # attention

    def of(self, rows: int) -> float:
        """Between two measured counts the line, beyond them the slope of the last two."""
        if len(self.rows) == 1:
            return self.seconds[0] * rows / self.rows[0]
        right = min(max(1, bisect_left(self.rows, rows)), len(self.rows) - 1)
        x0, x1 = self.rows[right - 1], self.rows[right]
        y0, y1 = self.seconds[right - 1], self.seconds[right]
        return max(y0 + (y1 - y0) * (rows - x0) / (x1 - x0), min(self.seconds))


@dataclass(frozen=True, slots=True)
class Costs:
    """Of one model on one machine; whatever is empty has not been measured."""

    dry_runs: tuple[DryRun, ...] = ()
    process: tuple[Bytes, Bytes] = _USUAL_PROCESS  # (anonymous, mapped), with vocabulary and without weights
    repacked: dict[str, int] = field(default_factory=dict)  # format to what must divide a matrix's rows
    kernels: tuple[Kernel, ...] = ()
    overhead: dict[int, Overhead] = field(default_factory=dict)  # by threads
    looks: tuple[Look, ...] = ()
    rows: tuple[RowTimes, ...] = ()
    routing: HitCurves | None = None  # of a Mixture-of-Experts model
    stand_ins: StandIns = StandIns()  # noqa: RUF009 - for its experts
    offloads: bool = True  # whether the engine was built for accelerators
    vocabulary: Bytes = _USUAL_VOCABULARY  # header and vocabulary in memory, which `process` holds too
    shares: dict[str, float] = field(default_factory=dict)  # of each drafter's guesses that stood, as was seen here
    draft: "Costs | None" = None  # of the model that may draft

    def repacks(self, part: Weights) -> bool:
        granule = self.repacked.get(part.format, 0)
        return granule > 0 and part.rows > 0 and part.rows % granule == 0

    def compute_buffer(self, model: ModelSpec, placement: Placement) -> Bytes:
        """As dry-run where this very placement was; else along the context from its neighbours; else an upper bound."""
        alike = {
            run.context: run.size
            for run in self.dry_runs
            if (run.sequences, run.kv_type, run.ubatch, run.outputs, run.fused)
            == (placement.sequences, placement.kv_type, placement.ubatch, placement.outputs, placement.fused)
        }
        positions = placement.positions
        if positions in alike:
            return alike[positions]
        if len(alike) < 2:
            return _compute_bound(model, placement)
        contexts = sorted(alike)
        right = min(max(1, bisect_left(contexts, positions)), len(contexts) - 1)
        x0, x1 = contexts[right - 1], contexts[right]
        slope = (alike[x1] - alike[x0]) / (x1 - x0)
        return Bytes(max(0.0, *(alike[x] + slope * (positions - x) for x in (x0, x1))))

    def kernel(self, machine: Machine, part: Weights, repack: bool, threads: int) -> Kernel:
        """The measured kernel of a part's format, or a usual one as fast as this machine's memory lets it be."""
        repacked = repack and self.repacks(part)
        alike = (kernel for kernel in self.kernels if (kernel.format, kernel.repacked) == (part.format, repacked))
        known = min(alike, key=lambda kernel: abs(kernel.threads - threads), default=None)
        if known is None:
            features = machine.processor.features
            share = next((share for name, share in _USUAL_SHARE.items() if name in features), _LEAST_SHARE)
            cached = threads * share * _USUAL_RATE.get(part.format, _USUAL_QUANTISED[repacked])
            streamed = min(cached, bandwidth(machine, threads))
            return Kernel(part.format, repacked, threads, Rate(cached), Rate(streamed), Rate(cached * _USUAL_BATCHED))
        more = threads / known.threads
        wider = bandwidth(machine, threads) / bandwidth(machine, known.threads)
        rates = known.cached * more, known.streamed * min(more, wider), known.batched * more
        return Kernel(part.format, repacked, threads, *map(Rate, rates))

    def look(self, head: int, threads: int, fused: bool) -> Look:
        """Looking back so, as measured or usual."""
        alike = (look for look in self.looks if (look.head, look.fused) == (head, fused))
        usual = head * (_USUAL_LOOK if fused else _USUAL_LOOK_APART)
        known = min(alike, key=lambda look: abs(look.threads - threads), default=Look(head, 1, usual, usual, fused))
        fewer = known.threads / threads
        return replace(known, threads=threads, seconds=known.seconds * fewer, further=known.further * fewer)

    def row_times(self, threads: int, placement: Placement) -> RowTimes | None:
        """Measured so, or else as near to it as any were."""

        def differs(times: RowTimes) -> tuple[bool, bool, int]:
            return times.repack != placement.repack, times.fused != placement.fused, abs(times.threads - threads)

        return min(self.rows, key=differs, default=None)

    def rests_on(self, model: ModelSpec, threads: int, placement: Placement) -> str:
        if placement.gpu_layers:
            return "the bandwidth of the GPU and of main memory"
        if times := self.row_times(threads, placement):
            opened = threads, placement.repack, placement.fused
            measured = (times.threads, times.repack, times.fused) == opened
            return MEASURED if measured else f"{KERNELS}, and {MEASURED} opened otherwise"
        formats = {kernel.format for kernel in self.kernels}
        if {part.format for part in model.weights if part.role not in ("embedding", "other")} <= formats:
            return KERNELS
        return "usual kernels, not measured here"


def usual_costs(machine: Machine) -> Costs:
    """What a model costs on a machine where nothing was measured."""
    repacked: dict[str, int] = {}
    for feature, formats in _USUAL_REPACKED.items():
        if feature in machine.processor.features:
            repacked |= formats
    return Costs(repacked=repacked)


def decode_seconds(
    machine: Machine, model: ModelSpec, placement: Placement, costs: Costs, threads: int, depth: int = USUAL_DEPTH
) -> float:
    """One token of one sequence, at this depth."""
    return step_seconds(machine, model, placement, costs, threads, 1, depth)


def prefill_seconds(machine: Machine, model: ModelSpec, placement: Placement, costs: Costs, threads: int) -> float:
    """One token of a long prompt, in forwards of `placement.ubatch` rows."""
    rows = min(placement.ubatch, placement.context)
    computing = forward_seconds(machine, model, placement, costs, threads, rows)
    if placement.expert_memory:  # a layer is read while the one before computes
        reading = reading_seconds(machine, model, placement, rows, costs.routing)
        computing = max(COMPUTING * computing, reading)
    return computing / rows


def forward_seconds(
    machine: Machine,
    model: ModelSpec,
    placement: Placement,
    costs: Costs,
    threads: int,
    rows: int,
    logits: bool = False,
) -> float:
    """One forward of so many rows at the start of a context: as the kernels let expect, set right by what was measured
    on the loaded model, with these threads or the nearest and with as many rows or the most. `logits`: of every row."""
    expected = _expected_seconds(machine, model, placement, costs, threads, rows)
    times = costs.row_times(threads, placement) if not placement.gpu_layers else None
    if not times:
        return expected
    seen = min(rows, max(times.rows), times.outputs if logits else rows)
    alike = replace(placement, repack=times.repack, fused=times.fused)
    busy = times.threads if seen == 1 else times.batch_threads or times.threads
    return expected * times.of(seen) / _expected_seconds(machine, model, alike, costs, busy, seen)


def step_seconds(
    machine: Machine,
    model: ModelSpec,
    placement: Placement,
    costs: Costs,
    threads: int,
    rows: int,
    depth: int = USUAL_DEPTH,
) -> float:
    """One text's next token with a draft behind it: so many rows, at this depth, that all have logits."""
    computing = forward_seconds(machine, model, placement, costs, threads, rows, logits=True)
    if placement.expert_memory:
        computing = COMPUTING * computing + reading_seconds(machine, model, placement, rows, costs.routing)
    depth = min(placement.context, depth)
    return computing + attention_seconds(machine, model, placement, costs, threads, depth, rows)


def attention_seconds(
    machine: Machine, model: ModelSpec, placement: Placement, costs: Costs, threads: int, depth: int, rows: int = 1
) -> float:
    """Looking back at so many positions from so many rows of one text, which a processor's every head does apart. A
    quantised cache saves memory, not time: it is expanded as it is read."""
    threads = _at_work(machine, threads)
    first = min(first_gpu_layer(model, placement), model.layers) if placement.gpu_layers else model.layers
    near = model.kv_bytes_per_position("f16", range(first)) / bandwidth(machine, threads)
    far = model.kv_bytes_per_position("f16", range(first, model.layers)) / gpu_bandwidth(machine)
    look = costs.look(model.key_size, threads, placement.fused)
    looking = _heads(model, first) * (look.seconds + (rows - 1) * look.further)
    return depth * (max(rows * near, looking) + rows * far)


def _heads(model: ModelSpec, layers: int) -> int:
    """That look back, of the first so many layers together."""
    return sum(heads for heads, cached in zip(model.heads[:layers], model.kv_heads, strict=False) if cached)


def _at_work(machine: Machine, threads: int) -> int:
    """Threads beyond the processor's only wait for their turn."""
    return min(threads, machine.processor.threads)


def bandwidth(machine: Machine, threads: int) -> Rate:
    known = machine.processor.bandwidth or _USUAL_BANDWIDTH
    return max(known[:threads])


def gpu_bandwidth(machine: Machine) -> Rate:
    known = machine.accelerators[0].bandwidth if machine.accelerators else None
    return Rate((known or 4 * bandwidth(machine, machine.processor.threads)) * _GPU_EFFICIENCY)


def _expected_seconds(
    machine: Machine, model: ModelSpec, placement: Placement, costs: Costs, threads: int, rows: int
) -> float:
    near, far, threads = 0.0, 0.0, _at_work(machine, threads)
    weights = [part for part in model.weights if part.role != "embedding" or model.tied]
    beyond_cache = _beyond_cache(sum(part.size for part in weights if not is_multiplied_on_gpu(part, model, placement)))
    for part in weights:
        share = model.experts_used / model.experts if part.role == "experts" and model.experts else 1.0
        needed = float(part.size) * share
        if is_multiplied_on_gpu(part, model, placement):
            far += needed * max(1.0, rows / _GPU_BATCHED)
            continue
        kernel = costs.kernel(machine, part, placement.repack, threads)
        # A batch reads a part once, as far as its rows need it; each row computes what it needs.
        one = 1 / ((1 - beyond_cache) / kernel.cached + beyond_cache / kernel.streamed)
        near += max(min(needed * rows, part.size) / one, needed * rows / kernel.batched if rows > 1 else 0.0)
    on_gpu = model.layers - min(first_gpu_layer(model, placement), model.layers) if placement.gpu_layers else 0
    overhead = _overhead(costs, threads)
    routed = overhead.routing * len({part.layer for part in weights if part.role == "experts"})
    beside = overhead.forward + overhead.layer * (model.layers - on_gpu) + routed + _GPU_LAYER * on_gpu
    beside += _heads(model, model.layers - on_gpu) * costs.look(model.key_size, threads, placement.fused).start
    return near + far / gpu_bandwidth(machine) + beside


def _beyond_cache(size: int) -> float:
    """How much of the time weights of this size come from main memory: 0 to 1, even in the logarithm between."""
    return min(1.0, max(0.0, math.log(max(size, 1) / _CACHED) / math.log(_STREAMED / _CACHED)))


def _overhead(costs: Costs, threads: int) -> Overhead:
    """Of these threads, or of as many as were measured."""
    known = costs.overhead or {count: Overhead(*seconds) for count, seconds in _USUAL_OVERHEAD.items()}
    return known[max((count for count in known if count <= threads), default=min(known))]


def _compute_bound(model: ModelSpec, placement: Placement) -> Bytes:
    """More than llama.cpp lays out: activations of the widest layer, the attention's mask, the logits, in float32."""
    width = max(model.width, max(model.heads) * max(model.key_size, model.value_size))
    ff = max(model.ff_width, model.expert_width * max(1, model.experts_used))
    row = 4 * (5 * width + 2 * ff) + 2 * placement.cells + 64 * 2**10 // max(1, placement.ubatch)
    expansion = 0 if placement.kv_type == "f16" else placement.cells * 4 * max(model.kv_heads) * model.key_size
    row += 0 if placement.fused else 8 * placement.cells * max(model.heads)  # scores, before and after softmax
    return Bytes(placement.ubatch * row + placement.outputs * model.vocabulary * 4 + expansion)


def bits(format: str) -> float:
    """Bits per weight."""
    values, size = FORMATS[format]
    return 8 * size / values
