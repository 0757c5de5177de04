"""A plan or a refusal: it fits, it says why, and more memory never makes it slower."""

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from accel.devices.cards import card_names, load_card
from accel.runtime.costs import Costs, Look, RowTimes, usual_costs
from accel.runtime.footprint import GPU, MEMORY, total
from accel.runtime.plan import Plan, Refusal, cautions, engine_options, make_plan
from accel.runtime.search import LEAST_CONTEXT, USUAL_CONTEXT, Goal, placements_to_try
from accel.units import Bytes, from_json, to_json

from .planning import MIB, a_machine, a_model, costs, goals, machines, models, sizes

COSTS = Costs(process=(Bytes(40 * MIB), Bytes(25 * MIB)), repacked={"Q4_0": 8})
CHOICES = {
    "context", "sequences", "kv_type", "threads", "threads_prefill", "batch", "ubatch", "outputs", "repack",
    "flash_attention",
    "gpu_layers", "experts_in_memory", "expert_memory", "through_cache", "low_experts", "low_above", "skip_above",
    "deterministic", "draft_nodes", "draft_leaves", "draft_model",
}  # fmt: skip


def planned(*asked):
    found = make_plan(*asked)
    assert isinstance(found, Plan), found
    return found


def chosen(plan: Plan) -> dict[str, Any]:
    return {name: choice.value for name, choice in plan.choices.items()}


@given(machines, models, goals, costs)
@settings(max_examples=60, deadline=None)
def test_a_plan_never_exceeds_what_is_free_or_allowed(machine, model, goal, costs):
    plan = make_plan(machine, model, goal, costs)
    if isinstance(plan, Plan):
        taken = total(plan.memory)
        assert taken[MEMORY] <= min(machine.memory.free, goal.memory or machine.memory.free)
        assert taken.get(GPU, 0) <= (machine.accelerators[0].free if machine.accelerators else 0)
        assert all(part.size > 0 for part in plan.memory)


@given(machines, models, goals, costs)
@settings(max_examples=60, deadline=None)
def test_every_choice_has_a_reason_and_every_estimate_an_order(machine, model, goal, costs):
    plan = make_plan(machine, model, goal, costs)
    if isinstance(plan, Plan):
        assert set(plan.choices) == CHOICES
        assert all(choice.reason for choice in plan.choices.values())
        for estimate in (plan.prefill, plan.decode):
            assert 0 < estimate.low <= estimate.likely <= estimate.high and estimate.rests_on


@given(machines, models, goals, costs, sizes)
@settings(max_examples=60, deadline=None)
def test_more_memory_never_makes_a_plan_slower_nor_takes_it_away(machine, model, goal, costs, more):
    free = Bytes(machine.memory.free + more)
    larger = replace(machine, memory=replace(machine.memory, total=free, free=free))
    goal = replace(goal, memory=None)
    before, after = make_plan(machine, model, goal, costs), make_plan(larger, model, goal, costs)
    if isinstance(before, Plan):
        assert isinstance(after, Plan)
        assert after.decode.likely >= before.decode.likely * 0.999
        assert after.prefill.likely >= before.prefill.likely * 0.999 or after.decode.likely > before.decode.likely


@given(machines, models, goals, costs, sizes)
@settings(max_examples=60, deadline=None)
def test_more_memory_on_the_gpu_never_makes_a_plan_slower(machine, model, goal, costs, more):
    if machine.accelerators and not machine.accelerators[0].unified:
        card = machine.accelerators[0]
        larger = replace(machine, accelerators=(replace(card, memory=card.memory + more, free=card.free + more),))
        before, after = make_plan(machine, model, goal, costs), make_plan(larger, model, goal, costs)
        if isinstance(before, Plan):
            assert isinstance(after, Plan)
            assert after.decode.likely >= before.decode.likely * 0.999


@given(machines, models, goals, costs)
@settings(max_examples=60, deadline=None)
def test_the_nearest_goals_of_a_refusal_do_plan_and_something_is_lacking(machine, model, goal, costs):
    refusal = make_plan(machine, model, goal, costs)
    if isinstance(refusal, Refusal):
        assert refusal.lacking and all(size > 0 for size in refusal.lacking.values())
        for nearest in refusal.nearest:
            assert nearest != goal
            assert isinstance(make_plan(machine, model, nearest, costs), Plan)


