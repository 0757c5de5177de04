"""A disk that fails under an engine: the forward stops and says which expert it lacked, nothing wrong is computed, and
once the disk works again so does the engine."""

import errno
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from accel.errors import EngineError, ModelChanged, ModelUnreadable
from accel.offload.layout import Expert
from accel.offload.store import _library
from accel.runtime.demo import target
from accel.runtime.engines import open_engine
from accel.runtime.engines.base import Batch

from .managed import Disturbance, closing, logits, open_managed, plain_options

pytestmark = pytest.mark.skipif(_library() is None, reason="store.c is not compiled here")

TOKENS = np.random.default_rng(4).integers(3, 1900, 90).tolist()
PROMPT = 40
PLACE = r"expert \d+ of layer 1, at byte \d+ of .*: Input/output error"


@pytest.fixture(scope="module")
def wanted() -> list[bytes]:
    return closing(open_engine("llamacpp", plain_options(target())), TOKENS, PROMPT)


@pytest.fixture
def model(tmp_path: Path) -> Path:
    path = tmp_path / "model.gguf"
    path.write_bytes(Path(target()).read_bytes())
    return path


def break_layer(engine: Any, faults: Any, layer: int = 1) -> None:
    tensors = engine.experts.store.layout.layers[layer]
    start = min(tensor.offset for tensor in tensors)
    end = max(tensor.of(engine.experts.store.layout.experts - 1).end for tensor in tensors)
    faults.fail(start, end, errno.EIO)


@pytest.mark.parametrize("share", [0.25, 0.0])
def test_late_short_and_interrupted_reads_change_no_logits(wanted, faults, share):
    faults.delay, faults.cut, faults.interrupt = 500_000, 6, 5
    engine = open_managed(plain_options(target()), share)
    disturbance = Disturbance(engine)
    assert closing(engine, TOKENS, PROMPT, disturbance) == wanted
    assert faults.happened > 50


@pytest.mark.parametrize("done", [0, PROMPT, PROMPT + 7])
def test_a_forward_that_cannot_be_read_is_as_if_it_had_not_been(wanted, faults, done):
    """In the prompt, at the first token after it, and later."""
    engine = open_managed(plain_options(target()), 0.25)
    found = logits(engine, TOKENS[:done], PROMPT) if done else []
    left = TOKENS[done : done + 1] if done else TOKENS[:PROMPT]
    for layer in range(3):
        for expert in range(16):
            engine.experts.residency.drop(layer, expert)
    break_layer(engine, faults)
    for _ in range(2):
        with pytest.raises(ModelUnreadable, match=PLACE):
            engine.forward(Batch.chain(0, left))
        assert engine.length(0) == done and faults.happened
    faults.fail(0, 0, 0)
    found.append(engine.forward(Batch.chain(0, left)).row(len(left) - 1).tobytes())
    engine.commit(0, range(len(left)))
    for token in TOKENS[done + len(left) :]:
        found.append(engine.forward(Batch.chain(0, [token])).row(0).tobytes())
        engine.commit(0, range(1))
    engine.close()
    assert found == wanted


def test_no_later_layer_is_computed_than_the_one_that_could_not_be_read(faults, left_mapped):
    engine = open_managed(plain_options(target()), 0.5)
    break_layer(engine, faults)
    seen: list[int] = []
    use = engine.experts.residency.use
    engine.experts.residency.use = lambda layer, *wishes: (seen.append(layer), use(layer, *wishes))[1]
    with pytest.raises(ModelUnreadable):
        engine.forward(Batch.chain(0, TOKENS[:1]))
    assert seen == [0, 1]
    engine.close()
    assert not left_mapped()


def test_an_expert_that_was_only_expected_may_be_unreadable(wanted, faults):
    engine = open_managed(plain_options(target()), 1.0)
    experts, layout = engine.experts, engine.experts.store.layout
    part = layout.slices(Expert(1, 5))[0]
    used: set[int] = set()
    use = experts.residency.use

    def watch(layer: int, ids: np.ndarray, *more: Any) -> np.ndarray:
        used.update(ids.tolist() if layer == 1 else ())
        return use(layer, ids, *more)

    experts.residency.use = watch
    experts.predictor.expect = lambda layer, far, inputs: np.array([5, 5 - 1]) if layer + far == 1 else None
    experts._computing[:] = 1.0
    faults.fail(part.offset + part.size // 2, part.offset + part.size // 2 + 1, errno.EIO)
    for token in TOKENS:
        if 5 in used:
            break
        try:
            engine.forward(Batch.chain(0, [token]))
        except ModelUnreadable as error:
            assert "expert 5 of layer 1" in str(error) and 5 in used
            break
        engine.commit(0, range(1))
    assert faults.happened and engine.length(0) > 0  # it was read ahead, in vain, and nobody minded
    faults.fail(0, 0, 0)
    engine.truncate(0, 0)
    assert closing(engine, TOKENS, PROMPT) == wanted


def test_a_file_cut_off_under_an_engine_is_told_and_the_engine_closes(model, left_mapped):
    engine = open_managed(plain_options(model), 1.0)
    engine.forward(Batch.chain(0, TOKENS[:1]))
    engine.commit(0, range(1))
    os.truncate(model, engine.experts.store.layout.layers[1][0].offset)
    with pytest.raises((ModelChanged, ModelUnreadable), match=r"expert \d+ of layer \d"):
        engine.forward(Batch.chain(0, TOKENS[:50]))
    assert engine.length(0) == 1
    engine.close()
    assert not left_mapped()


def test_a_file_that_was_replaced_is_read_on_as_it_was(model, wanted):
    engine = open_managed(plain_options(model), 0.25)
    other = model.with_name("other")
    other.write_bytes(os.urandom(1000))
    other.replace(model)
    assert closing(engine, TOKENS, PROMPT, Disturbance(engine)) == wanted


def test_a_disk_that_hangs_is_told_and_what_comes_late_harms_nobody(wanted, faults):
    engine = open_managed(plain_options(target()), 0.25)
    store = engine.experts.store
    patient = store.wait
    store.wait = lambda numbers, seconds=60.0: patient(numbers, 0.002)
    faults.delay = 80_000_000
    with pytest.raises(EngineError, match="takes too long"):
        for _ in range(20):
            engine.forward(Batch.chain(0, TOKENS[:PROMPT]))
            engine.truncate(0, 0)
    faults.delay = 0
    store.wait = patient
    assert engine.length(0) == 0
    assert closing(engine, TOKENS, PROMPT) == wanted
