"""What is llama.cpp's alone: its cache, its kernels' arithmetic, its files, its log."""

import io
import os
import subprocess
import sys
import threading
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from accel.errors import (
    Cancelled,
    ContextFull,
    EngineError,
    ModelDamaged,
    ModelError,
    ModelMissing,
    ModelUnsupported,
    StateError,
)
from accel.runtime.engines import llama_api as api
from accel.runtime.engines import open_engine
from accel.runtime.engines.base import Batch, Engine, Stop, Stopped, Tap
from accel.runtime.engines.dry_run import dry_run, read_log
from accel.runtime.engines.options import EngineOptions
from accel.runtime.engines.state import read_state, write_state

TEXT = [5, 9, 33, 12, 7, 101, 44, 8, 19, 63, 27, 15]


def feed(engine: Engine, seq: int, tokens: list[int]) -> np.ndarray:
    logits = engine.forward(Batch.chain(seq, tokens)).row(len(tokens) - 1).copy()
    engine.commit(seq, range(len(tokens)))
    return logits


def fork_of_two(tokens: list[int]) -> Batch:
    """A root and its two children."""
    return Batch(*(np.array(part, np.int32) for part in (tokens, [0, 0, 0], [-1, 0, 0], [1, 1, 1])))


def test_it_tells_a_story(open_stories):
    engine = open_stories()
    words = engine.vocabulary
    logits = feed(engine, 0, words.encode("Once upon a time", start=True))
    story = []
    for _ in range(24):
        story.append(int(logits.argmax()))
        logits = feed(engine, 0, story[-1:])
    engine.close()
    assert b"".join(map(words.piece, story)).decode().startswith(", there was a little girl named Lily.")


@pytest.mark.parametrize("model", ["stories", "moe"])
def test_a_branch_has_the_very_logits_of_a_chain_of_as_many_rows(request, model):
    path = str(request.getfixturevalue(model))
    engine = open_engine("llamacpp", EngineOptions(path, context=256, branches=2))
    feed(engine, 0, TEXT)
    rows = engine.forward(fork_of_two([3, 4, 5]))
    branches = [rows.row(1).copy(), rows.row(2).copy()]
    for child, logits in zip((4, 5), branches, strict=True):
        engine.commit(0, [])
        assert np.array_equal(engine.forward(Batch.chain(0, [3, child, 7], wants="all")).row(1), logits)
    engine.close()


def test_plain_decoding_asks_nothing_of_the_cache(open_stories, monkeypatch):
    engine = open_stories()
    feed(engine, 0, TEXT)

    def called(*_: int) -> bool:
        raise AssertionError("a chain needs no cache call")

    for name in ("seq_rm", "seq_cp"):
        monkeypatch.setattr(api, name, called)
    for token in TEXT:
        feed(engine, 0, [token])
    feed(engine, 1, TEXT)
    monkeypatch.undo()
    engine.close()


@pytest.mark.parametrize("kv_type", ["f16", "q8_0", "q4_0"])
def test_a_quantised_cache_is_near_and_saves_itself(moe, kv_type):
    exact = open_engine("llamacpp", EngineOptions(str(moe), context=256, kv_type="f32"))
    engine = open_engine("llamacpp", EngineOptions(str(moe), context=256, kv_type=kv_type))
    wanted, got = feed(exact, 0, TEXT), feed(engine, 0, TEXT)
    assert np.corrcoef(wanted, got)[0, 1] > 0.98
    file = io.BytesIO()
    engine.save(0, file)
    after = feed(engine, 0, [9])
    engine.load(0, io.BytesIO(file.getvalue()))
    assert np.array_equal(feed(engine, 0, [9]), after)
    with pytest.raises(StateError):
        exact.load(0, io.BytesIO(file.getvalue()))
    exact.close()
    engine.close()


def test_a_quantised_cache_needs_flash_attention(moe):
    with pytest.raises(EngineError, match="context"):
        open_engine("llamacpp", EngineOptions(str(moe), kv_type="q8_0", flash_attention=False))


def test_stop_ends_a_forward_that_runs(open_stories):
    engine = open_stories(context=1024, batch=1024, ubatch=1024)
    wanted = feed(engine, 0, TEXT)
    stop = Stop()

    def forward_until_stopped() -> None:
        for _ in range(10_000):  # the other thread sets it in the midst of one of these
            engine.forward(Batch.chain(1, TEXT * 40), stop=stop)
            engine.commit(1, [])

    timer = threading.Timer(0.1, stop.set)
    timer.start()
    with pytest.raises(Stopped):
        forward_until_stopped()
    timer.join()
    assert np.abs(feed(engine, 1, TEXT) - wanted).max() < 1e-2
    engine.close()