@given(machines, models, st.integers(256, 60_000), st.integers(1, 4000), costs)
@settings(max_examples=40, deadline=None)
def test_where_a_long_context_fits_a_shorter_one_does(machine, model, context, less, costs):
    if isinstance(make_plan(machine, model, Goal(context=context), costs), Plan):
        assert isinstance(make_plan(machine, model, Goal(context=max(1, context - less)), costs), Plan)


@given(machines, models, goals, costs)
@settings(max_examples=40, deadline=None)
def test_plans_and_refusals_survive_json_and_are_what_they_were(machine, model, goal, costs):
    found = make_plan(machine, model, goal, costs)
    assert from_json(to_json(found), type(found)) == found
    assert make_plan(machine, model, goal, costs) == found


@given(machines, models, goals, costs)
@settings(max_examples=40, deadline=None)
def test_the_text_stays_exact_unless_the_goal_allows_another(machine, model, goal, costs):
    plan = make_plan(machine, model, goal, costs)
    if isinstance(plan, Plan) and not goal.approximate and goal.kv_type is None:
        assert chosen(plan)["kv_type"] == "f16" and not chosen(plan)["low_experts"]


@given(models, goals)
@settings(max_examples=40, deadline=None)
def test_every_plan_is_one_of_the_placements_to_try(model, goal):
    value = chosen(planned(a_machine(memory=2**44), model, replace(goal, memory=None), COSTS))
    tried = {(p.context, p.kv_type, p.ubatch, p.outputs) for p in placements_to_try(model, goal)}
    assert (value["context"], value["kv_type"], value["ubatch"], value["outputs"]) in tried


def test_a_large_machine_gives_the_usual_context_and_repacks():
    value = chosen(planned(a_machine(), a_model(), Goal(), COSTS))
    assert (value["context"], value["repack"], value["ubatch"]) == (USUAL_CONTEXT, True, 512)


def test_what_was_asked_for_is_chosen():
    value = chosen(planned(a_machine(), a_model(), Goal(context=6000, kv_type="q8_0", threads=3), COSTS))
    assert (value["context"], value["kv_type"], value["threads"], value["threads_prefill"]) == (6000, "q8_0", 3, 3)


def test_eco_takes_half_of_the_cores_full_every_thread_and_a_number_that_is_asked_for_holds():
    def threads(cores: int, **goal: Any) -> tuple[int, int]:
        machine = a_machine(cores=cores)
        machine = replace(machine, processor=replace(machine.processor, threads=2 * cores))
        plan = planned(machine, a_model(), Goal(**goal), COSTS)
        one, other = plan.choices["threads"], plan.choices["threads_prefill"]
        word = "as asked" if "threads" in goal else goal.get("power", "")
        assert word in other.reason
        return int(one.value), int(other.value)

    assert [threads(cores, power="eco")[1] for cores in (1, 2, 3, 8)] == [1, 1, 1, 4]
    assert threads(8, power="full") == (16, 16) and threads(8)[1] == 8
    assert threads(8, power="eco", threads=3) == (3, 3)


@pytest.mark.parametrize(("seconds", "balanced", "eco"), [((4.0, 2.0, 1.0), 4, 2), ((1.2, 1.1, 1.0), 1, 1)])
def test_eco_never_decodes_with_more_than_half_of_the_cores_or_than_is_faster(seconds, balanced, eco):
    known = zip((1, 2, 4), seconds, strict=True)
    rows = tuple(RowTimes(threads, True, (1, 2), (one, 2 * one)) for threads, one in known)
    costs = replace(COSTS, rows=rows)
    plans = [planned(a_machine(cores=4), a_model(), Goal(power=power), costs) for power in ("balanced", "eco")]
    assert [chosen(plan)["threads"] for plan in plans] == [balanced, eco]


def test_eco_reads_prompts_in_small_batches_where_a_processor_computes():
    balanced, eco = (planned(a_machine(), a_model(), Goal(power=power), COSTS) for power in ("balanced", "eco"))
    assert (chosen(balanced)["ubatch"], chosen(eco)["ubatch"], chosen(eco)["batch"]) == (512, 128, 128)
    assert "eco" in eco.choices["ubatch"].reason and total(eco.memory)[MEMORY] < total(balanced.memory)[MEMORY]
    others = ("context", "kv_type", "repack", "flash_attention")
    assert [chosen(eco)[name] for name in others] == [chosen(balanced)[name] for name in others]
    card = planned(a_machine(gpu=2**33), a_model(), Goal(power="eco"), COSTS)
    assert chosen(card)["gpu_layers"] and chosen(card)["ubatch"] == 512 and "eco" not in card.choices["ubatch"].reason


