"""Where pages cannot be moved experts are planned through the system's cache, exactly, and the plan says so; where
files cannot be read directly it says that."""

from dataclasses import replace
from pathlib import Path

import pytest

from accel.devices import probe as probe_file
from accel.devices.machine import Machine
from accel.devices.probe import probe
from accel.runtime import planning
from accel.runtime.costs import Costs
from accel.runtime.demo import target
from accel.runtime.expert_costs import disk_rate
from accel.runtime.footprint import MEMORY, Placement, footprint, of_worker, total
from accel.runtime.model import ModelSpec
from accel.runtime.plan import Plan, Refusal, cautions, engine_options, make_plan
from accel.runtime.planning import seen_by
from accel.runtime.search import Goal
from accel.runtime.show_plan import show
from accel.units import Bytes

from .planning import MIB, a_machine, a_model, some_stand_ins

MODEL = a_model(layers=8, width=1024, experts=64)
COSTS = Costs(process=(Bytes(40 * MIB), Bytes(25 * MIB)), stand_ins=some_stand_ins())
WHOLE = total(footprint(MODEL, Placement(512, 1, "f16", 128, 32), COSTS))[MEMORY]
CACHED = "experts come through the system's cache: pages cannot be moved here"
COPIED = "reads go through the system's cache: model.gguf cannot be read directly"


def planned(machine: Machine, share: float = 0.5, **goal) -> Plan:
    """With memory for about this share of the experts."""
    memory = Bytes(WHOLE - (1 - share) * MODEL.bytes_of("experts"))
    plan = make_plan(machine, MODEL, Goal(context=512, memory=memory, **goal), COSTS)
    assert isinstance(plan, Plan) and plan.choices["expert_memory"].value
    return plan


def test_experts_that_do_not_fit_come_through_the_cache_where_pages_cannot_be_moved():
    cached, moved = planned(a_machine(moves=False)), planned(a_machine(moves=True))
    options = engine_options(cached)
    assert options.through_cache and options.expert_memory == engine_options(moved).expert_memory > 0
    assert not engine_options(moved).through_cache


def test_the_plan_says_in_one_line_what_is_different_and_nothing_where_nothing_is(capsys):
    plan = planned(a_machine(moves=False))
    assert plan.choices["through_cache"].reason == CACHED and CACHED in cautions(plan)
    show(plan)
    assert CACHED in " ".join(capsys.readouterr().out.split())
    assert not any("system's cache" in caution for caution in cautions(planned(a_machine(moves=True))))


def test_a_file_that_cannot_be_read_directly_is_named():
    plan = planned(replace(a_machine(moves=True), can_read_directly=False))
    assert not plan.choices["through_cache"].value and COPIED in cautions(plan)
    whole = make_plan(replace(a_machine(), can_read_directly=False), MODEL, Goal(context=512), COSTS)
    assert isinstance(whole, Plan) and not any("system's cache" in caution for caution in cautions(whole))


def test_what_the_cache_is_hoped_to_keep_is_counted_as_what_the_system_may_take_back():
    cached, moved = planned(a_machine(moves=False)), planned(a_machine(moves=True))
    anonymous, mapped, pinned = of_worker(cached.memory)
    assert pinned == 0 and mapped > int(cached.choices["expert_memory"].value)
    assert (anonymous, mapped) == (of_worker(moved.memory)[0], of_worker(moved.memory)[1] + of_worker(moved.memory)[2])
    assert total(cached.memory) == total(moved.memory)


def test_it_is_no_faster_than_moving_pages_nor_reading_faster_than_the_disk():
    cached, moved = planned(a_machine(moves=False)), planned(a_machine(moves=True))
    assert cached.decode.likely < moved.decode.likely and cached.prefill.likely < moved.prefill.likely
    for plan, share in ((moved, 1.0), (cached, 0.6)):
        rate = share * disk_rate(moved.machine, "model.gguf") / 1e9
        assert f"read at {rate:.1f} GB/s" in plan.choices["expert_memory"].reason
    undirected = planned(replace(a_machine(moves=False), can_read_directly=False))
    assert undirected.decode == moved.decode  # the disk was measured through the cache, too


@pytest.mark.parametrize("memory", [64, 128, 512, 4096])
def test_nothing_is_refused_that_would_not_be_if_pages_moved(memory):
    goal = Goal(context=512, memory=Bytes(memory * MIB))
    cached, moved = (make_plan(a_machine(moves=moves), MODEL, goal, COSTS) for moves in (False, True))
    assert type(cached) is type(moved)
    if isinstance(cached, Refusal) and isinstance(moved, Refusal):
        assert cached.lacking == moved.lacking


def test_a_model_that_fits_is_mapped_as_before():
    plan = make_plan(a_machine(moves=False), MODEL, Goal(context=512), COSTS)
    assert isinstance(plan, Plan) and not plan.choices["through_cache"].value
    assert not plan.choices["expert_memory"].value and not any("system's cache" in said for said in cautions(plan))


def test_where_another_text_is_allowed_it_stays_exact_and_that_is_said():
    plan = planned(a_machine(moves=False), approximate=True)
    why = plan.choices["low_experts"].reason
    assert not plan.choices["low_experts"].value and "nothing can stand in" in why and why in cautions(plan)
    assert plan.decode == planned(a_machine(moves=False)).decode and plan.stand_ins is None
    assert planned(a_machine(moves=True), approximate=True).choices["low_experts"].value


def test_whether_a_models_own_files_are_read_directly_is_found_by_reading_them(tmp_path, monkeypatch):
    model = ModelSpec.read(target())
    asked: list[Path] = []
    monkeypatch.setattr(planning, "reads_directly", lambda path: bool(asked.append(path)) or "first" in path.name)
    split = replace(model, paths=(str(tmp_path / "first"), str(tmp_path / "second")))
    assert not seen_by(split, a_machine()).can_read_directly and len(asked) == 2
    assert seen_by(replace(split, paths=split.paths[:1]), a_machine()).can_read_directly


def test_a_machine_without_files_in_memory_moves_no_pages(monkeypatch):
    monkeypatch.delattr(probe_file.os, "memfd_create", raising=False)
    assert not probe().can_move_pages
