"""Drafting in a plan: what it takes is part of the plan, it takes nothing else away, and it is given up first."""

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from accel.runtime.costs import RowTimes
from accel.runtime.footprint import GPU, MEMORY, total
from accel.runtime.model import ModelSpec
from accel.runtime.plan import Plan, draft_options, engine_options, make_plan
from accel.runtime.search import Goal, draft_placements_to_try
from accel.runtime.speculation import BUDGETS, Point
from accel.units import Bytes, from_json, to_json

from .planning import MIB, a_machine, a_model, costs, goals, machines, models, sizes
from .test_plan import COSTS, chosen, planned

FLAT = RowTimes(4, True, (1, 32), (0.01, 0.012))
TIMED = replace(COSTS, rows=(FLAT,))
DRAFT = a_model(layers=1, width=256)
HELPED = replace(TIMED, draft=replace(COSTS, vocabulary=Bytes(MIB)))
drafts = st.one_of(st.none(), st.builds(a_model, layers=st.integers(1, 3), width=st.sampled_from([64, 256])))


def drafting(machine, model, goal, costs, draft: ModelSpec | None = None, **more) -> Plan:
    return planned(machine, model, replace(goal, drafting=True, **more), replace(costs, draft=COSTS), draft)


def chosen_point(plan: Plan) -> Point | None:
    wanted = plan.speculation
    found = (p for p in plan.drafting if wanted and (p.nodes, p.model) == (wanted.nodes, wanted.draft is not None))
    return next(found, None)


def asked_for(plan: Plan) -> int:
    """Of all memory, but for what is left for prompts."""
    return sum(total(plan.memory).values()) - plan.prompts


def needed(plan: Plan) -> Bytes:
    return total(plan.memory)[MEMORY]


@given(machines, models, goals, costs, drafts)
@settings(max_examples=60, deadline=None)
def test_what_drafts_take_is_what_the_plan_grows_by_and_nothing_else_changes(machine, model, goal, costs, draft):
    plain = make_plan(machine, model, goal, costs)
    if not isinstance(plain, Plan):
        return
    plan = drafting(machine, model, goal, costs, draft)
    grown = asked_for(plan) - asked_for(plain)
    at = [p for p in plan.drafting if plan.speculation and p.nodes == plan.speculation.nodes]
    assert grown == (
        0 if not plan.speculation else next(p for p in at if p.model == bool(plan.speculation.draft)).memory
    )
    before, after = chosen(plain), chosen(plan)
    same = [name for name in before if name != "outputs" and not name.startswith("draft_")]
    assert [after[name] for name in same] == [before[name] for name in same]
    assert after["outputs"] == before["outputs"] + after["draft_nodes"]
    assert plan.decode == plain.decode and plan.prefill == plain.prefill
    assert plan.prompts == plain.prompts or (goal.prompts is None and plan.prompts < plain.prompts)


@given(machines, models, goals, costs, drafts)
@settings(max_examples=60, deadline=None)
def test_drafts_fit_and_every_choice_has_its_reason(machine, model, goal, costs, draft):
    if isinstance(make_plan(machine, model, goal, costs), Plan):
        plan = drafting(machine, model, goal, costs, draft)
        taken, value = total(plan.memory), chosen(plan)
        assert taken[MEMORY] <= min(machine.memory.free, goal.memory or machine.memory.free)
        assert taken.get(GPU, 0) <= (machine.accelerators[0].free if machine.accelerators else 0)
        assert value["draft_nodes"] in (0, *BUDGETS) and value["draft_leaves"] <= max(1, value["draft_nodes"])
        assert value["draft_nodes"] or not value["draft_model"]
        assert all(choice.reason for choice in plan.choices.values())
        assert from_json(to_json(plan), Plan) == plan


@given(machines, models, goals, costs, drafts, sizes)
@settings(max_examples=60, deadline=None)
def test_more_memory_never_gives_less_context_nor_slower_drafts_beside_the_same_engine(
    machine, model, goal, costs, draft, more
):
    goal = replace(goal, memory=None)
    if not isinstance(make_plan(machine, model, goal, costs), Plan):
        return
    free = Bytes(machine.memory.free + more)
    larger = replace(machine, memory=replace(machine.memory, total=free, free=free))
    before, after = (drafting(each, model, goal, costs, draft) for each in (machine, larger))
    assert after.prefill.likely >= before.prefill.likely * 0.999 or after.decode.likely > before.decode.likely
    same = [name for name in chosen(before) if name != "outputs" and not name.startswith("draft_")]
    if all(chosen(before)[name] == chosen(after)[name] for name in same):
        assert speed_up(after) >= speed_up(before) * 0.999


def speed_up(plan: Plan) -> float:
    point = chosen_point(plan)
    return point.speed_up if point else 1.0


def test_under_a_ceiling_trees_shrink_then_drafting_goes_and_the_context_stays():
    model, goal = a_model(vocabulary=151936), Goal(context=4096, sequences=4)
    plain = needed(planned(a_machine(), model, goal, TIMED))
    whole = drafting(a_machine(), model, goal, TIMED)
    assert whole.speculation and needed(whole) > plain
    nodes = []
    for share in (1.0, 0.8, 0.6, 0.0):
        plan = drafting(a_machine(), model, replace(goal, memory=Bytes(plain + share * (needed(whole) - plain))), TIMED)
        assert (chosen(plan)["context"], chosen(plan)["kv_type"], chosen(plan)["repack"]) == (4096, "f16", True)
        nodes.append(chosen(plan)["draft_nodes"])
    assert nodes == sorted(nodes, reverse=True) and nodes[0] > nodes[1] > 0 == nodes[-1]
    assert "more than is left" in plan.choices["draft_nodes"].reason


