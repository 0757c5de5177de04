"""Reading takes a small share of the time, whoever reads."""

from hypothesis import given
from hypothesis import strategies as st

from accel.runtime.drafting.reading import _SHARE, Reading

from .drafted import context

LONG = context(list(range(100)))


@given(st.lists(st.floats(0, 1e-3), min_size=1, max_size=5), st.floats(1e-4, 1.0))
def test_those_who_are_asked_read_in_a_small_share_of_the_time_together(costs, plain):
    reading, names = Reading(), [str(number) for number in range(len(costs))]
    for name, seconds in zip(names, costs, strict=True):
        assert reading.took(name, [LONG], 100 * seconds) == 100 * seconds
    asked = reading.affordable(names, plain)
    assert sum(costs[int(name)] for name in asked) <= _SHARE * plain * (1 + 1e-9)
    if costs[0] <= _SHARE * plain:
        assert asked[0] == "0"  # the first come first


def test_who_was_too_slow_is_asked_again_later():
    reading = Reading()
    reading.took("slow", [LONG], 1.0)
    waited = next(times for times in range(1000) if reading.affordable(["slow"], 1.0))
    assert 10 < waited < 100


def test_a_text_that_is_new_is_read_whatever_it_takes():
    reading = Reading()
    assert reading.took("some", [context([1, 2])], 0.5) == 0.5
    assert reading.took("some", [context([1, 2, 3])], 0.5) == 0.0  # nothing is known of what a token takes
