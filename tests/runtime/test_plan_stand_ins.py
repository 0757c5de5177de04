"""A plan takes measured stand-ins where another text is allowed and they make it faster, says so, and stays in its
memory."""

from dataclasses import replace

import pytest

from accel.runtime.costs import Costs
from accel.runtime.expert_costs import bytes_per_token, expert_rooms, kept_share
from accel.runtime.footprint import MEMORY, Placement, footprint, total
from accel.runtime.plan import Plan, cautions, engine_options, make_plan
from accel.runtime.quality import OFF, StandIns
from accel.runtime.search import Goal
from accel.runtime.show_plan import show
from accel.units import Bytes

from .planning import MIB, a_machine, a_model, a_quality, some_stand_ins

MODEL = a_model(layers=8, width=1024, experts=64)
COSTS = Costs(process=(Bytes(40 * MIB), Bytes(25 * MIB)), stand_ins=some_stand_ins())


def planned(costs: Costs = COSTS, share: float = 0.5, **goal) -> Plan:
    """With memory for about this share of the experts."""
    whole = total(footprint(MODEL, Placement(512, 1, "f16", 128, 32), costs))[MEMORY]
    memory = Bytes(whole - (1 - share) * MODEL.bytes_of("experts"))
    plan = make_plan(a_machine(moves=True), MODEL, Goal(context=512, memory=memory, **goal), costs)
    assert isinstance(plan, Plan) and plan.choices["expert_memory"].value
    return plan


def value(plan: Plan, name: str):
    return plan.choices[name].value


def test_where_another_text_is_allowed_they_are_chosen_and_it_is_faster():
    exact, approximate = planned(), planned(approximate=True)
    assert not value(exact, "low_experts") and value(approximate, "low_experts") == "model.low.gguf"
    assert approximate.decode.likely > 1.1 * exact.decode.likely
    assert approximate.prefill.likely <= exact.prefill.likely
    assert (value(approximate, "low_above"), value(approximate, "skip_above")) == (0.6, OFF)
    options = engine_options(approximate)
    assert (options.low_experts, options.low_above, options.skip_above) == ("model.low.gguf", 0.6, OFF)
    assert options.deterministic is False and not engine_options(exact).low_experts


def test_what_they_cost_is_said_and_labelled_approximate():
    plan = planned(approximate=True)
    words = "perplexity +0.4%, KL 0.004 nats, measured on 512 tokens of its own writing"
    reason = plan.choices["low_experts"].reason
    assert words in reason and "stand-ins for 20% of uses" in reason
    (label,) = (caution for caution in cautions(plan) if caution.startswith("approximate: "))
    assert words in label and "changes the text" in label
    assert "measured stand-ins" in plan.choices["expert_memory"].reason
    assert not any("approximate" in caution for caution in cautions(planned()))


def test_exact_and_approximate_speed_stand_side_by_side_whatever_was_asked(capsys):
    exact, approximate = planned(), planned(approximate=True)
    for plan in (exact, approximate):
        assert plan.stand_ins and plan.stand_ins.exact.likely < plan.stand_ins.approximate.likely
        assert "perplexity +0.4%" in plan.stand_ins.quality
    assert exact.stand_ins and approximate.stand_ins
    assert exact.decode == exact.stand_ins.exact == approximate.stand_ins.exact
    assert approximate.decode == approximate.stand_ins.approximate
    show(exact)
    shown = " ".join(capsys.readouterr().out.split())
    assert "exact" in shown and "approximate" in shown and "stand-ins for" in shown


def test_what_depends_on_gate_scores_alone_is_taken_where_it_is_asked_for_and_was_measured():
    plan = planned(approximate=True, deterministic=True)
    assert value(plan, "deterministic") is True and engine_options(plan).deterministic
    lacking = replace(COSTS, stand_ins=some_stand_ins(modes=(False,)))
    plan = planned(lacking, approximate=True, deterministic=True)
    assert not value(plan, "low_experts") and "gate scores alone" in plan.choices["low_experts"].reason
    assert plan.stand_ins is None


def test_with_nothing_beside_the_model_it_is_said_how_it_would_be_faster():
    costs = replace(COSTS, stand_ins=StandIns(problem="none: `accel-export experts model.gguf` would make it faster"))
    plan = planned(costs, approximate=True)
    assert any("accel-export experts model.gguf" in caution for caution in cautions(plan))
    assert plan.stand_ins is None and not any("accel-export" in caution for caution in cautions(planned(costs)))


@pytest.mark.parametrize("reading", [1.0, 1.3, 0.99])
def test_stand_ins_that_spare_next_to_no_reading_are_left_alone(reading):
    plan = planned(replace(COSTS, stand_ins=some_stand_ins((reading,) * 3)), approximate=True)
    assert not value(plan, "low_experts") and "would not make it faster" in plan.choices["low_experts"].reason
    assert plan.decode == planned().decode


def test_where_all_experts_fit_none_is_replaced():
    plan = make_plan(a_machine(moves=True), MODEL, Goal(approximate=True), COSTS)
    assert isinstance(plan, Plan) and not value(plan, "low_experts") and plan.stand_ins is None


def test_memory_that_they_are_read_into_is_part_of_what_experts_may_take():
    plan, exact = planned(approximate=True), planned()
    kept, staging = ({part.what: part for part in plan.memory}[name] for name in ("experts", "room to read stand-ins"))
    assert (staging.size, staging.kind, kept.kind) == (MIB, "anonymous", "pinned")
    assert kept.size + staging.size == value(plan, "expert_memory") == value(exact, "expert_memory")
    assert total(plan.memory) == total(exact.memory)


def test_memory_that_would_leave_too_little_for_a_token_is_not_taken():
    rooms = sum(expert_rooms(MODEL))
    stand_ins = replace(COSTS.stand_ins, staging=Bytes(0.5 * MODEL.experts * rooms))
    plan = planned(replace(COSTS, stand_ins=stand_ins), share=0.45, approximate=True)
    assert not value(plan, "low_experts") and "memory that experts need" in plan.choices["low_experts"].reason


def test_fewer_experts_than_were_measured_are_told_as_extrapolated():
    plan = planned(share=0.15, approximate=True)
    reason = plan.choices["low_experts"].reason
    assert "extrapolated from 25%" in reason
    assert float(reason.split("KL ")[1].split()[0]) > 0.004


def test_a_prompt_is_read_with_experts_in_full():
    placement = Placement(512, 1, "f16", 128, 32, expert_memory=16 * sum(expert_rooms(MODEL)) + MIB)
    approximate = replace(placement, stand_ins=some_stand_ins().of(False))
    assert kept_share(MODEL, approximate) == pytest.approx(0.25)
    assert bytes_per_token(MODEL, approximate, None) == pytest.approx(
        0.6 * bytes_per_token(MODEL, replace(placement, expert_memory=placement.expert_memory - MIB), None), rel=1e-3
    )
    plan, exact = planned(approximate=True), planned()
    assert plan.prefill.likely == pytest.approx(exact.prefill.likely, rel=0.05)


def test_thresholds_that_leave_experts_out_say_so():
    found = tuple(a_quality(share, 0.5, skip=0.9, skipped=0.02) for share in (0.25, 0.6))
    plan = planned(replace(COSTS, stand_ins=StandIns("x.low.gguf", Bytes(0), found)), approximate=True)
    assert value(plan, "skip_above") == 0.9 and "left out where" in plan.choices["skip_above"].reason
    assert "2% left out" in plan.choices["low_experts"].reason
