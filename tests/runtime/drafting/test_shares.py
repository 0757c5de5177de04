"""What is kept of how often guesses stood."""

import math
import struct

import pytest

from accel.runtime.drafting.acceptance import Acceptance
from accel.runtime.drafting.kept import save_kept
from accel.runtime.drafting.shares import DRAFTERS, load_shares, save_shares

MODEL = "0" * 32


def seen(right: int, wrong: int) -> Acceptance:
    found = Acceptance()
    for number in range(right + wrong):
        found.learn(0, 0, number % (right + wrong) < right)
    return found


def test_shares_of_who_guessed_often_are_kept_and_others_stay_what_they_were(tmp_path):
    save_shares(tmp_path, MODEL, {"copying": seen(90, 10), "ngrams": seen(2, 1)})
    first = load_shares(tmp_path, MODEL)
    assert list(first) == ["copying"] and 0.7 < first["copying"] < 0.95
    save_shares(tmp_path, MODEL, {"recycling": seen(10, 90), "copying": seen(1, 0)})
    assert load_shares(tmp_path, MODEL) == {**first, "recycling": pytest.approx(0.05, abs=0.05)}
    assert load_shares(tmp_path, "1" * 32) == {}


def test_where_little_was_seen_nothing_is_written(tmp_path):
    save_shares(tmp_path, MODEL, {"copying": seen(3, 3)})
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("value", [math.nan, math.inf, -0.5, 1.5])
def test_what_is_no_share_is_not_believed(tmp_path, value):
    save_kept(tmp_path, "shares", MODEL, struct.pack("<4d", value, 0.5, 1.0, 0.0))
    assert load_shares(tmp_path, MODEL) == dict(zip(DRAFTERS[1:], (0.5, 1.0, 0.0), strict=True))
