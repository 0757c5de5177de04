"""How often drafters were right is known again after a restart, and nothing else is believed."""

import math
import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from accel.errors import DiskFull
from accel.runtime.drafting.acceptance import DEEPEST, KINDS, SHARES, Acceptance
from accel.runtime.drafting.kept import save_kept
from accel.runtime.drafting.kept_acceptance import kept_names, load_acceptance, load_shares, save_acceptance

MODEL = "0" * 32
NAMES = ("copying", "ngrams", "model of some kind")
guesses = st.lists(st.tuples(st.integers(0, KINDS - 1), st.integers(0, 20), st.booleans()), max_size=200)


def learned(seen: list[tuple[int, int, bool]]) -> Acceptance:
    found = Acceptance()
    for kind, depth, right in seen:
        found.learn(kind, depth, right)
    return found


@settings(max_examples=60, deadline=None)
@given(guesses.filter(bool), guesses.filter(bool))
def test_what_was_kept_thinks_the_same(tmp_path_factory, one, other):
    folder = tmp_path_factory.mktemp("kept")
    seen = {"copying": learned(one), "ngrams": learned(other)}
    save_acceptance(folder, MODEL, NAMES, seen)
    found = load_acceptance(folder, MODEL, NAMES)
    assert found.keys() == seen.keys()
    for name, each in found.items():
        assert each.overall == seen[name].overall and each.any(1.0) == seen[name].any(1.0)
        for kind in range(KINDS):
            for depth in range(DEEPEST + 3):
                assert each.of(kind, depth, 0.5) == seen[name].of(kind, depth, 0.5)


def test_of_another_name_it_is_not(tmp_path):
    save_acceptance(tmp_path, MODEL, NAMES, {name: learned([(1, 1, True)]) for name in NAMES})
    assert set(load_acceptance(tmp_path, MODEL, ("copying", "ngrams", "model of another"))) == {"copying", "ngrams"}
    assert load_acceptance(tmp_path, MODEL, NAMES[:2]) == {}
    assert load_acceptance(tmp_path, "1" * 32, NAMES) == {}
    assert load_acceptance(tmp_path / "nowhere", MODEL, NAMES) == {}


@pytest.mark.parametrize(
    "pair", [(math.nan, 1.0), (1.0, math.nan), (2.0, 1.0), (-1.0, 3.0), (0.0, math.inf), (5.0, 1e9), (-0.5, -0.1)]
)
@pytest.mark.parametrize("place", [0, 1, SHARES - 1])
def test_numbers_that_cannot_be_are_not_believed(tmp_path, pair, place):
    save_acceptance(tmp_path, MODEL, ("one", "two"), {name: learned([(1, 1, True)]) for name in ("one", "two")})
    table = learned([(1, 1, True)]).table()
    whole = dict(zip(("one", "two"), [[*table], [*table]], strict=True))
    whole["two"][2 * place : 2 * place + 2] = pair
    marks = _marks(tmp_path)
    payload = b"".join(
        struct.pack(f"<16s{2 * SHARES}d", mark, *whole[name]) for mark, name in zip(marks, whole, strict=True)
    )
    save_kept(tmp_path, "acceptance", MODEL, payload)
    assert set(load_acceptance(tmp_path, MODEL, ("one", "two"))) == {"one"}


def _marks(folder) -> list[bytes]:
    (path,) = folder.glob("acceptance-*.kept")
    data = path.read_bytes()
    size = 16 + 16 * SHARES
    return [data[len(data) - 2 * size :][:16], data[len(data) - size :][:16]]


def test_a_table_of_another_length_is_none():
    assert Acceptance.of_table([0.0] * (2 * SHARES - 1)) is None
    assert Acceptance.of_table([0.0] * (2 * SHARES + 2)) is None


def test_a_kind_that_is_not_kept_is_learned_again():
    seen = learned([(KINDS + 3, 0, True)])
    found = Acceptance.of_table(seen.table())
    assert found and found.overall == seen.overall and found.of(KINDS + 3, 0) == found.overall


def test_a_full_disk_leaves_what_was_there(tmp_path, monkeypatch):
    save_acceptance(tmp_path, MODEL, ("one",), {"one": learned([(1, 1, True)])})
    before = [path.read_bytes() for path in tmp_path.iterdir()]

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(DiskFull):
        save_acceptance(tmp_path, MODEL, ("one",), {"one": learned([(1, 1, False)])})
    assert [path.read_bytes() for path in tmp_path.iterdir()] == before


def test_a_plan_hears_of_those_whose_guesses_were_seen_often_enough(tmp_path):
    often = learned([(3, 0, number % 10 > 0) for number in range(100)])
    names = kept_names("draft")
    save_acceptance(tmp_path, MODEL, list(names.values()), {"copying": often, "ngrams": learned([(3, 0, True)] * 3)})
    assert load_shares(tmp_path, MODEL, "draft") == {"copying": often.overall}
    save_acceptance(tmp_path, MODEL, list(names.values()), {names["model"]: often})
    assert load_shares(tmp_path, MODEL, "draft") == {"model": often.overall}
    assert load_shares(tmp_path, MODEL, "another") == {} == load_shares(tmp_path, "1" * 32)
