"""What was measured is believed; between and beyond it the lines are straight and never foolish."""

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from accel.runtime.costs import (
    KERNELS,
    MEASURED,
    Costs,
    DryRun,
    RowTimes,
    attention_seconds,
    decode_seconds,
    forward_seconds,
    prefill_seconds,
    usual_costs,
)
from accel.runtime.footprint import Placement
from accel.units import Bytes

from .planning import a_machine, a_model, kernels, machines, models

PLACEMENT = Placement(4096, 1, "f16", 512, 32)


def dry(context, size, **other):
    usual = {"sequences": 1, "kv_type": "f16", "ubatch": 512, "outputs": 32, "fused": True}
    return DryRun(**{**usual, **other}, context=context, size=size)


def test_a_dry_run_is_taken_as_it_was_and_between_two_the_line():
    costs = Costs(dry_runs=(dry(1024, Bytes(100)), dry(4096, Bytes(400)), dry(8192, Bytes(9), ubatch=128)))
    model = a_model()
    assert costs.compute_buffer(model, PLACEMENT) == 400
    assert costs.compute_buffer(model, replace(PLACEMENT, context=2048)) == 200
    assert costs.compute_buffer(model, replace(PLACEMENT, context=8192)) == 800
    assert costs.compute_buffer(model, replace(PLACEMENT, fused=False)) > 400


@given(models, st.integers(1, 60_000), st.sampled_from(["f16", "q8_0"]))
@settings(max_examples=50, deadline=None)
def test_without_dry_runs_the_buffer_has_an_upper_bound(model, context, kv_type):
    placement = replace(PLACEMENT, context=context, kv_type=kv_type)
    size = Costs().compute_buffer(model, placement)
    assert size >= 4 * placement.ubatch * model.width + 4 * placement.outputs * model.vocabulary
    assert size >= 2 * placement.ubatch * placement.cells  # the attention's mask


def test_times_between_measured_rows_lie_on_the_line_and_none_is_less_than_the_least():
    times = RowTimes(1, True, (1, 2, 4, 8), (1.0, 1.5, 2.0, 6.0))
    assert [times.of(rows) for rows in (1, 2, 3, 4, 6, 8, 10)] == [1.0, 1.5, 1.75, 2.0, 4.0, 6.0, 8.0]
    assert RowTimes(1, True, (4,), (2.0,)).of(8) == 4.0
    assert RowTimes(1, True, (1, 2), (2.0, 1.0)).of(30) == 1.0


@given(machines, models, st.booleans())
@settings(max_examples=50, deadline=None)
def test_what_was_measured_on_the_model_is_what_is_estimated(machine, model, repack):
    times = RowTimes(2, repack, (1, 4, 32), (0.01, 0.02, 0.1))
    costs = Costs(rows=(times,))
    for rows in (1, 4, 32):
        found = forward_seconds(machine, model, replace(PLACEMENT, repack=repack), costs, 2, rows)
        assert found == pytest.approx(times.of(rows))
    otherwise = replace(PLACEMENT, repack=not repack)
    assert costs.rests_on(model, 2, replace(PLACEMENT, repack=repack)) == MEASURED
    assert not costs.rests_on(model, 2, otherwise).startswith(MEASURED)


@given(machines, models, st.integers(1, 16), st.integers(1, 31))
@settings(max_examples=50, deadline=None)
def test_more_rows_take_longer_and_a_row_of_many_less_than_one(machine, model, threads, rows):
    some, more = (forward_seconds(machine, model, PLACEMENT, Costs(), threads, n) for n in (rows, rows + 1))
    assert 0 < some <= more
    one = decode_seconds(machine, model, PLACEMENT, Costs(), threads)
    assert prefill_seconds(machine, model, PLACEMENT, Costs(), threads) <= one
    assert attention_seconds(machine, model, PLACEMENT, Costs(), threads, 100) <= attention_seconds(
        machine, model, PLACEMENT, Costs(), threads, 200
    )


def test_measured_kernels_are_used_and_scaled_to_other_threads():
    machine, model = a_machine(cores=4), a_model(layers=40, width=2048)
    part = next(part for part in model.weights if part.format == "Q4_0")
    costs = Costs(kernels=kernels("Q4_0", 2), repacked={"Q4_0": 8})
    exact = costs.kernel(machine, part, False, 2)
    assert exact in costs.kernels and not exact.repacked
    assert costs.kernel(machine, part, True, 2).repacked
    four = costs.kernel(machine, part, False, 4)
    assert four.cached == 2 * exact.cached and exact.streamed <= four.streamed <= 2 * exact.streamed
    assert costs.rests_on(a_model(format="F16"), 2, PLACEMENT) not in (MEASURED, KERNELS)


def test_a_model_with_experts_reads_only_those_it_uses():
    machine = a_machine()
    dense, sparse = a_model(layers=20, width=1024), a_model(layers=20, width=1024, experts=16)
    one = decode_seconds(machine, dense, PLACEMENT, Costs(), 4)
    assert sparse.size > 8 * dense.size
    assert one < decode_seconds(machine, sparse, PLACEMENT, Costs(), 4) < 4 * one


def test_instruction_sets_tell_what_is_repacked():
    assert usual_costs(a_machine()).repacked["Q4_0"] == 8  # avx2
    none = a_machine()
    assert usual_costs(replace(none, processor=replace(none.processor, features=()))).repacked == {}
