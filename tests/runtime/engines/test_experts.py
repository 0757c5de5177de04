"""Experts kept within a budget: the same logits bit for bit as from a model that is mapped whole, whatever moves."""

import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from accel.errors import EngineError, ModelChanged
from accel.exporters.experts import export_experts as export
from accel.offload.quotas import least_budget
from accel.offload.store import _library
from accel.runtime.demo import draft, target
from accel.runtime.engines import llama_api as api
from accel.runtime.engines import llama_taps, open_engine
from accel.runtime.engines.base import Batch
from accel.runtime.engines.options import EngineOptions

pytestmark = pytest.mark.skipif(_library() is None, reason="store.c is not compiled here")

PLAIN = EngineOptions(str(target()), context=512, batch=64, ubatch=64, outputs=1, repack=False)
TOKENS = np.random.default_rng(3).integers(3, 1900, 160).tolist()
PROMPT = 40  # of them in one forward


def opened(memory: int) -> Any:
    return open_engine("llamacpp", replace(PLAIN, expert_memory=memory))


def experts_size() -> tuple[int, int]:
    """(bytes of all experts, the least that one token needs)."""
    engine = opened(1 << 30)
    layout, rooms = engine.experts.store.layout, engine.experts.store.rooms
    engine.close()
    return layout.size, least_budget(rooms, engine.spec.experts_used)


def logits(engine: Any, disturb: Callable[[], object] = lambda: None) -> list[bytes]:
    """Of a prompt, then token by token."""
    found = [engine.forward(Batch.chain(0, TOKENS[:PROMPT])).row(PROMPT - 1).tobytes()]
    engine.commit(0, range(PROMPT))
    for token in TOKENS[PROMPT:]:
        disturb()
        found.append(engine.forward(Batch.chain(0, [token])).row(0).tobytes())
        engine.commit(0, range(1))
    engine.close()
    return found


@pytest.fixture(scope="module")
def wanted() -> list[bytes]:
    return logits(open_engine("llamacpp", PLAIN))


@pytest.mark.parametrize("share", [1.0, 0.5, 0.25, 0.0])
def test_every_budget_gives_the_same_logits(wanted, share):
    whole, least = experts_size()
    engine = opened(max(least, int(share * whole)))
    residency, store = engine.experts.residency, engine.experts.store
    assert logits(engine) == wanted
    assert store.counts[1] > 0 and residency.counts.uses.sum() > 0  # pages did move
    assert residency.bytes_held <= residency.budget


