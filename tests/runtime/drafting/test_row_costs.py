"""What forwards are thought to cost, however badly they were measured."""

from hypothesis import given
from hypothesis import strategies as st

from accel.runtime.costs import RowTimes
from accel.runtime.drafting.control import Controller, Guess
from accel.runtime.drafting.draft import Draft
from accel.runtime.drafting.row_costs import RowCosts

ROWS = (1, 2, 4, 8, 16)


@given(st.floats(1, 200), st.integers(2, 16))
def test_rows_together_are_told_to_cost_no_more_than_one_after_the_other(wrong, rows):
    costs = RowCosts(RowTimes(1, False, ROWS, (0.01, *(0.011 * wrong,) * 4)))
    assert 0.01 <= costs.of(rows) <= rows * 0.01 * (1 + 1e-9)


@given(st.floats(0.25, 4), st.integers(2, 16))
def test_what_is_seen_of_some_rows_corrects_all(differing, rows):
    times = RowTimes(1, False, ROWS, (0.01, 0.012, 0.014, 0.016, 0.02))
    costs = RowCosts(times)
    for _ in range(60):
        costs.seen(1, 0.01)
        costs.seen(4, 0.014 * differing)
    assert abs(costs.of(rows) / (times.of(rows) * differing) - 1) < 0.01


@given(st.integers(1, 16), st.floats(10, 1000))
def test_one_forward_that_another_program_held_up_counts_as_a_slow_one_and_no_more(rows, late):
    costs = RowCosts(RowTimes(1, False, ROWS, (0.01, 0.012, 0.014, 0.016, 0.02)))
    for _ in range(20):
        costs.seen(rows, 0.01 * rows**0.25)
    before = costs.of(rows)
    costs.seen(rows, late * before)
    assert before <= costs.of(rows) < 2 * before


def test_a_curve_that_was_spoiled_by_another_program_does_not_switch_drafting_off_for_good():
    control = Controller(RowCosts(RowTimes(1, False, ROWS, (0.01, 0.9, 1.1, 1.2, 1.4))))
    right = Guess("copying", Draft.chain([1] * 7), (0,) * 7)
    drafted = 0
    for _ in range(300):
        (decided,) = control.decide([right])
        if decided:
            drafted += 1
            count = len(decided.draft) + 1
            control.stepped([right], [[1] * count], 0.01 + 0.001 * count, count)
        else:
            control.decoded(right, [1], 0.01)
    assert drafted > 250
