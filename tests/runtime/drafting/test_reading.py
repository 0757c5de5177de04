"""Reading takes a small share of the time, whoever reads, unless guesses pay for it."""

from hypothesis import given
from hypothesis import strategies as st

from accel.runtime.drafting.reading import _SHARE, Reading

from .drafted import context

LONG = context(list(range(100)))
NEW = context(list(range(200)), number=1)


@given(st.lists(st.tuples(st.floats(1e-4, 1.0), st.integers(1, 50)), max_size=60), st.floats(1e-6, 1e-2))
def test_reading_takes_a_small_share_of_the_time_but_for_the_first_text(steps, each):
    reading, spent, elapsed = Reading(), 0.0, 0.0
    reading.took("some", [LONG], 100 * each)
    reading.paid("some", 100 * each)
    for number, (seconds, tokens) in enumerate(steps, 1):
        reading.elapsed(seconds)
        elapsed += seconds
        text = context(list(range(tokens)), number=number)
        if reading.affords("some", text, 0.0, 0.0):
            spent += reading.cost("some", text)
            reading.paid("some", reading.cost("some", text))
    assert spent <= _SHARE * elapsed * (1 + 1e-9)


def test_what_takes_next_to_no_time_beside_a_prompts_own_forward_is_read_at_once():
    reading = Reading()
    reading.took("some", [LONG], 100 * 2e-6)
    assert reading.affords("some", NEW, row=1e-3, gains=0.0)
    assert not reading.affords("some", NEW, row=1e-4, gains=0.0)


def test_gains_pay_for_reading():
    reading = Reading()
    reading.took("some", [LONG], 0.1)
    assert not reading.affords("some", NEW, 0.0, gains=0.19)
    assert reading.affords("some", NEW, 0.0, gains=0.21)


def test_a_text_that_is_new_is_read_whatever_it_takes():
    reading = Reading()
    assert reading.took("some", [context([1, 2])], 0.5) == 0.5
    assert reading.took("some", [context([1, 2, 3])], 0.5) == 0.0  # nothing is known of what a token takes


def test_who_tells_how_long_it_read_is_believed():
    reading = Reading()
    assert reading.took("some", [LONG], 0.5, told=0.2) == 0.2
    assert reading.cost("some", NEW) == 200 * 0.002
    assert reading.took("some", [context(list(range(101)))], 0.5, told=0.3) == 0.3