def test_evictions_delays_and_wrong_predictions_change_nothing(wanted):
    whole, _ = experts_size()
    engine = opened(whole // 3)
    experts, random = engine.experts, np.random.default_rng(5)
    dropped = 0

    def disturb() -> None:
        nonlocal dropped
        for _ in range(3):
            dropped += experts.residency.drop(int(random.integers(3)), int(random.integers(16)))

    def wrong(layer: int, far: int, inputs: np.ndarray) -> np.ndarray:
        time.sleep(random.random() / 1000)
        return random.permutation(16)[:2]

    experts.predictor.expect = wrong
    assert logits(engine, disturb) == wanted
    assert dropped > 20 and experts.residency.counts.expected.sum() > 20


def test_the_budget_can_change_between_two_forwards(wanted):
    whole, least = experts_size()
    engine = opened(whole)
    budgets = iter([whole // 2, least, whole, whole // 4] * 100)
    residency = engine.experts.residency

    def disturb() -> None:
        budget = next(budgets)
        residency.resize(budget)
        assert residency.bytes_held <= budget

    assert logits(engine, disturb) == wanted


def test_loading_reads_what_is_dense_and_little_more():
    def read() -> int:
        return int(Path("/proc/self/io").read_text().split("read_bytes: ")[1].split()[0])

    import os

    file = os.open(PLAIN.path, os.O_RDONLY)
    os.posix_fadvise(file, 0, 0, os.POSIX_FADV_DONTNEED)
    os.close(file)
    before = read()
    engine = opened(1 << 30)
    layout = engine.experts.store.layout
    dense = sum(layout.sizes) - layout.size
    assert read() - before <= 1.05 * dense + 2**20  # the program's own files among it
    engine.close()


def test_a_file_that_changes_stops_the_answer_and_names_the_expert(tmp_path):
    path = tmp_path / "model.gguf"
    path.write_bytes(Path(PLAIN.path).read_bytes())
    engine: Any = open_engine("llamacpp", replace(PLAIN, path=str(path), expert_memory=1 << 30))
    engine.forward(Batch.chain(0, TOKENS[:1]))
    engine.commit(0, range(1))
    with path.open("r+b") as file:
        file.seek(-1, 2)
        file.write(b"\0")
    with pytest.raises(ModelChanged, match="expert"):
        engine.forward(Batch.chain(0, TOKENS[:60]))
    engine.close()


def test_a_part_of_a_prompt_whose_logits_nobody_wants_is_forwarded_like_any_other(wanted):
    engine = opened(1 << 30)
    engine.forward(Batch.chain(0, TOKENS[:20], wants="none"))
    engine.commit(0, range(20))
    row = engine.forward(Batch.chain(0, TOKENS[20:PROMPT])).row(PROMPT - 21)
    assert np.abs(row - np.frombuffer(wanted[0], np.float32)).max() < 1e-2
    engine.close()


def test_a_dense_model_has_no_experts_to_keep():
    with pytest.raises(EngineError, match="no experts"):
        open_engine("llamacpp", replace(PLAIN, path=str(draft()), expert_memory=1 << 30))


def test_a_budget_below_one_token_is_refused():
    with pytest.raises(EngineError, match="at least"):
        opened(4096)


@pytest.fixture(scope="module")
def stand_ins(tmp_path_factory) -> str:
    path = tmp_path_factory.mktemp("low") / "demo.low.gguf"
    export(target(), path)
    return str(path)


def approximate(stand_ins: str, share: float, low: float, skip: float, deterministic: bool = False) -> Any:
    whole, least = experts_size()
    options = replace(PLAIN, low_experts=stand_ins, low_above=low, skip_above=skip, deterministic=deterministic)
    memory = max(2 * least, int(share * whole))
    return open_engine("llamacpp", replace(options, expert_memory=memory))


def test_where_everything_is_wanted_in_full_the_logits_are_exact(wanted, stand_ins):
    engine = approximate(stand_ins, 0.3, low=1.01, skip=1.01)
    counts = engine.experts.residency.counts
    assert logits(engine) == wanted
    assert counts.low.sum() == counts.skipped.sum() == 0


def test_stand_ins_and_what_is_left_out_change_the_logits_a_little(wanted, stand_ins):
    engine = approximate(stand_ins, 0.3, low=0.5, skip=0.8)
    counts = engine.experts.residency.counts
    found = logits(engine)
    assert counts.low.sum() > 20 and counts.skipped.sum() > 20
    exact, near = (np.array([np.frombuffer(row, np.float32) for row in rows]) for rows in (wanted, found))
    assert not np.array_equal(exact, near) and np.isfinite(near).all()
    assert np.mean([np.corrcoef(*rows)[0, 1] for rows in zip(exact, near, strict=True)]) > 0.98


def test_deterministic_stand_ins_give_the_same_logits_whatever_is_in_memory(stand_ins):
    small, large = (approximate(stand_ins, share, 0.5, 0.8, deterministic=True) for share in (0.2, 1.0))
    counts = small.experts.residency.counts
    assert logits(small) == logits(large)
    assert counts.low.sum() > 20 and counts.skipped.sum() > 20


def test_every_layer_computes_with_one_expert_of_two_where_the_other_is_left_out(wanted, stand_ins):
    engine = approximate(stand_ins, 1.0, low=0.0, skip=0.0, deterministic=True)
    found, counts = logits(engine), engine.experts.residency.counts
    assert np.isfinite([np.frombuffer(row, np.float32) for row in found]).all()
    rows = len(TOKENS[PROMPT:])  # one by one; and of the prompt the last layer computes one row only
    assert counts.skipped.tolist() == [rows, rows, rows + 1] and counts.low.sum() == 0
    assert found[0] != wanted[0] and found[1:] != wanted[1:]


def test_what_is_not_left_out_counts_for_as_much_as_before(stand_ins, monkeypatch):
    """The demo model makes the sum of a token's weights one after its experts are chosen."""
    before: list[np.ndarray] = []
    after: list[np.ndarray] = []
    leave_out, shrink = llama_taps.ChosenExperts.leave_out, llama_taps.Taps._shrink

    def left_out(chosen: llama_taps.ChosenExperts, which: np.ndarray) -> None:
        assert chosen.weights is not None
        before.append(np.where(which, 0, chosen.weights / chosen.weights.sum()))
        leave_out(chosen, which)

    def shrunk(taps: llama_taps.Taps, layer: int, node: int) -> None:
        assert api.tensor_rows(node).sum() == pytest.approx(1, abs=1e-6)
        shrink(taps, layer, node)
        after.append(api.tensor_rows(node).ravel().copy())

    monkeypatch.setattr(llama_taps.ChosenExperts, "leave_out", left_out)
    monkeypatch.setattr(llama_taps.Taps, "_shrink", shrunk)
    logits(approximate(stand_ins, 1.0, low=0.7, skip=0.7, deterministic=True))
    assert len(after) > 20 and np.allclose(before, after, atol=1e-6)
