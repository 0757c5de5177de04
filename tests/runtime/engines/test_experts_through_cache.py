"""Experts that come through the system's cache, where no page can be moved: the same logits bit for bit as from a model
that is mapped whole, at every budget, whatever the system lets itself be told, and errors that name the expert."""

import errno
import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from accel.errors import EngineError, ModelChanged, ModelUnreadable
from accel.exporters.experts import export_experts
from accel.offload import advice, mapped, pinned, store, warmed
from accel.offload.warmed import Warmed
from accel.runtime.demo import target
from accel.runtime.engines import open_engine
from accel.runtime.engines.base import Batch

from .managed import MUCH, Disturbance, closing, logits, memory_mappings, open_managed, plain_options

TOKENS = np.random.default_rng(8).integers(3, 1900, 110).tolist()
PROMPT = 40
OPTIONS = plain_options(target(), through_cache=True)


@pytest.fixture(scope="module")
def wanted() -> list[bytes]:
    return closing(open_engine("llamacpp", plain_options(target())), TOKENS, PROMPT)


@pytest.fixture
def no_pages_move(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """As on a platform where they cannot be."""
    monkeypatch.setattr(store, "library", lambda name: None)
    monkeypatch.delattr(os, "memfd_create", raising=False)
    store._library.cache_clear()
    yield
    store._library.cache_clear()


@pytest.mark.parametrize("share", [1.0, 0.4, 0.0])
def test_every_budget_gives_the_same_logits(wanted, no_pages_move, share):
    before = memory_mappings("memfd")
    engine = open_managed(OPTIONS, share)
    residency = engine.experts.residency
    assert isinstance(engine.experts.store, Warmed)
    assert logits(engine, TOKENS, PROMPT) == wanted
    assert engine.experts.store.counts[1] > 0 and residency.counts.uses.sum() > 0 and residency.counts.hits.sum() > 0
    assert residency.bytes_held <= residency.budget and engine.offloaded().read > 0
    assert memory_mappings("memfd") == before  # nothing moved
    engine.close()


@pytest.mark.parametrize("share", [0.4, 0.0])
def test_evictions_and_wrong_predictions_change_nothing(wanted, no_pages_move, share):
    engine = open_managed(OPTIONS, share)
    disturbance = Disturbance(engine)
    assert closing(engine, TOKENS, PROMPT, disturbance) == wanted
    assert disturbance.dropped > 20 and disturbance.wrong > 20


@pytest.mark.parametrize("told", [True, False])
def test_a_platform_that_tells_little_and_takes_no_advice_gives_the_same_logits(
    wanted, no_pages_move, monkeypatch, told
):
    """`told`: where its tensors lie."""
    monkeypatch.setattr(mapped, "read_text", lambda *_: "")
    monkeypatch.delattr(os, "posix_fadvise", raising=False)
    monkeypatch.delattr(os, "O_DIRECT", raising=False)
    if not told:
        monkeypatch.setattr("accel.runtime.engines.llama_api.data_of", untold)
        monkeypatch.setattr(advice, "_libc", lambda: None)
    engine = open_managed(OPTIONS, 0.4)
    assert any(engine.experts.store._bases) == told
    disturbance = Disturbance(engine)
    assert closing(engine, TOKENS, PROMPT, disturbance) == wanted
    assert disturbance.dropped > 20


def untold(model: int, name: str) -> int:
    raise EngineError("this build of llama.cpp does not tell what is on the GPU", "install accel anew")


def test_what_is_dense_is_read_ahead_and_stays_the_systems(no_pages_move, monkeypatch):
    monkeypatch.setattr(pinned, "pin", lambda *_: pytest.fail("nothing can be pinned"))
    read: list[int] = []
    original = warmed._warm
    monkeypatch.setattr(warmed, "_warm", lambda part: (read.append(part.length), original(part)))
    engine = open_managed(OPTIONS, 0.4)
    layout = engine.experts.store.layout
    dense = sum(layout.sizes) - layout.size
    assert 0.9 * dense < sum(read) / 2 <= dense  # it was opened twice
    assert engine.offloaded().pinned == 0
    engine.close()


def test_a_disk_that_fails_stops_the_forward_and_once_it_works_so_does_the_engine(wanted, no_pages_move, monkeypatch):
    engine = open_managed(OPTIONS, 0.4)
    layout = engine.experts.store.layout
    start, end = (find(part.offset for part in layout.layers[1]) for find in (min, max))
    read, broken = warmed._read, True

    def fails(file: Any, offset: int, into: memoryview) -> int:
        if broken and start <= offset <= end:
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        return read(file, offset, into)

    monkeypatch.setattr(warmed, "_read", fails)
    with pytest.raises(ModelUnreadable, match=r"expert \d+ of layer 1, at byte \d+ of .*: Input/output error"):
        engine.forward(Batch.chain(0, TOKENS[:PROMPT]))
    assert engine.length(0) == 0
    broken = False
    assert closing(engine, TOKENS, PROMPT) == wanted


def test_a_file_that_changes_stops_the_answer_and_names_the_expert(tmp_path, no_pages_move):
    path = tmp_path / "model.gguf"
    path.write_bytes(Path(target()).read_bytes())
    engine: Any = open_engine("llamacpp", replace(OPTIONS, path=str(path), expert_memory=MUCH))
    engine.forward(Batch.chain(0, TOKENS[:1]))
    engine.commit(0, range(1))
    with path.open("r+b") as file:
        file.seek(-1, 2)
        file.write(b"\0")
    with pytest.raises(ModelChanged, match="expert"):
        engine.forward(Batch.chain(0, TOKENS[:60]))
    engine.close()


def test_nothing_stands_in_for_an_expert_there(tmp_path):
    stand_ins = tmp_path / "demo.low.gguf"
    export_experts(target(), stand_ins)
    with pytest.raises(EngineError, match="stand in"):
        open_engine("llamacpp", replace(OPTIONS, expert_memory=MUCH, low_experts=str(stand_ins)))


def test_a_budget_below_one_token_is_refused_and_a_dense_model_has_no_experts(no_pages_move):
    with pytest.raises(EngineError, match="at least"):
        open_engine("llamacpp", replace(OPTIONS, expert_memory=4096))
