"""What an engine's taps see of its routing becomes a trace, and the engine is left as it was."""

import os
import signal
from dataclasses import replace
from typing import Any

import numpy as np
import psutil
import pytest

from accel.errors import AccelError, Cancelled, EngineError, WorkerDied
from accel.offload.replay import hit_curves
from accel.offload.trace import load_trace
from accel.runtime.demo import draft, target
from accel.runtime.engines import open_engine
from accel.runtime.engines.fake import EXPERTS, EXPERTS_USED, LAYERS, FakeEngine, FakeOptions
from accel.runtime.engines.options import EngineOptions
from accel.runtime.model import Weights
from accel.runtime.routing import FEWEST, record_reading, record_writing
from accel.runtime.supervisor import Supervisor
from accel.units import Bytes


def a_fake(**options) -> Any:
    """One whose layers, but the first, have experts."""
    engine = FakeEngine(FakeOptions(**options))
    parts = tuple(
        Weights(layer, "experts", format, Bytes(size * EXPERTS), 64)
        for layer in range(1, LAYERS + 1)  # the last stands beyond the layers, as heads that foresee tokens do
        for format, size in (("Q4_K", 100), ("Q6_K", 40))
    )
    engine.spec = replace(engine.spec, weights=parts)
    return engine


def test_every_token_that_is_written_is_recorded_once():
    engine = a_fake(answer_length=5)  # several texts
    done = []
    trace = record_writing(engine, 70, progress=lambda share: done.append(share) or True)
    assert trace.chosen.shape == (70, LAYERS - 1, EXPERTS_USED) and trace.experts == EXPERTS
    assert trace.sizes == (Bytes(140),) * (LAYERS - 1) and trace.model == "fake"
    assert engine.length(0) == 0
    assert done == sorted(done) and done[-1] == 1 and len(done) == 70
    assert np.array_equal(record_writing(a_fake(answer_length=5), 70).chosen, trace.chosen)


def test_tokens_that_are_given_are_recorded_a_contexts_worth_at_a_time():
    tokens = [65 + token % 20 for token in range(100)]
    engine = a_fake(context=64, outputs=7)
    trace = record_reading(engine, tokens)
    assert trace.tokens == 100 and engine.length(0) == 0
    again = record_reading(a_fake(context=64, outputs=64), tokens)
    assert np.array_equal(again.chosen, trace.chosen)
    assert np.array_equal(record_reading(a_fake(context=64), tokens[64:]).chosen, trace.chosen[64:])


def test_where_there_is_no_time_few_tokens_do():
    done = []
    trace = record_writing(a_fake(), 500, seconds=0, progress=lambda share: done.append(share) or True)
    assert trace.tokens == FEWEST and done[-1] == 1


@pytest.mark.parametrize("record", [record_writing, lambda engine, _, **told: record_reading(engine, [65] * 9, **told)])
def test_it_can_be_stopped_and_leaves_the_engine_empty(record):
    engine = a_fake(outputs=4)
    with pytest.raises(Cancelled):
        record(engine, 30, progress=lambda share: False)
    assert engine.length(0) == 0


def test_an_engine_that_fails_is_left_empty():
    engine = a_fake(fail_at=12)
    with pytest.raises(EngineError, match="as it was told"):
        record_writing(engine, 30)
    assert engine.length(0) == 0


def test_a_model_without_experts_is_refused():
    engine: Any = FakeEngine()
    with pytest.raises(EngineError, match="no experts"):
        record_writing(engine, 8)


def test_an_engine_without_taps_is_refused():
    engine = a_fake()
    engine.can = replace(engine.can, taps=frozenset())
    with pytest.raises(EngineError, match="taps"):
        record_reading(engine, [65])


@pytest.fixture(scope="module")
def demo():
    if not target().is_file():
        pytest.skip("the demo models are not here")
    engine = open_engine("llamacpp", EngineOptions(str(target()), 256, batch=64, ubatch=64, threads=1, taps=True))
    yield engine
    engine.close()


def test_a_real_models_routing_is_recorded_and_is_the_same_read_as_written(demo):
    trace = record_writing(demo, 40)
    assert trace.chosen.shape == (40, demo.spec.layers, demo.spec.experts_used)
    assert trace.model == demo.spec.fingerprint and sum(trace.sizes) * trace.experts == demo.spec.bytes_of("experts")
    tokens = demo.vocabulary.encode("Tell me a story about a fox and a crow.") * 40
    read = record_reading(demo, tokens)
    assert read.tokens == len(tokens) > demo.can.context
    assert len(np.unique(read.chosen[:, 1])) > demo.spec.experts_used


def test_a_dense_models_is_refused():
    if not draft().is_file():
        pytest.skip("the demo models are not here")
    engine = open_engine("llamacpp", EngineOptions(str(draft()), 256, threads=1, taps=True))
    with pytest.raises(EngineError, match="no experts"):
        record_writing(engine, 8)
    engine.close()


@pytest.fixture
def worker():
    if not target().is_file():
        pytest.skip("the demo models are not here")
    with Supervisor("llamacpp", EngineOptions(str(target()), 256, batch=64, ubatch=64, threads=1, taps=True)) as worker:
        yield worker


def test_a_worker_records_tells_how_far_it_is_and_keeps_the_file(worker, tmp_path):
    done = []
    found = worker.route(60, 60.0, str(tmp_path / "trace"), done.append)
    trace = load_trace(tmp_path / "trace")
    assert found.tokens == trace.tokens == 60 and found.curves == hit_curves(trace.chosen, trace.experts)
    assert done == sorted(done) and done[-1] == 1
    assert worker.encode(("and it works on",))


def test_a_file_that_cannot_be_written_is_said_and_the_worker_goes_on(worker, tmp_path):
    with pytest.raises(AccelError, match="cannot write"):
        worker.route(40, 60.0, str(tmp_path / "nowhere" / "trace"))
    assert worker.route(40, 60.0).tokens == 40


def test_a_worker_whose_front_leaves_in_the_middle_ends(worker):
    pid = worker.wait().pid

    def leave(done: float) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        worker.route(2**20, 3600.0, progress=leave)
    worker.stop()
    assert not psutil.pid_exists(pid)


def test_a_worker_that_dies_in_the_middle_is_told(worker):
    pid = worker.wait().pid
    with pytest.raises(WorkerDied):
        worker.route(2**20, 3600.0, progress=lambda done: os.kill(pid, signal.SIGKILL))
    assert worker.route(40, 60.0).tokens == 40  # another one


def test_a_worker_without_what_there_is_to_record_says_so():
    with Supervisor("fake", FakeOptions()) as worker, pytest.raises(EngineError, match="no experts"):
        worker.route(40, 1.0)


def test_a_model_that_would_repeat_itself_is_kept_from_going_round_in_circles():
    engine = a_fake(script=(("Once upon a time", "a" * 200),))
    forward, tokens = engine.forward, []
    engine.forward = lambda batch, taps=(): tokens.append(batch.tokens[-1]) or forward(batch, taps)
    record_writing(engine, 60)
    assert all(token not in tokens[max(0, at - 4) : at] for at, token in enumerate(tokens) if at > 1)
