"""What was measured of stand-ins is believed where it can be, and says what is to be expected between and beyond."""

import math
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from accel.runtime.quality import GIVEN, StandIns, standard_error
from accel.units import Bytes, from_json, to_json

from .planning import a_quality, measured_stand_ins, qualities, some_stand_ins


def missing(share: float) -> float:
    """Bytes that an exact token lacks."""
    return 1e6 * (1 - share) ** 2


def test_on_its_own_writing_the_divergence_decides_and_on_a_given_text_the_difference():
    own = a_quality(kl=0.004, kl_error=0.001, exact=8.0, approximate=8.0 * math.exp(0.009), error=0.005)
    assert own.loss == pytest.approx(math.expm1(0.004)) and own.worst_loss == pytest.approx(math.expm1(0.005))
    told = replace(own, text=GIVEN)
    assert told.loss == pytest.approx(math.expm1(0.009)) and told.worst_loss == pytest.approx(math.expm1(0.014))


def test_what_it_costs_is_said_in_words():
    words = a_quality(served_low=0.21, kl=0.004).words
    assert words == (
        "stand-ins for 21% of uses: perplexity +0.4%, KL 0.004 nats, measured on 512 tokens of its own writing"
    )
    assert "of uses, 3% left out: " in a_quality(skipped=0.03).words
    assert a_quality(low=0.8, skip=0.8, skipped=0.03).words.startswith("3% of uses left out: perplexity")


@given(qualities)
def test_what_was_measured_survives_json_and_is_sound(quality):
    assert from_json(to_json(quality), type(quality)) == quality
    assert quality.sound and math.isfinite(quality.worst_loss)


@pytest.mark.parametrize(
    "wrong",
    [
        {"share": 0.0}, {"share": 1.1}, {"low": -0.1}, {"low": math.nan}, {"kl": -1e-9}, {"kl": math.inf}, {"kl": 1e9},
        {"error": math.nan}, {"exact": 0.5}, {"approximate": math.inf}, {"approximate": math.nan}, {"tokens": 0},
        {"tokens": 2**40}, {"read": Bytes(-1)}, {"read_exact": Bytes(2**63)}, {"text": "a dream"}, {"missed": 2.0},
    ],
    ids=str,
)  # fmt: skip
def test_what_cannot_have_been_measured_is_not_sound(wrong):
    assert not a_quality(**wrong).sound


@given(measured_stand_ins, st.booleans(), st.floats(0.01, 1), st.floats(0.01, 1))
def test_more_experts_in_memory_never_read_more_and_stand_ins_never_more_than_exact_ones(all_of_them, mode, one, other):
    found = all_of_them.of(mode)
    if found:
        less, more = sorted((one, other))
        assert missing(more) * 0.999999 - 1e-6 <= max(missing(more), found.read(more, missing))
        assert 0 <= found.read(more, missing) <= found.read(less, missing) * 1.000001 + 1e-6
        assert found.read(less, missing) <= missing(less) * 1.000001


def test_at_what_was_measured_reading_is_as_much_less_as_it_was_there():
    found = some_stand_ins((0.6, 0.65, 0.7)).of(False)
    assert found
    for share, part in ((0.25, 0.6), (0.4, 0.65), (0.6, 0.7)):
        assert found.read(share, missing) == pytest.approx(part * missing(share))
    assert found.read(0.3, missing) == pytest.approx(2 / 3 * 0.6 * missing(0.25) + 1 / 3 * 0.65 * missing(0.4))
    assert found.read(1.0, missing) == 0


def test_with_fewer_experts_than_were_measured_more_is_read_and_lost():
    found = some_stand_ins((0.6, 0.65, 0.7)).of(False)
    assert found
    more = missing(0.1) / missing(0.25)
    assert found.read(0.1, missing) == pytest.approx(0.6 * missing(0.25) * more)
    expected = found.expected(0.1, missing)
    assert expected.kl == pytest.approx(0.004 * more) and expected.served_low == pytest.approx(0.2 * more)
    assert expected.share == 0.1 and expected.sound


def test_what_depends_on_gate_scores_alone_loses_no_more_with_fewer_experts_in_memory():
    found = some_stand_ins().of(True)
    assert found and found.expected(0.1, missing) == found.qualities[0]


def test_between_two_shares_the_loss_lies_between():
    few, many = a_quality(0.2, kl=0.008, served_low=0.3), a_quality(0.4, kl=0.002, served_low=0.1)
    found = StandIns("x", Bytes(0), (many, few)).of(False)
    assert found
    half = found.expected(0.3, missing)
    assert (half.kl, half.served_low, half.share) == (pytest.approx(0.005), pytest.approx(0.2), pytest.approx(0.3))
    assert found.expected(0.9, missing) == many and found.expected(0.2, missing).kl == pytest.approx(0.008)


@given(measured_stand_ins, st.floats(0.001, 1))
def test_what_is_expected_is_sound_wherever_it_is_asked(all_of_them, share):
    if found := all_of_them.of(False):
        assert found.expected(share, missing).sound


def test_what_was_measured_in_one_way_says_nothing_of_the_other():
    found = some_stand_ins(modes=(False,))
    assert found.of(True) is None and found.of(False) is not None
    assert StandIns().of(False) is None


@given(st.lists(st.floats(-1, 1), min_size=1, max_size=200))
def test_an_error_is_none_or_more(values):
    assert standard_error(values) >= 0


def test_neighbours_that_are_alike_make_the_error_larger():
    alike = [float(i // 16 % 2) for i in range(320)]
    mixed = [float(i % 2) for i in range(320)]
    assert standard_error(alike) > 0.1 > standard_error(mixed) == 0
    assert standard_error([0.0, 1.0]) == pytest.approx(0.5) and standard_error([1.0]) == 0
