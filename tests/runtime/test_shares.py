"""Every character that is given or left out is somebody's."""

from hypothesis import given
from hypothesis import strategies as st

from accel.runtime.shares import Shares

lengths = st.lists(st.integers(0, 4), max_size=12)


def dealt(owners: list[int], uses: list[tuple[int, bool]]) -> list[tuple[int, int]]:
    """What is told of owners with so many characters, of which so many are taken or dropped, one use after another."""
    shares = Shares[int]()
    for owner, length in enumerate(owners):
        shares.add(owner, length)
    found: list[tuple[int, int]] = []
    for count, taken in uses:
        if taken:
            found += shares.take(count)
        else:
            shares.drop(count)
    return found


@given(lengths, st.lists(st.tuples(st.integers(0, 5), st.booleans()), max_size=12))
def test_an_owner_is_told_once_with_its_first_character_that_is_taken(owners, uses):
    fates = [taken for count, taken in uses for _ in range(count)]
    expected: list[tuple[int, int]] = []
    at = 0
    for owner, length in enumerate(owners):
        own = fates[at : at + max(length, 1)]  # one of none shares the next one's
        if True in own:
            expected.append((owner, length - own.index(True) if length else 0))
        at += length
    assert dealt(owners, uses) == expected


@given(lengths, st.lists(st.booleans(), max_size=30))
def test_it_does_not_matter_how_many_are_used_at_once(owners, fates):
    runs: list[tuple[int, bool]] = []
    for taken in fates:
        count = runs.pop()[0] if runs and runs[-1][1] == taken else 0
        runs.append((count + 1, taken))
    assert dealt(owners, runs) == dealt(owners, [(1, taken) for taken in fates])


def test_owners_may_come_between_uses():
    shares = Shares[str]()
    shares.add("a", 3)
    assert shares.take(2) == [("a", 3)]
    shares.add("b", 0)
    assert shares.take(1) == []
    shares.add("c", 2)
    assert shares.take(1) == [("b", 0), ("c", 2)]
