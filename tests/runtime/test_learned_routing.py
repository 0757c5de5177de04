"""The first time that a model's experts do not all fit its routing is recorded, and the next plan rests on it."""

import json
from dataclasses import replace

import psutil
import pytest

import accel
from accel.compiled import library
from accel.devices.paths import cache_dir
from accel.devices.probe import probe
from accel.errors import DiskFull, EngineError, WorkerDied
from accel.offload.curves import HitCurves
from accel.runtime import calibrate, demo, planning
from accel.runtime import open as opening
from accel.runtime.calibrate import keep_routing, keep_rows, known_costs
from accel.runtime.costs import RowTimes, decode_seconds, usual_costs
from accel.runtime.expert_costs import MEASURED_ROUTING, USUAL_ROUTING, bytes_per_token, expert_rooms
from accel.runtime.footprint import MEMORY, Placement, total
from accel.runtime.model import ModelSpec
from accel.runtime.open import ROUTED_TOKENS, open_model
from accel.runtime.plan import Plan, engine_options, make_plan
from accel.runtime.planning import plan_for, this_machine
from accel.runtime.search import Goal
from accel.runtime.settings import Settings
from accel.units import Bytes

from .planning import a_machine, a_model

moves = pytest.mark.skipif(library("accel.offload._store") is None, reason="store.c is not compiled here")


@pytest.fixture
def model():
    if not demo.target().is_file():
        pytest.skip("the demo models are not here")
    return ModelSpec.read(demo.target())


def curves(layers: int, experts: int, share: float) -> HitCurves:
    """Of routing that finds this share wherever anything is kept."""
    return HitCurves(100, ((0, *[int(100 * share)] * (experts - 1), 100),) * layers)


def test_what_a_token_waits_for_follows_the_measured_routing():
    machine, model = a_machine(moves=True), a_model(layers=6, experts=16)
    half = Placement(512, 1, "f16", 128, 32, expert_memory=8 * sum(expert_rooms(model)))
    local, scattered = (curves(6, 16, share) for share in (0.9, 0.3))
    least, most = (bytes_per_token(model, half, routing) for routing in (local, scattered))
    assert (least, most) == (pytest.approx(0.1 / 0.7 * most, rel=0.01), pytest.approx(1.4 * sum(expert_rooms(model))))
    assert least < bytes_per_token(model, half, None) < most
    fast, slow = (replace(usual_costs(machine), routing=routing) for routing in (local, scattered))
    assert decode_seconds(machine, model, half, fast, 1) < decode_seconds(machine, model, half, slow, 1)


def test_a_plan_says_which_routing_it_rests_on(model):
    machine, goal, costs = probe(), Goal(context=512), usual_costs(probe())
    whole = make_plan(machine, model, goal, costs)
    assert isinstance(whole, Plan)
    told = {}
    for routing in (None, curves(3, 16, 0.5)):
        for missing in range(64):
            free = Bytes(total(whole.memory)[MEMORY] - Bytes.from_mib(missing))
            small = replace(machine, memory=replace(machine.memory, total=free, free=free), can_move_pages=True)
            plan = make_plan(small, model, goal, replace(costs, routing=routing))
            if isinstance(plan, Plan) and plan.choices["expert_memory"].value:
                told[routing] = plan.choices["expert_memory"].reason
                assert engine_options(plan).taps
                break
    assert USUAL_ROUTING in told[None] and MEASURED_ROUTING in told[curves(3, 16, 0.5)]
    assert not engine_options(whole).taps


def test_routing_is_kept_beside_what_else_is_known_of_a_model(model, tmp_path):
    machine, goal = probe(), Goal(context=512)
    before = known_costs(machine, model, goal, tmp_path)
    times = RowTimes(1, False, (1, 2), (1.0, 2.0))
    assert before.routing is None
    keep_rows(machine, model, times, tmp_path)
    keep_routing(machine, model, curves(3, 16, 0.5), tmp_path)
    costs = known_costs(machine, model, goal, tmp_path)
    assert costs.routing == curves(3, 16, 0.5) and costs.rows == (times,) and costs.dry_runs == before.dry_runs


