"""Experts within a budget while other weights are a GPU's: what of that holds on any machine, and on one with a GPU."""

import ctypes
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from accel.errors import EngineError
from accel.exporters.experts import export_experts
from accel.offload.gguf_header import read_header
from accel.offload.layout import Layout
from accel.offload.mapped import Mapped
from accel.offload.pinned import PAGE
from accel.offload.store import _library
from accel.runtime.demo import target
from accel.runtime.engines import llama_api as api
from accel.runtime.engines import llama_experts, llama_lazy, llama_taps, open_engine
from accel.runtime.engines.base import Batch, Tap
from accel.runtime.engines.options import EngineOptions

from .managed import closing, open_managed, plain_options

pytestmark = pytest.mark.skipif(_library() is None, reason="store.c is not compiled here")

APART = ((r"^blk\.\d+\.ffn_.*_exps\.", "CPU"),)
PLAIN = plain_options(target(), context=512, overrides=APART, gpu_layers=99)
TOKENS = np.random.default_rng(3).integers(3, 1900, 90).tolist()
PROMPT = 20  # fewer rows than llama.cpp would copy weights to a GPU for
EPSILON = 1e-2  # of a logit: a GPU computes in one step what it computes in two where somebody looks between them


@pytest.mark.parametrize(
    "moved", [lambda _: False, lambda name: "token_embd" not in name, lambda name: "blk.1." in name]
)
def test_what_is_read_elsewhere_is_not_pinned_and_all_else_that_is_dense_is(moved: Callable[[str], bool]):
    header = read_header(target())
    layout, base = Layout.of(header), 1 << 40
    mapped = [Mapped(base, ((0, -(-int(size) // PAGE) * PAGE),)) for size in header.sizes]

    def place(name: str) -> int:
        return 4711 if moved(name) and "_exps" not in name else base + header.tensors[name].offset

    elsewhere = llama_experts._elsewhere(header, mapped, place)
    assert {tensor.name for tensor in elsewhere} == {n for n in header.tensors if moved(n) and "_exps" not in n}
    pinned = {
        page
        for part in llama_experts._dense(layout, header, mapped, elsewhere)
        for page in range(part.offset // PAGE, (part.offset + part.length) // PAGE)
    }
    for tensor in header.tensors.values():
        inside = set(range(-(-tensor.offset // PAGE), (tensor.offset + tensor.size) // PAGE))  # its alone
        if "_exps" in tensor.name or tensor in elsewhere:
            assert not inside & pinned
        else:
            assert inside <= pinned


def test_the_engine_knows_where_each_tensor_lies():
    engine = open_managed(replace(PLAIN, gpu_layers=0), 0.5)
    header = read_header(target())
    (base,) = {piece.place - piece.offset for piece in engine.experts.store._pieces if piece.length}
    assert all(api.data_of(engine._model, name) == base + tensor.offset for name, tensor in header.tensors.items())
    assert api.data_of(engine._model, "blk.99.no_such.weight") == 0
    engine.close()


def test_a_build_that_does_not_tell_is_refused(monkeypatch):
    def missing(name: str, *_: Any) -> Any:
        raise AttributeError(name)

    monkeypatch.setattr(api, "_function", missing)
    with pytest.raises(EngineError, match="does not tell"):
        api.data_of(1, "token_embd.weight")


@pytest.mark.skipif(api.offloads(), reason="there is a GPU, and layers do go there")
def test_layers_meant_for_a_gpu_that_is_not_there_change_nothing(monkeypatch):
    monkeypatch.setattr(llama_lazy, "_AT_ONCE", 1 << 16)  # so that something is let go in the middle of the load
    let_go = []
    original = llama_lazy.Copying._let_go
    monkeypatch.setattr(llama_lazy.Copying, "_let_go", lambda self: (let_go.append(1), original(self)))
    shares: list[float] = []
    here, without = open_managed(PLAIN, 0.3), open_managed(replace(PLAIN, gpu_layers=0), 0.3)
    assert here.experts.pinned == without.experts.pinned > 0
    assert closing(here, TOKENS, PROMPT) == closing(without, TOKENS, PROMPT)
    open_engine("llamacpp", replace(PLAIN, expert_memory=1 << 30), lambda done: shares.append(done) is None).close()
    assert len(let_go) > 10 and shares == sorted(shares) and shares[-1] == 1


def without_host_memory(monkeypatch) -> list[int]:
    """All memory is taken for a device's: the sizes of what is written back."""
    written: list[int] = []
    put = api._tensor_set
    monkeypatch.setattr(api, "_buffer_is_host", lambda _: False)
    monkeypatch.setattr(api, "_tensor_set", lambda *all: (written.append(all[3]), put(*all)))
    return written


def test_what_is_left_out_of_a_devices_memory_is_left_out_as_of_the_processors_own(monkeypatch, tmp_path):
    low = tmp_path / "demo.low.gguf"
    export_experts(target(), low)
    options = replace(PLAIN, low_experts=str(low), low_above=0.5, skip_above=0.8, deterministic=True)
    wanted = closing(open_managed(replace(options, gpu_layers=0), 0.5), TOKENS, PROMPT)
    written = without_host_memory(monkeypatch)
    engine = open_managed(replace(options, gpu_layers=0), 0.5)
    counts = engine.experts.residency.counts
    assert closing(engine, TOKENS, PROMPT) == wanted
    assert counts.skipped.sum() > 5 and len(written) >= counts.skipped.sum()
    assert set(written) == {8}  # two ids, or two weights


def test_taps_of_a_devices_memory_give_copies_of_the_same_values(monkeypatch):
    def seen() -> dict[tuple[int, str], list[bytes]]:
        engine: Any = open_engine("llamacpp", replace(PLAIN, gpu_layers=0, taps=True))
        found: dict[tuple[int, str], list[bytes]] = {}

        def keep(layer: int, what: str) -> Tap:
            return Tap(layer, what, lambda value: found.setdefault((layer, what), []).append(value.tobytes()))

        taps = [keep(layer, what) for layer in range(3) for what in ("gate_input", "experts", "layer_output")]
        engine.forward(Batch.chain(0, TOKENS[:PROMPT]), taps)
        engine.close()
        return found

    wanted = seen()
    without_host_memory(monkeypatch)
    assert seen() == wanted and len(wanted) == 9


@pytest.mark.parametrize("compiled", [True, False])
def test_of_a_forward_that_failed_no_node_is_computed_any_more(monkeypatch, compiled):
    """A graph on several devices goes on with its next part: a node there may look at experts that nobody chose."""
    if compiled and llama_taps.compiled() is None:
        pytest.skip("llama_taps.c is not compiled here")
    if not compiled:
        monkeypatch.setattr(llama_taps, "compiled", lambda: None)
    taps = llama_taps.Taps(3, True, lambda *_: None)
    visit: Any = taps.callback if not compiled else _callable(taps.callback)
    node = api.Tensor(op=29, name=b"ffn_moe_up-1")
    place = ctypes.addressof(node)
    assert not visit(place, True, taps.data) and node.op == 29  # nobody wants it
    taps._filter.failed = 1
    assert visit(place, True, taps.data) and node.op == 0
    assert not visit(place, False, taps.data) and node.op == 29
    taps.want(())
    assert not visit(place, True, taps.data) and node.op == 29


def _callable(function: Any) -> Any:
    return api.EvalCallback(ctypes.cast(function, ctypes.c_void_p).value or 0)


def test_after_faults_in_the_middle_of_forwards_the_logits_are_as_ever():
    engine: Any = open_managed(replace(PLAIN, ubatch=8), 1.0)  # a fault in the first of several graphs
    use, random, faults, sound = engine.experts.residency.use, np.random.default_rng(1), 0, False

    def failing(*asked: Any) -> Any:
        if not sound and random.random() < 0.3:
            raise EngineError("a fault")
        return use(*asked)

    engine.experts.residency.use = failing
    found = []
    for start, end in [(0, PROMPT), *((at, at + 1) for at in range(PROMPT, len(TOKENS)))]:
        for sound in (False, True):  # noqa: B007 - read by failing
            try:
                row = engine.forward(Batch.chain(0, TOKENS[start:end])).row(end - start - 1).tobytes()
                break
            except EngineError:
                faults += 1
        engine.commit(0, range(end - start))
        found.append(row)
    engine.close()
    assert found == closing(open_engine("llamacpp", replace(PLAIN, ubatch=8)), TOKENS, PROMPT)
    assert faults > 10


# --- with a GPU ---


needs_gpu = pytest.mark.skipif(not api.offloads(), reason="llama.cpp finds no GPU here")


def as_floats(rows: list[bytes]) -> np.ndarray:
    return np.array([np.frombuffer(row, np.float32) for row in rows])


@pytest.mark.gpu
@needs_gpu
@pytest.mark.parametrize("layers", [99, 2])
@pytest.mark.parametrize("share", [1.0, 0.25, 0.0])
def test_with_dense_layers_on_the_gpu_the_logits_are_those_of_a_model_that_is_mapped_whole(layers, share, monkeypatch):
    options = replace(PLAIN, gpu_layers=layers)
    new_context = api._context_new

    def without_offload(model: int, params: Any) -> Any:
        params.op_offload = False  # else a GPU takes over parts of what main memory's layers compute
        return new_context(model, params)

    monkeypatch.setattr(api, "_context_new", without_offload)
    wanted = as_floats(closing(open_engine("llamacpp", options), TOKENS, PROMPT))
    engine = open_managed(options, share)
    residency, store = engine.experts.residency, engine.experts.store
    found = as_floats(closing(engine, TOKENS, PROMPT))
    assert np.abs(found - wanted).max() <= EPSILON
    assert store.counts[1] > 0 and residency.bytes_held <= residency.budget


@pytest.mark.gpu
@needs_gpu
def test_only_what_stayed_in_main_memory_is_pinned_there():
    header = read_header(target())
    looked_up = header.tensors["token_embd.weight"].size
    whole = sum(tensor.size for tensor in header.tensors.values() if "_exps" not in tensor.name)
    engine, without = open_managed(PLAIN, 0.5), open_managed(replace(PLAIN, gpu_layers=0), 0.5)
    assert looked_up - 2 * PAGE <= engine.experts.pinned <= looked_up
    assert whole - 64 * PAGE <= without.experts.pinned <= whole
    engine.close()
    without.close()


def mapped_of(path: Path) -> int:
    """Bytes of this process's mappings of a file that are in memory."""
    found, mine = 0, False
    for line in Path("/proc/self/smaps").read_text().splitlines():
        if re.match(r"[0-9a-f]+-[0-9a-f]+ ", line):
            mine = line.endswith(str(path))
        elif mine and line.startswith("Rss:"):
            found += int(line.split()[1]) * 1024
    return found


@pytest.mark.gpu
@needs_gpu
def test_what_was_copied_to_the_gpu_does_not_stay_mapped_and_no_expert_is_looked_at_that_is_not_in_memory(tmp_path):
    path = tmp_path / "model.gguf"
    path.write_bytes(target().read_bytes())
    engine = open_managed(replace(PLAIN, path=str(path)), 1.0)
    experts, shared = engine.experts, 4 * len(read_header(path).tensors) * PAGE
    assert mapped_of(path) <= shared  # pages that two tensors share
    rows = PLAIN.ubatch
    engine.forward(Batch.chain(0, (TOKENS * 2)[:rows]))  # as many as llama.cpp copies weights to a GPU for
    engine.commit(0, range(rows))
    engine.forward(Batch.chain(0, TOKENS[:1]))
    assert experts.residency.counts.beside.sum() == 0
    assert 0 < experts.store.counts[0] <= 1.1 * experts.store.layout.size + shared  # each was read once
    assert mapped_of(path) <= shared
    engine.close()


def computed_at(options: EngineOptions) -> set[bool]:
    """Whether the results of experts lie in the processor's memory, in a forward of many rows."""
    found: set[bool] = set()

    @api.EvalCallback
    def look(node: int, ask: bool, _: int) -> bool:
        tensor = api.Tensor.from_address(node)
        if tensor.name.startswith(b"ffn_moe_down-"):
            if not ask:
                found.add(bool(api._buffer_is_host(tensor.buffer)))
            return True
        return not ask

    model = api.load_model(options)
    context = api.new_context(model, options, look)
    rows = options.ubatch
    places, counts, wants = np.arange(rows, dtype=np.int32), np.ones(rows, np.int32), np.zeros(rows, np.int8)
    ids = np.zeros((rows, 1), np.int32)
    id_rows = (ids.ctypes.data + 4 * np.arange(rows)).astype(np.uint64)
    tokens = places + 3
    batch = api.new_batch(tokens, places, counts, id_rows, wants)
    batch.n_tokens, wants[-1] = rows, 1
    assert api.decode(context, batch) == api.OK
    api.context_free(context)
    api.model_free(model)
    return found


def test_experts_that_are_managed_are_computed_where_they_are_read():
    assert computed_at(replace(PLAIN, expert_memory=1 << 30)) == {True}


@pytest.mark.gpu
@needs_gpu
def test_experts_that_are_not_managed_are_copied_to_the_gpu_for_many_rows():
    """What the test above would see if it were so."""
    if not any(name.startswith("CUDA") for name in api.buffer_types()):
        pytest.skip("this GPU never asks for weights")
    assert False in computed_at(PLAIN)  # but the last layer's, where one row's logits are wanted