def test_a_long_forward_is_split_and_taps_see_every_part(moe):
    engine = open_engine("llamacpp", EngineOptions(str(moe), context=256, batch=64, ubatch=4, taps=True))
    parts: list[int] = []
    engine.forward(Batch.chain(0, TEXT), [Tap(0, "experts", lambda value: parts.append(len(value)))])
    assert parts == [4, 4, 4]
    engine.close()


def test_the_experts_that_a_tap_names_are_those_of_the_gate(moe):
    import gguf

    weights = {t.name: t.data for t in gguf.GGUFReader(moe).tensors}
    engine = open_engine("llamacpp", EngineOptions(str(moe), context=256, taps=True))
    for layer in range(2):
        gate_input, experts = [], []
        taps = [
            Tap(layer, "gate_input", lambda value, kept=gate_input: kept.append(value.copy())),
            Tap(layer, "experts", lambda value, kept=experts: kept.append(value.copy())),
        ]
        engine.forward(Batch.chain(0, TEXT), taps)
        engine.commit(0, [])
        gate = gate_input[0] @ weights[f"blk.{layer}.ffn_gate_inp.weight"].T
        assert np.array_equal(np.argsort(-gate, axis=1)[:, :2], experts[0])
    engine.close()


def test_taps_must_be_asked_for_when_it_is_opened(open_stories):
    engine = open_stories()
    assert not engine.can.taps
    with pytest.raises(EngineError):
        engine.forward(Batch.chain(0, TEXT), [Tap(0, "layer_output", print)])
    engine.close()


def test_a_model_with_a_running_state_takes_nothing_back(mamba):
    engine = open_engine("llamacpp", EngineOptions(str(mamba), context=256, sequences=3, branches=4))
    assert not engine.can.rollback and engine.can.branches == 0
    wanted = feed(engine, 0, TEXT)
    with pytest.raises(EngineError):
        engine.truncate(0, 4)
    engine.fork(0, 1, len(TEXT))
    with pytest.raises(EngineError):
        engine.fork(0, 2, 4)
    assert np.abs(feed(engine, 1, [9]) - feed(engine, 0, [9])).max() < 1e-5
    engine.forward(Batch.chain(0, [3, 4]))
    with pytest.raises(EngineError):
        engine.commit(0, [0])
    engine.commit(0, [0, 1])
    with pytest.raises(EngineError):
        engine.forward(fork_of_two([3, 4, 5]))
    stop = Stop()
    stop.set()
    with pytest.raises(Stopped):
        engine.forward(Batch.chain(1, TEXT), stop=stop)
    engine.truncate(0, 0)
    assert np.abs(feed(engine, 0, TEXT) - wanted).max() < 1e-5
    file = io.BytesIO()
    engine.save(0, file)
    engine.load(2, io.BytesIO(file.getvalue()))
    assert np.abs(feed(engine, 2, [9]) - feed(engine, 0, [9])).max() < 1e-5
    engine.close()


def test_a_state_of_another_model_is_refused(open_stories, moe):
    engine, other = open_stories(), open_engine("llamacpp", EngineOptions(str(moe), context=256))
    feed(engine, 0, TEXT)
    file = io.BytesIO()
    engine.save(0, file)
    with pytest.raises(StateError):
        other.load(0, io.BytesIO(file.getvalue()))
    assert other.length(0) == 0
    engine.close()
    other.close()


@pytest.mark.parametrize("positions", [0, 5, 12, 13, 500])
def test_a_forged_state_is_refused_or_harmless(open_stories, positions):
    """The checksum is right and the payload is not."""
    engine = open_stories()
    feed(engine, 0, TEXT)
    file = io.BytesIO()
    engine.save(0, file)
    _, payload = read_state(io.BytesIO(file.getvalue()), engine._maker, 512, 2**20)
    random = np.random.default_rng(positions)
    for damaged in range(60):
        forged = bytearray(payload[: random.integers(0, len(payload))] if damaged % 10 == 9 else payload)
        if forged and damaged:
            forged[random.integers(0, min(len(forged), 400))] = random.integers(0, 256)
        sink = io.BytesIO()
        write_state(sink, engine._maker, positions, memoryview(forged))
        try:
            engine.load(1, io.BytesIO(sink.getvalue()))
        except (StateError, ContextFull):
            assert engine.length(1) == 0
        else:
            assert engine.length(1) == positions == 12
        assert np.isfinite(feed(engine, 2, [9])).all()
    engine.close()