def test_a_draft_model_is_opened_as_planned_and_is_given_up_before_the_drafters_without_one():
    model, goal = a_model(layers=24, width=1024), Goal(context=4096)
    plan = drafting(a_machine(), model, goal, HELPED, DRAFT)
    assert chosen(plan)["draft_model"] == "model.gguf" and plan.speculation and plan.speculation.placement
    parts = {part.what: part for part in plan.memory}
    for name in ("draft weights", "draft repacked weights", "draft KV cache", "draft compute buffer", "draft logits"):
        assert parts[name].size > 0
    assert (parts["draft weights"].kind, parts["draft KV cache"].kind) == ("mapped", "anonymous")
    options, draft = engine_options(plan), draft_options(plan)
    assert draft and draft.context == options.context and draft.threads == options.threads and draft.repack
    tight = drafting(a_machine(), model, replace(goal, memory=Bytes(needed(plan) - MIB)), HELPED, DRAFT)
    assert chosen(tight)["draft_model"] in ("", "model.gguf") and chosen(tight)["draft_nodes"] > 0
    room = needed(plan) - sum(part.size for part in plan.memory if part.what.startswith("draft "))
    tighter = drafting(a_machine(), model, replace(goal, memory=Bytes(room)), HELPED, DRAFT)
    assert not chosen(tighter)["draft_model"] and chosen(tighter)["draft_nodes"] > 0
    assert "does not fit" in tighter.choices["draft_model"].reason and draft_options(tighter) is None


def test_a_model_whose_state_cannot_be_taken_back_drafts_nothing_at_no_cost():
    model = replace(a_model(), recurrent=True, state=Bytes(MIB))
    plan, plain = drafting(a_machine(), model, Goal(), TIMED), planned(a_machine(), model, Goal(), TIMED)
    assert chosen(plan)["draft_nodes"] == 0 and "taken back" in plan.choices["draft_nodes"].reason
    assert plan.memory == plain.memory and engine_options(plan) == engine_options(plain)
    helper = replace(DRAFT, recurrent=True)
    other = drafting(a_machine(), a_model(layers=24, width=1024), Goal(), HELPED, helper)
    assert chosen(other)["draft_nodes"] > 0 and "taken back" in other.choices["draft_model"].reason


def test_where_rows_cost_as_much_as_tokens_nothing_is_drafted_and_it_is_said():
    dear = replace(COSTS, rows=(RowTimes(4, True, (1, 32), (0.01, 0.32)),))
    plan = drafting(a_machine(), a_model(), Goal(), dear)
    assert chosen(plan)["draft_nodes"] == 0 and "no draft could pay" in plan.choices["draft_nodes"].reason
    assert plan.memory == planned(a_machine(), a_model(), Goal(), dear).memory


def test_until_rows_with_logits_were_timed_there_are_as_many_as_fit():
    assert chosen(drafting(a_machine(), a_model(), Goal(), COSTS))["draft_nodes"] == BUDGETS[-1]
    last_only = replace(COSTS, rows=(replace(FLAT, outputs=1),))
    plan = drafting(a_machine(), a_model(), Goal(), last_only)
    assert chosen(plan)["draft_nodes"] == BUDGETS[-1] and "timed" in plan.choices["draft_nodes"].reason
    steep = replace(COSTS, rows=(RowTimes(4, True, (1, 2, 4, 32), (0.01, 0.011, 0.015, 0.12)),))
    assert chosen(drafting(a_machine(), a_model(), Goal(), steep))["draft_nodes"] < 8


def test_who_shares_a_context_gets_cells_for_drafts_and_who_has_it_alone_none():
    alone, shared = (drafting(a_machine(), a_model(), Goal(4096, count), TIMED) for count in (1, 4))
    assert "candidate KV" not in {part.what for part in alone.memory} and not engine_options(alone).candidates
    assert "candidate KV" in {part.what for part in shared.memory}
    options = engine_options(shared)
    assert options.context == 4096 and options.candidates == chosen(shared)["draft_nodes"]
    assert options.outputs == 4 + options.candidates >= options.sequences + options.branches


def test_as_many_nodes_as_asked_for_are_planned_whatever_pays():
    for nodes in (1, 31):
        plan = drafting(a_machine(), a_model(), Goal(), TIMED, draft_nodes=nodes)
        assert chosen(plan)["draft_nodes"] == nodes and plan.choices["draft_nodes"].reason == "as asked"
    assert drafting(a_machine(), a_model(), Goal(), TIMED, draft_nodes=0).speculation is None


@pytest.mark.parametrize("context", [None, 3000])
def test_a_draft_model_is_dry_run_for_every_context_that_may_be_planned(context):
    goal = Goal(context=context, sequences=2)
    tried = draft_placements_to_try(a_model(), goal)
    plan = drafting(a_machine(), a_model(layers=24, width=1024), goal, HELPED, DRAFT)
    assert plan.speculation and plan.speculation.placement
    place = plan.speculation.placement
    assert (place.context, place.outputs, place.ubatch) in {(p.context, p.outputs, p.ubatch) for p in tried}
