"""Experts that do not all fit in main memory, on a machine with a GPU: attention goes there, experts stay here."""

import re
from dataclasses import replace

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from accel.devices.machine import Machine
from accel.offload.quotas import least_budget
from accel.runtime.footprint import GPU, MEMORY, expert_rooms, of_worker, total
from accel.runtime.model import ModelSpec
from accel.runtime.plan import Plan, Refusal, engine_options, make_plan
from accel.runtime.search import Goal
from accel.units import Bytes

from .planning import MIB, a_machine, a_model, costs
from .test_plan import COSTS, chosen, planned

LAYERS = 10
MODEL = a_model(layers=LAYERS, width=2048, experts=64, vocabulary=4096)
EXPERTS = MODEL.bytes_of("experts")
DENSE = MODEL.size - EXPERTS
KEPT_FREE = 704 * MIB  # of the GPU's memory
DRIVER = 168 * MIB  # of main memory, that a GPU's driver takes


def machine(experts: float, gpu: int, **more) -> Machine:
    """With memory for this share of the experts beside all else, and so much of a GPU."""
    return a_machine(
        memory=int(experts * EXPERTS) + DENSE + 384 * MIB + DRIVER, gpu=gpu + KEPT_FREE, moves=True, **more
    )


def parts(plan: Plan) -> dict[str, int]:
    return {part.what: part.size for part in plan.memory}


def test_all_that_is_dense_goes_to_a_gpu_with_room_and_every_expert_stays_in_main_memory():
    plan = planned(machine(0.4, 512 * MIB, bandwidth=900e9), MODEL, Goal(), COSTS)
    value, sizes = chosen(plan), parts(plan)
    assert value["gpu_layers"] == LAYERS + 1 and value["experts_in_memory"] == LAYERS
    assert 0.3 * EXPERTS < value["expert_memory"] < EXPERTS
    embedding = MODEL.bytes_of("embedding")
    assert sizes["GPU weights"] == DENSE - embedding
    assert sizes["dense weights"] == embedding and sizes["experts"] == value["expert_memory"]
    assert of_worker(plan.memory)[2] == embedding + value["expert_memory"]  # pinned
    assert "KV cache" not in sizes and sizes["GPU KV cache"] > 0


def test_the_engine_is_told_to_keep_every_expert_from_the_gpu_and_nothing_else():
    options = engine_options(planned(machine(0.4, 512 * MIB), MODEL, Goal(), COSTS))
    assert options.gpu_layers == LAYERS + 1 and options.expert_memory > 0 and not options.repack
    ((pattern, kind),) = options.overrides
    assert kind == "CPU"
    for layer in range(LAYERS):
        for name in ("gate_exps", "up_exps", "down_exps", "gate_up_exps"):
            assert re.search(pattern, f"blk.{layer}.ffn_{name}.weight")
        for name in ("attn_q", "ffn_gate_inp", "ffn_norm", "ffn_up_shexp", "exp_probs_b"):
            assert not re.search(pattern, f"blk.{layer}.{name}.weight")


def test_the_reasons_say_what_is_where():
    plan = planned(machine(0.4, 512 * MIB), MODEL, Goal(), COSTS)
    assert plan.choices["gpu_layers"].reason == "every layer fits on card, without their experts"
    assert "the processor computes" in plan.choices["experts_in_memory"].reason
    assert "of the experts fit" in plan.choices["expert_memory"].reason
    few = planned(machine(0.4, 72 * MIB), MODEL, Goal(), COSTS)
    assert few.choices["gpu_layers"].reason == "as many as fit on card, without their experts"


def test_a_small_gpu_takes_as_many_layers_as_fit_and_a_full_one_none():
    some = chosen(planned(machine(0.4, 72 * MIB), MODEL, Goal(), COSTS))
    assert 0 < some["gpu_layers"] <= LAYERS and some["experts_in_memory"] == LAYERS
    none = chosen(planned(machine(0.4, 2 * MIB), MODEL, Goal(), COSTS))
    assert none["gpu_layers"] == none["experts_in_memory"] == 0 and none["expert_memory"] > 0


def test_what_the_gpu_takes_leaves_room_for_more_experts():
    with_card = chosen(planned(machine(0.4, 512 * MIB), MODEL, Goal(), COSTS))
    without = chosen(planned(a_machine(memory=machine(0.4, 0).memory.free - DRIVER, moves=True), MODEL, Goal(), COSTS))
    assert with_card["expert_memory"] > without["expert_memory"] + DENSE // 2


def test_a_gpu_that_would_only_slow_it_down_is_left_alone():
    slow = planned(machine(0.4, 512 * MIB, bandwidth=1e9), MODEL, Goal(), COSTS)
    assert chosen(slow)["gpu_layers"] == 0 and chosen(slow)["expert_memory"] > 0