def test_prompts_that_no_text_is_at_get_some_of_what_is_left_and_never_cost_the_plan_anything():
    goals = [Goal(sequences=4, prompts=prompts) for prompts in (Bytes(0), None, Bytes(5 * MIB))]
    without, some, asked = (planned(a_machine(), a_model(), goal, COSTS) for goal in goals)
    assert chosen(some) == chosen(without) and without.prompts == 0 and asked.prompts == 5 * MIB
    assert some.prompts == min(2**30, (a_machine().memory.free - total(without.memory)[MEMORY]) // 4) // MIB * MIB
    least = replace(goals[1], memory=total(without.memory)[MEMORY], context=chosen(without)["context"])
    assert planned(a_machine(), a_model(), least, COSTS).prompts == 0


def test_context_beyond_what_was_trained_is_given_when_asked_for_and_cautioned_against():
    model = a_model(context=2048)
    assert chosen(planned(a_machine(), model, Goal(), COSTS))["context"] == 2048
    plan = planned(a_machine(), model, Goal(context=6000), COSTS)
    assert plan.choices["context"].value == 6000 and "2048" in plan.choices["context"].reason
    assert "2048" in cautions(plan)[0]
    assert not cautions(planned(a_machine(), model, Goal(context=2048), COSTS))
    assert not cautions(planned(a_machine(), a_model(context=0), Goal(context=6000), COSTS))


def test_a_kv_format_that_does_not_divide_the_heads_is_not_taken_and_the_user_is_told():
    plan = planned(a_machine(), a_model(head=8, kv_heads=4), Goal(kv_type="q8_0"), COSTS)
    assert plan.choices["kv_type"].value == "f16" and "8" in plan.choices["kv_type"].reason
    assert "q8_0 does not divide" in cautions(plan)[0]


def test_what_changes_the_text_is_labelled():
    assert "approximate" in cautions(planned(a_machine(), a_model(), Goal(kv_type="q4_0"), COSTS))[0]


def test_threads_beyond_the_processors_make_nothing_faster_and_the_user_is_told():
    machine, model = a_machine(cores=4), a_model()
    most, more = (planned(machine, model, Goal(threads=threads), COSTS) for threads in (4, 64))
    assert more.decode.likely <= most.decode.likely * 1.001 and more.prefill.likely <= most.prefill.likely * 1.001
    assert "64 threads share 4" in cautions(more)[0] and not cautions(most)


def test_an_output_matrix_that_is_the_embedding_too_is_as_fast_on_the_gpu_as_one_of_its_own():
    own = a_model(layers=8, width=1024, vocabulary=151936)
    matrix = own.bytes_of("embedding")
    parts = tuple(replace(part, size=matrix) if part.role == "output" else part for part in own.weights)
    own = replace(own, weights=tuple(replace(p, format="Q4_0") if p.role == "output" else p for p in parts))
    tied = replace(own, weights=tuple(part for part in own.weights if part.role != "output"))
    assert tied.tied and not own.tied
    machine = a_machine(gpu=8 * 2**30)
    one, other = planned(machine, own, Goal(), COSTS), planned(machine, tied, Goal(), COSTS)
    assert other.decode.likely == pytest.approx(one.decode.likely)
    assert chosen(other)["threads"] == 1 and not chosen(other)["repack"]


def test_a_format_that_is_larger_than_the_exact_one_gives_way_to_it():
    model = a_model(layers=16, width=2048)
    need = total(planned(a_machine(), model, Goal(context=32768), replace(COSTS, repacked={})).memory)[MEMORY]
    refusal = make_plan(a_machine(), model, Goal(context=32768, kv_type="f32", memory=Bytes(need + 8 * MIB)), COSTS)
    assert isinstance(refusal, Refusal) and any(goal.kv_type == "f16" for goal in refusal.nearest)


def test_when_memory_is_short_speed_goes_before_context_and_context_before_the_plan():
    model = a_model(layers=8, width=1024)
    need = total(planned(a_machine(), model, Goal(context=LEAST_CONTEXT), replace(COSTS, repacked={})).memory)[MEMORY]
    tight = chosen(planned(a_machine(), model, Goal(memory=Bytes(need)), COSTS))
    assert (tight["context"], tight["repack"]) == (LEAST_CONTEXT, False)
    tighter = chosen(planned(a_machine(), model, Goal(memory=Bytes(need - 34 * MIB)), COSTS))
    assert tighter["context"] < LEAST_CONTEXT
    assert isinstance(make_plan(a_machine(), model, Goal(memory=Bytes(10_000_000)), COSTS), Refusal)


def test_a_refusal_says_what_lacks_and_offers_less_context_another_format_and_a_smaller_model():
    model = a_model(layers=16, width=2048, format="Q8_0")
    least = total(planned(a_machine(), model, Goal(context=256), COSTS).memory)[MEMORY]
    refusal = make_plan(a_machine(), model, Goal(context=32768, memory=Bytes(least + 40 * MIB)), COSTS)
    assert isinstance(refusal, Refusal)
    assert refusal.lacking[MEMORY] > 0
    assert any(256 < (goal.context or 0) < 32768 for goal in refusal.nearest)
    assert any(goal.memory and goal.memory > least for goal in refusal.nearest)
    assert refusal.smaller and refusal.smaller[1] < model.size


@pytest.mark.parametrize(("seconds", "start", "fused"), [(3e-8, 0, False), (5.9e-8, 0, True), (3e-8, 1e-4, True)])
def test_attention_is_computed_in_parts_where_that_was_seen_to_be_faster(seconds, start, fused):
    looks = Look(64, 1, 6e-8, 6e-8), Look(64, 1, seconds, seconds, fused=False, start=start)
    machine, model = a_machine(cores=1), a_model(layers=24)

    def chosen(machine=machine, **goal):
        return planned(machine, model, Goal(**goal), Costs(looks=looks)).choices["flash_attention"].value

    assert chosen() is fused
    assert chosen(sequences=2) and chosen(approximate=True, kv_type="q8_0")
    assert chosen(a_machine(cores=1, gpu=2**34))


def test_threads_follow_the_measured_times():
    model = a_model(layers=2, width=256)
    one = RowTimes(1, True, (1, 2), (1e-4, 2e-4))
    four = RowTimes(4, True, (1, 2), (3e-4, 4e-4))
    plan = planned(a_machine(), model, Goal(), replace(COSTS, rows=(one, four)))
    assert plan.choices["threads"].value == 1 and "measured on this model" in plan.decode.rests_on
    large = replace(COSTS, rows=(replace(one, seconds=(5e-1, 6e-1)), four))
    assert planned(a_machine(), model, Goal(), large).choices["threads"].value == 4


def test_a_card_takes_every_layer_that_fits_and_experts_stay_behind_first():
    model = a_model(layers=10, width=1024, experts=16)
    large = planned(a_machine(gpu=8 * 2**30), model, Goal(), COSTS)
    assert chosen(large)["gpu_layers"] == 11 and GPU in total(large.memory)
    small = chosen(planned(a_machine(gpu=2**30), model, Goal(), COSTS))
    assert small["gpu_layers"] == 11 and 0 < small["experts_in_memory"] <= 10
    options = engine_options(planned(a_machine(gpu=2**30), model, Goal(), COSTS))
    assert options.overrides and options.overrides[0][1] == "CPU"
    none = planned(a_machine(gpu=2**30), model, Goal(), replace(COSTS, offloads=False))
    assert chosen(none)["gpu_layers"] == 0


def test_the_engine_is_opened_with_what_was_planned():
    plan = planned(a_machine(), a_model(), Goal(context=5000, sequences=3, threads=2), COSTS)
    options = engine_options(plan)
    assert options.path == "model.gguf" and options.overrides == ()
    for name, value in chosen(plan).items():
        if name != "experts_in_memory" and not name.startswith("draft_"):
            assert getattr(options, name) == value


@pytest.mark.parametrize("name", card_names())
def test_every_card_has_a_plan_for_a_model_of_a_gigabyte(name):
    machine, model = load_card(name), a_model(layers=24, width=2048, vocabulary=151936)
    plan = planned(machine, model, Goal(), usual_costs(machine))
    assert plan.choices["context"].value == USUAL_CONTEXT
    assert 1 < plan.decode.likely < 2000
    assert (chosen(plan)["gpu_layers"] > 0) == bool(machine.accelerators)
