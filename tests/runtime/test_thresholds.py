"""Thresholds are those that read the fewest bytes of those that lose little, on all tokens and with the error added."""

from hypothesis import given
from hypothesis import strategies as st

from accel.runtime.quality import OFF, Quality
from accel.runtime.thresholds import CANDIDATES, LOWS, MOST_LOSS, SKIPS, choose

from .planning import a_quality


class Bench:
    """A model that loses so much for each step of boldness; a part of the tokens shows `flattered` of it."""

    def __init__(self, low=0.001, skip=0.0008, error=0.0, flattered=1.0, reading=lambda low, skip: low * skip) -> None:
        self.low, self.skip, self.error, self.flattered, self.reading = low, skip, error, flattered, reading
        self.asked: list[tuple[float, float, bool]] = []

    def __call__(self, low: float, skip: float, whole: bool) -> Quality:
        self.asked.append((low, skip, whole))
        kl = sum(low <= each for each in LOWS) * self.low + SKIPS.index(skip) * self.skip
        kl *= 1 if whole else self.flattered
        return a_quality(low=low, skip=skip, kl=kl, kl_error=self.error, reading=self.reading(low, skip))


def test_where_little_is_lost_the_boldest_is_chosen():
    found = choose(Bench())
    assert found and (found.low, found.skip) == (LOWS[-1], SKIPS[-1])


def test_where_the_most_careful_loses_too_much_nothing_is():
    bench = Bench(low=0.02, skip=0.02)
    assert choose(bench) is None
    assert bench.asked == [(LOWS[0], OFF, False), (SKIPS[1], SKIPS[1], False)]  # all others are bolder


def test_what_passed_by_luck_is_found_out_and_a_more_careful_one_chosen():
    found = choose(Bench(low=0.004, skip=0.001, flattered=0.4))
    assert found and found.worst_loss <= MOST_LOSS
    assert (found.low, found.skip) == (LOWS[1], SKIPS[1])


def test_the_error_counts_against_it():
    sure, unsure = choose(Bench(low=0.002, skip=0.01)), choose(Bench(low=0.002, skip=0.01, error=0.003))
    assert sure and unsure and sure.low < unsure.low


def test_where_stand_ins_save_nothing_some_uses_are_left_out_and_nothing_stands_in():
    found = choose(Bench(low=0.004, reading=lambda low, skip: skip if low == skip else skip * (2 - low)))
    assert found and found.low == found.skip < OFF


def test_of_those_that_read_alike_the_one_that_loses_less_is_chosen():
    found = choose(Bench(skip=0.002, reading=lambda low, skip: 0.5))
    assert found and (found.low, found.skip) == (LOWS[0], OFF)


def test_none_bolder_than_asked_is_tried():
    bench = Bench()
    found = choose(bench, boldest=(0.7, 0.95))
    assert found and (found.low, found.skip) == (0.7, 0.95)
    assert all(low >= 0.7 and skip >= 0.95 for low, skip, _ in bench.asked)


@given(st.floats(0, 0.02), st.floats(0, 0.02), st.floats(0, 0.01), st.floats(0.1, 2))
def test_whatever_is_chosen_loses_little_and_little_work_is_done(low, skip, error, flattered):
    bench = Bench(low, skip, error, flattered)
    found = choose(bench)
    assert found is None or found.worst_loss <= MOST_LOSS
    assert len(set(bench.asked)) == len(bench.asked) <= 2 * len(CANDIDATES)
    if found is None and flattered <= 1:
        assert bench(LOWS[0], OFF, True).worst_loss > MOST_LOSS