def test_loading_tells_its_progress_and_can_be_ended(stories):
    steps: list[float] = []
    engine = open_engine("llamacpp", EngineOptions(str(stories)), lambda done: steps.append(done) or True)
    engine.close()
    assert steps == sorted(steps) and steps[-1] == 1.0
    with pytest.raises(Cancelled):
        open_engine("llamacpp", EngineOptions(str(stories)), lambda done: False)

    def broken(_: float) -> bool:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        open_engine("llamacpp", EngineOptions(str(stories)), broken)


def test_a_model_that_cannot_be_run_says_why(tmp_path, write_moe, stories):
    strange = write_moe(tmp_path / "strange.gguf", architecture="quantumllama")
    with pytest.raises(ModelUnsupported, match="quantumllama"):
        open_engine("llamacpp", EngineOptions(str(strange)))
    with pytest.raises(ModelMissing):
        open_engine("llamacpp", EngineOptions(str(tmp_path / "none.gguf")))
    cut = tmp_path / "cut.gguf"
    cut.write_bytes(stories.read_bytes()[:-1000])
    with pytest.raises(ModelError):
        open_engine("llamacpp", EngineOptions(str(cut)))
    other = tmp_path / "other.gguf"
    other.write_bytes(write_moe(tmp_path / "moe.gguf").read_bytes().replace(b"blk.1.attn_k_norm", b"blk.1.attn_x_norm"))
    with pytest.raises(ModelDamaged, match="attn_k_norm"):
        open_engine("llamacpp", EngineOptions(str(other)))


def test_a_model_that_writes_no_text_is_refused(bert):
    with pytest.raises(ModelUnsupported):
        open_engine("llamacpp", EngineOptions(str(bert)))


def test_options_that_make_no_sense_are_errors(stories):
    plain = EngineOptions(str(stories))
    for wrong in (
        replace(plain, kv_type="q3"),
        replace(plain, sequences=300),
        replace(plain, overrides=(("exps", "Moon"),)),
    ):
        with pytest.raises(EngineError):
            open_engine("llamacpp", wrong)


def test_weights_are_repacked_as_the_plan_says(tmp_path, write_moe):
    path = str(write_moe(tmp_path / "q4.gguf", quantised=True))

    def repacked(wanted: bool) -> bool:
        api.model_free(api.load_model(EngineOptions(path, repack=wanted)))
        return any("CPU_REPACK model buffer size" in line for line in api.LOG.lines)

    if not repacked(True):
        pytest.skip("this processor's kernels read Q4_0 as it is")
    assert not repacked(False)


def test_a_dry_run_says_what_the_real_one_takes(stories):
    for context, ubatch in ((512, 64), (2048, 256)):
        options = EngineOptions(str(stories), context=context, ubatch=ubatch, sequences=2, branches=2)
        dry = dry_run(options)
        open_engine("llamacpp", options).close()
        real = read_log(api.LOG.lines)
        assert dry == real
        assert dry.kv == pytest.approx(2 * 5 * 4 * 8 * 2 * context, abs=2**13)


def test_a_decode_step_writes_no_log(open_stories, monkeypatch):
    engine = open_stories()
    feed(engine, 0, TEXT)
    before = api.LOG.lines
    feed(engine, 0, [9])
    assert api.LOG.lines == before
    engine.close()


def test_the_libraries_are_told_how_long_to_spin_and_are_loaded_once(stories):
    code = (
        "import accel.runtime.engines.llamacpp, os;"
        "libraries = {line.split()[-1] for line in open('/proc/self/maps') if 'ggml' in line or 'libllama' in line};"
        "print(os.environ['GOMP_SPINCOUNT'], *sorted(os.path.basename(path) for path in libraries))"
    )
    if not Path("/proc/self/maps").exists():
        pytest.skip("this system does not say what it has mapped")
    environment = {key: value for key, value in os.environ.items() if key != "GOMP_SPINCOUNT"}
    said = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    spin, *names = said.stdout.split()
    assert int(spin) <= 100_000
    assert len({name.split(".")[0] for name in names}) == len(names)
