"""What stand-ins cost the demo model is measured in a process of its own, and the plan rests on it."""

import os
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import psutil
import pytest

from accel.compiled import library
from accel.devices.machine import Memory
from accel.devices.probe import probe
from accel.errors import Cancelled, EngineError, ModelError, UsageError
from accel.exporters.experts import export_experts as export
from accel.offload.planes import sidecar_of
from accel.runtime import demo, lines, measure_quality
from accel.runtime.costs import usual_costs
from accel.runtime.footprint import MEMORY, of_worker, total
from accel.runtime.law import Law
from accel.runtime.learn_quality import learn_quality as learn
from accel.runtime.measure_quality import SHARES, QualityJob, passes
from accel.runtime.messages import Finished
from accel.runtime.model import ModelSpec
from accel.runtime.plan import Plan, engine_options, make_plan
from accel.runtime.quality import GIVEN, OFF, OWN
from accel.runtime.quality_file import quality_file_of, save_qualities, stand_ins_of
from accel.runtime.search import Goal
from accel.runtime.supervisor import Supervisor
from accel.runtime.thresholds import MOST_LOSS
from accel.units import Bytes

pytestmark = pytest.mark.skipif(library("accel.offload._store") is None, reason="store.c is not compiled here")

FEW = 32  # tokens


@pytest.fixture(scope="module")
def model(tmp_path_factory) -> Path:
    if not demo.target().is_file():
        pytest.skip("the demo models are not here")
    path = tmp_path_factory.mktemp("quality") / "demo.gguf"
    shutil.copy(demo.target(), path)
    export(path)
    return path


def job(model: Path, folder: Path, text: str = "") -> QualityJob:
    return QualityJob(str(model), str(sidecar_of(model)), str(folder), 2, FEW, 1e9, text)


def test_all_of_it_is_measured_kept_and_found_by_the_next_plan(model):
    said: list[tuple[str, float]] = []
    found = learn(model, sidecar_of(model), tokens=FEW, progress=lambda *what: said.append(what) or True)
    usual = [quality for quality in found if not quality.deterministic]
    assert [quality.share for quality in usual] == list(SHARES)
    assert all(quality.sound and quality.text == OWN and quality.tokens == FEW for quality in found)
    assert usual[0].worst_loss <= MOST_LOSS and len({(quality.low, quality.skip) for quality in usual}) == 1
    assert usual[0].read_exact > usual[-1].read_exact > 0 and usual[0].missed > usual[-1].missed
    assert stand_ins_of(ModelSpec.read(model)).qualities == found
    assert said[0][0] == "writing exactly" and any("exact, 60%" in doing for doing, _ in said)
    assert all(0 <= done <= 1 for _, done in said)
    assert sorted(file.name for file in model.parent.iterdir()) == ["demo.gguf", "demo.low.gguf", "demo.low.json"]


def test_bolder_thresholds_serve_and_lose_more_and_none_at_all_lose_nothing(model, tmp_path):
    with passes(job(model, tmp_path), lambda *_: None) as run:
        nothing = run.quality(OFF, 0.999999, False, 0.25)
        bold = run.quality(0.3, OFF, False, 0.25)
        strict = run.quality(0.3, OFF, True, 0.25)
        left_out = run.quality(0.3, 0.3, True, 0.25)
    assert nothing.kl < 1e-6 and nothing.served_low == 0 and nothing.same == 1
    assert bold.kl > 1e-6 and bold.served_low > 0 and bold.skipped == 0
    assert strict.served_low >= bold.served_low
    assert left_out.skipped > 0.1 and left_out.kl > 1e-6 and left_out.served_low == 0


def test_what_depends_on_gate_scores_alone_loses_the_same_at_every_share(model, tmp_path):
    with passes(job(model, tmp_path), lambda *_: None) as run:
        few, many = (run.quality(0.5, 0.8, True, share) for share in (0.25, 0.6))
    assert (few.kl, few.approximate, few.served_low) == (many.kl, many.approximate, many.served_low)
    assert few.read_exact > many.read_exact