@pytest.mark.parametrize(
    "kept",
    [curves(2, 16, 0.5), curves(3, 15, 0.5), HitCurves(0, ((0,) * 17,) * 3), HitCurves(9, ((0, 8, 7, *[9] * 14),) * 3)],
    ids=["layers", "experts", "uses", "falling"],
)
def test_curves_that_cannot_be_this_models_are_not_believed(model, tmp_path, kept):
    machine, goal = probe(), Goal(context=512)
    known_costs(machine, model, goal, tmp_path)
    keep_routing(machine, model, kept, tmp_path)
    assert known_costs(machine, model, goal, tmp_path).routing is None


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    """Settings under which a part of the demo model's experts fit; a folder of their own, and a calm machine."""
    if not demo.target().is_file():
        pytest.skip("the demo models are not here")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ACCEL_HOME", str(tmp_path_factory.mktemp("home")))
        patch.setattr(opening, "is_busy", lambda: False)
        patch.setattr(planning, "measured", lambda machine, *_, **__: machine)  # which takes seconds
        machine = this_machine()
        whole = plan_for(demo.target(), Goal(context=512), machine)
        assert isinstance(whole, Plan)
        for missing in range(64):
            memory = Bytes(total(whole.memory)[MEMORY] - Bytes.from_mib(missing))
            plan = plan_for(demo.target(), Goal(context=512, memory=memory), machine)
            if isinstance(plan, Plan) and plan.choices["expert_memory"].value:
                yield Settings(context=512, memory=memory)
                return
    raise AssertionError("no memory is too little for all experts and enough for some")


def forget() -> None:
    """The routing, and nothing else that is kept of the model."""
    (file,) = (cache_dir() / "costs").glob("model-*.json")
    file.write_text(json.dumps(json.loads(file.read_text()) | {"routing": None}))


@moves
def test_the_first_opening_records_and_the_second_rests_on_it(small):
    forget()
    said, done = [], []
    with open_model(small, said.append, done.append) as opened:
        assert USUAL_ROUTING in opened.plan.choices["expert_memory"].reason
        used = sum(layer.uses for layer in opened.worker.statistics().experts)
        assert used >= ROUTED_TOKENS * 3 * 2
        first = opened.session().answer("Tell me a story.")
    assert any("which experts" in words for words in said) and done[-1] == 1
    again: list[str] = []
    with accel.open(context=512, memory=int(small.memory), seed=3) as model:
        assert MEASURED_ROUTING in model.plan.choices["expert_memory"].reason
    with open_model(small, again.append) as opened:
        assert not any("which experts" in words for words in again)
        assert not any(layer.uses for layer in opened.worker.statistics().experts)
    assert first


@moves
def test_on_a_busy_machine_nothing_is_recorded(small, monkeypatch):
    forget()
    monkeypatch.setattr(opening, "is_busy", lambda: True)
    with open_model(small) as opened:
        assert not any(layer.uses for layer in opened.worker.statistics().experts)


@moves
@pytest.mark.parametrize("error", [DiskFull("no room", "free some"), EngineError("it shows nothing")])
def test_where_it_cannot_be_recorded_or_kept_the_model_runs(small, monkeypatch, error):
    forget()

    def fail(*_):
        raise error

    monkeypatch.setattr(opening, "keep_routing", fail)
    said = []
    with open_model(small, said.append) as opened:
        assert opened.session().answer("Hello") is not None
    assert any(str(error) in words for words in said)


@moves
@pytest.mark.parametrize("error", [KeyboardInterrupt(), WorkerDied("it died")])
def test_who_stops_the_recording_leaves_no_worker(small, error):
    forget()
    pids = []

    def stop(words: str) -> None:
        if "which experts" in words:
            raise error

    life = opening.Supervisor.wait

    def wait(worker, progress):
        ready = life(worker, progress)
        pids.append(ready.pid)
        return ready

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(opening.Supervisor, "wait", wait)
        with pytest.raises(type(error)):
            open_model(small, stop)
    assert pids and not psutil.pid_exists(pids[0])


def test_the_machines_cache_that_was_kept_before_is_still_read(model, tmp_path):
    machine, goal = probe(), Goal(context=512)
    known_costs(machine, model, goal, tmp_path)
    (file,) = (tmp_path / "costs").glob("model-*.json")
    raw = file.read_bytes()
    file.write_bytes(raw.replace(b',"routing":null', b""))
    assert b"routing" not in file.read_bytes()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(calibrate, "_child", None)
        assert known_costs(machine, model, goal, tmp_path).routing is None
