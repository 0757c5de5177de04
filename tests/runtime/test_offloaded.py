"""A worker whose model's experts do not all fit answers as one whose do, and tells how they are kept."""

from dataclasses import replace

import pytest

from accel.devices.machine import Memory
from accel.devices.probe import probe
from accel.offload.store import _library
from accel.runtime.costs import usual_costs
from accel.runtime.demo import target
from accel.runtime.engines.options import EngineOptions
from accel.runtime.footprint import MEMORY, of_worker, total
from accel.runtime.law import Law
from accel.runtime.messages import Finished, Statistics
from accel.runtime.model import ModelSpec
from accel.runtime.plan import Plan, cautions, engine_options, make_plan
from accel.runtime.search import Goal
from accel.runtime.supervisor import Supervisor
from accel.units import Bytes

pytestmark = pytest.mark.skipif(_library() is None, reason="store.c is not compiled here")

PROMPT = "<|im_start|>user\nTell me a story about a fox.<|im_end|>\n<|im_start|>assistant\n"


def answer(options: EngineOptions) -> tuple[tuple[int, ...], Statistics]:
    with Supervisor("llamacpp", options) as worker:
        worker.wait()
        with worker.generate("here", (PROMPT,), Law(seed=4), most=80) as events:
            (done,) = (event for event in events if isinstance(event, Finished))
        return done.tokens, worker.statistics()


def small_plan() -> Plan:
    """For a machine that lacks a little of what the demo model takes."""
    model, goal, machine = ModelSpec.read(target()), Goal(context=512), probe()
    costs = usual_costs(machine)
    whole = make_plan(machine, model, goal, costs)
    assert isinstance(whole, Plan)
    for missing in range(64):
        free = Bytes(total(whole.memory)[MEMORY] - Bytes.from_mib(missing))
        plan = make_plan(replace(machine, memory=Memory(free, free), can_move_pages=True), model, goal, costs)
        if isinstance(plan, Plan) and plan.choices["expert_memory"].value:
            return plan
    raise AssertionError("no memory is too little for all experts and enough for some")


def test_a_plan_for_too_little_memory_keeps_a_part_of_the_experts_and_says_so():
    plan = small_plan()
    assert 0 < int(plan.choices["expert_memory"].value) < plan.model.bytes_of("experts")
    assert any("experts fit" in caution for caution in cautions(plan))
    assert engine_options(plan).expert_memory == plan.choices["expert_memory"].value
    assert "a token waits for" in plan.choices["expert_memory"].reason


def test_the_answer_is_the_same_and_the_worker_tells_what_it_keeps():
    managed = replace(engine_options(small_plan()), threads=2, threads_prefill=2)
    plain = replace(managed, expert_memory=0)
    wanted, nothing = answer(plain)
    tokens, told = answer(managed)
    assert tokens == wanted
    assert nothing.pinned == 0 and not nothing.experts
    assert len(told.experts) == 3 and all(0 < layer.hits <= layer.uses for layer in told.experts)
    assert 0 < told.pinned <= of_worker(small_plan().memory)[2] and told.read > 0