def test_halves_are_of_the_same_pass_and_shares_are_told_without_the_exact_one(model, tmp_path):
    with passes(job(model, tmp_path), lambda *_: None) as run:
        whole, halves = run.quality(0.5, 0.8, True, 0.6), run.halves(0.5, 0.8, True, 0.6)
        served = run.served(0.5, 0.8, True, 0.6)
    assert [half.tokens for half in halves] == [FEW // 2, FEW // 2]
    for name in ("kl", "served_low", "skipped"):
        assert np.mean([getattr(half, name) for half in halves]) == pytest.approx(getattr(whole, name), abs=1e-6)
    assert whole.read_exact == pytest.approx(np.mean([half.read_exact for half in halves]), rel=0.05)
    assert (served.served_low, served.skipped) == (whole.served_low, whole.skipped)


def test_a_given_text_is_measured_on(model, tmp_path):
    text = "The fox asked the bear for some honey, and the bear said no. " * 12
    with passes(job(model, tmp_path, text), lambda *_: None) as run:
        assert run.quality(0.5, OFF, False, 0.25).text == GIVEN
    with (
        pytest.raises(UsageError, match="tells too little"),
        passes(replace(job(model, tmp_path, "short")), lambda *_: None),
    ):
        pass


def test_it_can_be_stopped_leaves_no_process_and_keeps_nothing(model, tmp_path):
    quality_file_of(sidecar_of(model)).unlink(missing_ok=True)
    children: list[psutil.Process] = []

    def stop(doing: str, done: float) -> bool:
        children.extend(psutil.Process().children())
        return False

    with pytest.raises(Cancelled):
        learn(model, sidecar_of(model), tokens=FEW, progress=stop)
    assert children and not any(child.is_running() for child in children)
    assert not quality_file_of(sidecar_of(model)).exists()
    assert sorted(file.name for file in model.parent.iterdir()) == ["demo.gguf", "demo.low.gguf"]


def test_what_the_process_meets_is_raised_here(model, tmp_path):
    low = tmp_path / "cut.low.gguf"
    shutil.copy(sidecar_of(model), low)
    os.truncate(low, 10_000)
    with pytest.raises(ModelError, match=r"cut\.low\.gguf"):
        learn(model, low, tokens=FEW)


@pytest.mark.parametrize(
    ("script", "says"),
    [("read job; echo boom >&2; exit 1", "boom"), ("read job; echo nonsense", "could not be measured"),
     ("read job; kill -9 $$", "exit code -9")],
    ids=["dies", "babbles", "is killed"],
)  # fmt: skip
def test_a_process_that_fails_is_an_error(model, tmp_path, monkeypatch, script, says):
    program = tmp_path / "python"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)
    monkeypatch.setattr(lines.sys, "executable", str(program))
    with pytest.raises(EngineError, match=says):
        learn(model, sidecar_of(model), tokens=FEW)


def test_where_memory_lacks_for_a_share_it_is_left_out_and_for_all_it_is_said(model, tmp_path, monkeypatch):
    from accel.errors import MemoryFull

    spec = ModelSpec.read(model)
    beside = sum(spec.sizes) - spec.bytes_of("experts") + Bytes.from_mib(256)

    def free(share: float) -> None:
        size = Bytes(beside + share * measure_quality._whole(spec))
        monkeypatch.setattr(measure_quality, "probe_memory", lambda: Memory(size, size))

    free(0.5)
    with passes(job(model, tmp_path), lambda *_: None) as run:
        assert run.shares == (0.25, 0.4)
    free(0.1)
    with pytest.raises(MemoryFull, match="25% of the experts"), passes(job(model, tmp_path), lambda *_: None):
        pass


def small_plan(model: Path) -> Plan:
    """Of a machine that lacks a little of what the model takes, where another text is allowed."""
    spec, goal, machine = ModelSpec.read(model), Goal(context=512, approximate=True), probe()
    costs = replace(usual_costs(machine), stand_ins=stand_ins_of(spec))
    whole = make_plan(machine, spec, goal, costs)
    assert isinstance(whole, Plan)
    for missing in range(64):
        free = Bytes(total(whole.memory)[MEMORY] - Bytes.from_mib(missing))
        plan = make_plan(replace(machine, memory=Memory(free, free), can_move_pages=True), spec, goal, costs)
        if isinstance(plan, Plan) and plan.choices["low_experts"].value:
            return plan
    raise AssertionError("stand-ins are never chosen")


def test_a_worker_under_a_plan_with_stand_ins_uses_them_and_holds_its_memory(model, tmp_path):
    with passes(job(model, tmp_path), lambda *_: None) as run:
        measured = (run.quality(0.3, 0.8, False, 0.25), run.quality(0.3, 0.8, False, 0.6))
    save_qualities(sidecar_of(model), tuple(replace(each, read=Bytes(each.read_exact / 2)) for each in measured))
    plan = small_plan(model)
    anonymous, _, pinned = of_worker(plan.memory)
    options = replace(engine_options(plan), threads=1, threads_prefill=1)
    assert options.low_experts == str(sidecar_of(model)) and (options.low_above, options.skip_above) == (0.3, 0.8)
    with Supervisor("llamacpp", options) as worker:
        worker.wait()
        with worker.generate("here", ("Tell me a story about a fox.",), Law(seed=4), most=80) as events:
            (done,) = (event for event in events if isinstance(event, Finished))
        told = worker.statistics()
    assert done.tokens
    assert sum(layer.low + layer.skipped for layer in told.experts) > 0
    assert told.pinned <= pinned and told.anonymous <= anonymous
    assert sum(layer.needed for layer in told.experts) > 0
