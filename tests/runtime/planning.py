"""Machines and models that the planner's tests draw."""

from hypothesis import strategies as st

from accel.devices.machine import Accelerator, Machine, Memory, Processor
from accel.offload.gguf_header import FORMATS
from accel.runtime.costs import Costs, Kernel, Look, RowTimes
from accel.runtime.model import ModelSpec, Weights
from accel.runtime.quality import GIVEN, OFF, OWN, Quality, StandIns
from accel.runtime.search import Goal
from accel.units import Bytes, Rate

MIB = 2**20


def a_model(layers=4, width=512, format="Q4_0", vocabulary=1024, context=32768, kv_heads=2, head=64, experts=0):
    """A model of plausible shapes, without a file."""
    values, size = FORMATS[format]
    per_layer = width * width * 2 * size // values
    ff = 3 * width * width * 3 * size // values

    def part(layer, role, bytes):
        return Weights(layer, role, format if role != "other" else "F32", Bytes(bytes), 64 if role != "other" else 0)

    parts = [part(-1, "embedding", vocabulary * width * size // values), part(-1, "output", vocabulary * width * 2)]
    for layer in range(layers):
        parts += [part(layer, "attention", per_layer), part(layer, "other", 8 * width)]
        parts.append(part(layer, "experts", ff * experts) if experts else part(layer, "dense", ff))
    return ModelSpec(
        paths=("model.gguf",), sizes=(Bytes(sum(p.size for p in parts)),), fingerprint="0" * 32, architecture="x",
        name="drawn", layers=layers, width=width, heads=(width // head,) * layers, kv_heads=(kv_heads,) * layers,
        key_size=head, value_size=head, ff_width=3 * width, vocabulary=vocabulary, context=context, experts=experts,
        experts_used=min(experts, 2), expert_width=3 * width if experts else 0, shared_experts=0, sliding_window=0,
        recurrent=False, state=Bytes(0), weights=tuple(parts), tokenizer="gpt2", pre_tokenizer="", bos=None, eos=None,
        ends=(0,), add_bos=False, chat_template="",
    )  # fmt: skip


def a_machine(memory=16 * 2**30, cores=4, gpu=0, unified=False, bandwidth=360e9, moves=False):
    cards = (Accelerator("card", "cuda", Bytes(gpu), Bytes(gpu), Rate(bandwidth), unified=unified),) if gpu else ()
    rates = tuple(Rate(min(12e9 * n, 30e9)) for n in range(1, cores + 1))
    chip = Processor("chip", cores, cores, ("avx2",), rates)
    memory = Memory(Bytes(memory), Bytes(memory))
    return Machine("drawn", chip, memory, cards, can_move_pages=moves, can_read_directly=True)


def kernels(format, cores):
    return tuple(
        Kernel(format, repacked, threads, Rate(rate * threads), Rate(rate * threads**0.5), Rate(2 * rate * threads))
        for repacked, rate in ((False, 11e9), (True, 19e9))
        for threads in (1, cores)
    )


def a_quality(share=0.25, reading=0.7, deterministic=False, **more):
    """One that reads so much of what an exact token reads."""
    known = {
        "model": "0" * 32, "stand_ins": "1" * 32, "low": 0.6, "skip": OFF, "deterministic": deterministic,
        "share": share, "text": OWN, "tokens": 512, "kl": 0.004, "kl_error": 0.001, "exact": 8.0,
        "approximate": 8.0 * 1.006, "error": 0.005, "same": 0.97, "missed": 0.4, "served_low": 0.2, "skipped": 0.0,
        "read_exact": Bytes(10**6), "read": Bytes(10**6 * reading),
    }  # fmt: skip
    return Quality(**{**known, **more})


def some_stand_ins(reading=(0.6, 0.65, 0.7), staging=MIB, modes=(False, True)):
    shares = zip((0.25, 0.4, 0.6), reading, strict=True)
    found = tuple(a_quality(share, part, mode) for share, part in shares for mode in modes)
    return StandIns("model.low.gguf", Bytes(staging), found)


parts = st.floats(0, 1)
qualities = st.builds(
    a_quality,
    share=st.floats(0.01, 1),
    reading=st.floats(0, 2),
    deterministic=st.booleans(),
    low=parts,
    skip=parts,
    text=st.sampled_from([OWN, GIVEN]),
    kl=st.floats(0, 0.1),
    approximate=st.floats(7.5, 9),
    served_low=parts,
    skipped=parts,
    missed=parts,
)
measured_stand_ins = st.builds(
    some_stand_ins,
    reading=st.tuples(st.floats(0, 2), st.floats(0, 2), st.floats(0, 2)),
    staging=st.sampled_from([0, 4096, MIB, 2**26]),
    modes=st.sampled_from([(False, True), (False,), (True,)]),
)
models = st.builds(
    a_model,
    layers=st.integers(1, 12),
    width=st.sampled_from([256, 512, 1024, 2048]),
    format=st.sampled_from(["Q4_0", "Q8_0", "F16", "Q4_K"]),
    vocabulary=st.sampled_from([256, 4096, 151936]),
    context=st.sampled_from([0, 128, 1000, 4096, 32768]),
    kv_heads=st.integers(1, 8),
    head=st.sampled_from([8, 64, 128]),
    experts=st.sampled_from([0, 8, 64]),
)
sizes = st.integers(2**24, 2**34)
machines = st.builds(
    a_machine,
    memory=sizes,
    cores=st.integers(1, 16),
    gpu=st.one_of(st.just(0), sizes),
    unified=st.booleans(),
    bandwidth=st.floats(2e10, 2e12),
    moves=st.booleans(),
)
goals = st.builds(
    Goal,
    context=st.one_of(st.none(), st.integers(1, 100_000)),
    sequences=st.integers(1, 50),
    memory=st.one_of(st.none(), sizes.map(Bytes)),
    approximate=st.booleans(),
    kv_type=st.sampled_from([None, None, "f16", "q8_0", "q4_0"]),
    threads=st.one_of(st.none(), st.integers(1, 32)),
    deterministic=st.booleans(),
    prompts=st.one_of(st.none(), st.just(Bytes(0)), sizes.map(Bytes)),
    power=st.sampled_from(["eco", "balanced", "balanced", "full"]),
)
measured_rows = st.builds(
    lambda threads, repack, first: RowTimes(threads, repack, (1, 8, 32), (first, 3 * first, 9 * first)),
    st.integers(1, 8),
    st.booleans(),
    st.floats(1e-4, 1),
)
measured_looks = st.builds(
    lambda head, *seconds: (Look(head, 1, *seconds[:2]), Look(head, 1, *seconds[2:4], fused=False, start=seconds[4])),
    st.sampled_from([8, 64, 128]),
    *(st.floats(1e-10, 1e-6) for _ in range(5)),
)
costs = st.builds(
    Costs,
    process=st.just((Bytes(40 * MIB), Bytes(25 * MIB))),
    repacked=st.sampled_from([{}, {"Q4_0": 8, "Q4_K": 8}]),
    kernels=st.sampled_from([(), (*kernels("Q4_0", 4), *kernels("Q8_0", 4))]),
    looks=st.one_of(st.just(()), measured_looks),
    rows=st.one_of(st.just(()), st.tuples(measured_rows)),
    stand_ins=st.one_of(st.just(StandIns(problem="there are none")), measured_stand_ins),
    offloads=st.booleans(),
)