@pytest.mark.parametrize(("unified", "offloads"), [(True, True), (False, False)])
def test_without_memory_of_its_own_or_an_engine_that_knows_it_no_gpu_is_used_beside_managed_experts(unified, offloads):
    here = machine(0.4, 0) if unified else machine(0.4, 512 * MIB)
    if unified:
        here = replace(here, accelerators=(replace(here.accelerators[0], unified=True),))
    plan = planned(here, MODEL, Goal(), replace(COSTS, offloads=offloads))
    assert chosen(plan)["expert_memory"] > 0 and chosen(plan)["gpu_layers"] == 0
    assert all(choice.reason for choice in plan.choices.values())


def test_where_all_experts_fit_the_most_of_the_dense_weights_that_fit_goes_to_a_small_gpu():
    plan = planned(machine(1.2, 72 * MIB, bandwidth=2e12), MODEL, Goal(), COSTS)
    assert chosen(plan)["expert_memory"] == 0 and 0 < chosen(plan)["gpu_layers"] <= LAYERS


def test_a_refusal_counts_on_the_gpu_for_what_is_dense():
    least = least_budget(expert_rooms(MODEL), MODEL.experts_used)
    here = a_machine(memory=least + 100 * MIB + DRIVER, gpu=512 * MIB + KEPT_FREE, moves=True)
    refusal = make_plan(here, MODEL, Goal(context=4096), COSTS)
    assert isinstance(refusal, Refusal) and refusal.lacking[MEMORY] > 0 and GPU not in refusal.lacking
    card_less = make_plan(a_machine(memory=least + 100 * MIB, moves=True), MODEL, Goal(context=4096), COSTS)
    assert isinstance(card_less, Refusal) and refusal.lacking[MEMORY] < card_less.lacking[MEMORY]


moes = st.builds(
    a_model,
    layers=st.integers(1, 12),
    width=st.sampled_from([512, 1024, 2048]),
    format=st.sampled_from(["Q4_0", "Q8_0", "F16"]),
    vocabulary=st.sampled_from([4096, 151936]),
    experts=st.sampled_from([8, 64]),
)


@st.composite
def tight(draw) -> tuple[Machine, ModelSpec]:
    """Machines that lack memory for all of a model, or nearly."""
    model = draw(moes)
    memory = int(draw(st.floats(0.05, 1.2)) * model.size) + 256 * MIB + DRIVER
    gpu = int(draw(st.floats(0, 0.5)) * model.size) + KEPT_FREE
    cores, bandwidth = draw(st.integers(1, 16)), draw(st.floats(1e11, 2e12))
    return a_machine(memory=memory, cores=cores, gpu=gpu, bandwidth=bandwidth, moves=True), model


@given(tight(), costs, st.sampled_from([None, 512, 4096, 20000]))
@settings(max_examples=60, deadline=None)
def test_neither_memory_is_ever_exceeded_and_no_expert_is_on_the_gpu(pair, costs, context):
    machine, model = pair
    plan = make_plan(machine, model, Goal(context), costs)
    if isinstance(plan, Plan):
        taken, value = total(plan.memory), chosen(plan)
        assert taken[MEMORY] <= machine.memory.free and taken.get(GPU, 0) <= machine.accelerators[0].free
        if value["expert_memory"] and value["gpu_layers"]:
            assert value["experts_in_memory"] == model.layers
            assert parts(plan)["GPU weights"] <= model.size - model.bytes_of("experts")
        elif value["expert_memory"]:
            assert GPU not in taken and value["experts_in_memory"] == 0


@given(tight(), costs, st.integers(2**20, 2**33))
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.filter_too_much])
def test_more_main_memory_never_makes_it_slower(pair, costs, more):
    machine, model = pair
    before = make_plan(machine, model, Goal(), costs)
    assume(isinstance(before, Plan) and before.choices["gpu_layers"].value)
    free = Bytes(machine.memory.free + more)
    after = make_plan(replace(machine, memory=replace(machine.memory, total=free, free=free)), model, Goal(), costs)
    assert isinstance(before, Plan) and isinstance(after, Plan)
    assert after.decode.likely >= before.decode.likely * 0.999


@given(tight(), costs, st.integers(2**20, 2**33))
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.filter_too_much])
def test_more_memory_of_the_gpu_never_makes_a_managed_plan_slower(pair, costs, more):
    machine, model = pair
    before = make_plan(machine, model, Goal(), costs)
    assume(isinstance(before, Plan) and before.choices["expert_memory"].value)
    card = machine.accelerators[0]
    larger = replace(machine, accelerators=(replace(card, memory=card.memory + more, free=card.free + more),))
    after = make_plan(larger, model, Goal(), costs)
    assert isinstance(before, Plan) and isinstance(after, Plan)
    assert after.decode.likely >= before.decode.likely * 0.999
