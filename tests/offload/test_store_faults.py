"""Experts whose reads are late, cut short, interrupted or fail: nobody sees other bytes than the file's, and what
cannot be read is told with its place."""

import errno
import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from accel.errors import EngineError, ModelChanged, ModelUnreadable
from accel.offload.store import ABSENT, FAILED, PAGE, RESIDENT, Store, _library

from ..conftest import Faults
from .test_store import EXPERTS, Bench, make

pytestmark = pytest.mark.skipif(_library() is None, reason="store.c is not compiled here")

ALL = np.arange(2 * EXPERTS, dtype=np.int32)


@pytest.fixture(params=[((8 * PAGE, 4 * PAGE), PAGE), ((9 * PAGE - 96, 5 * PAGE + 32), 4000), ((1500, 700), 32)])
def bench(request: pytest.FixtureRequest, tmp_path: Path, faults: Faults) -> Iterator[Bench]:
    bench = make(tmp_path / "model.gguf", *request.param)
    yield bench
    bench.store.close()
    bench.mapping.close()


def load_all(bench: Bench) -> None:
    for number in ALL.tolist():
        bench.store.load(number, bench.slot(number, number % EXPERTS))


def evict_all(bench: Bench) -> None:
    for number in np.flatnonzero(bench.store.state == RESIDENT).tolist():
        bench.store.evict(number)


def comes(bench: Bench, number: int) -> bool:
    try:
        bench.store.wait(np.array([number]))
    except ModelUnreadable:
        return False
    return True


def inner_pages(bench: Bench, number: int) -> set[int]:
    """Those that this expert shares with no other."""
    found: set[int] = set()
    for part in bench.layout.slices(bench.store.expert(number)):
        found.update(range(-(-part.offset // PAGE), part.end // PAGE))
    return found


def test_reads_that_bring_less_than_asked_for_and_interrupted_ones_are_made_again(bench, faults):
    faults.cut, faults.interrupt = 6, 5
    for _ in range(20):
        load_all(bench)
        bench.store.wait(ALL)
        assert bench.all_seen() and (bench.store.state == RESIDENT).all()
        evict_all(bench)
    assert faults.happened > 50


def test_a_disk_that_fails_names_the_expert_and_the_place_and_the_others_come(bench, faults):
    broken = EXPERTS + 3
    part = bench.layout.slices(bench.store.expert(broken))[1]
    faults.fail(part.offset + part.size // 2, part.offset + part.size // 2 + 1, errno.EIO)
    load_all(bench)
    place = rf"expert 3 of layer 3, at byte {int(part.offset)} of .*model.gguf: Input/output"
    with pytest.raises(ModelUnreadable, match=place):
        bench.store.wait(np.array([broken]))
    failed = {number for number in ALL.tolist() if not comes(bench, number)}
    assert broken in failed and faults.happened and bench.all_seen()
    assert len(failed) == 1 or part.size < PAGE  # those that share its page share its fate
    faults.fail(0, 0, 0)
    bench.store.state[bench.store.state == FAILED] = ABSENT
    bench.store.load(broken, bench.slot(broken, 3))
    bench.store.wait(np.array([broken]))
    assert bench.seen(bench.store.expert(broken))


def test_a_file_cut_off_while_it_is_read_is_an_error_of_the_file_and_harms_no_mapping(bench, faults):
    """Places of what did not come still show the mapping; only those before the end may be looked at."""
    end = bench.layout.layers[3][0].offset
    faults.delay = 2_000_000
    load_all(bench)
    os.truncate(bench.path, end)
    with pytest.raises((ModelChanged, ModelUnreadable), match=r"expert \d of layer \d"):
        bench.store.wait(ALL)
    whole = end // PAGE * PAGE
    assert bench.mapping[:whole] == bench.content[:whole]


def test_a_read_that_never_ends_is_told_after_a_while(bench, faults):
    faults.delay = 900_000_000
    load_all(bench)
    with pytest.raises(EngineError, match=r"expert \d of layer 1, at byte \d+ of .* takes too long"):
        bench.store.wait(ALL, seconds=0.01)
    faults.delay = 0


def test_an_expert_read_again_before_its_old_slot_is_taken_is_shown_from_the_new_one(bench, faults):
    """The read that takes the slot waits, and is overtaken by one that needs the expert after all."""
    bench.store.close()
    store = bench.store = Store(bench.layout, [bench.base], threads=1)
    for _ in range(5):
        faults.delay = 0
        store.load(0, bench.slot(0, 0))
        store.wait(np.array([0]))
        faults.delay = 3_000_000
        store.load(5, bench.slot(5, 5), urgent=False)
        store.load(1, bench.slot(0, 0), victim=0, urgent=False)
        store.load(0, bench.slot(0, 2), urgent=True)
        store.wait(np.array([0, 1, 5]))
        assert bench.all_seen()
        assert inner_pages(bench, 0) | inner_pages(bench, 1) | inner_pages(bench, 5) <= bench.shown_pages()
        evict_all(bench)


@settings(deadline=None, max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    moves=st.lists(
        st.tuples(st.integers(0, 2 * EXPERTS - 1), st.integers(0, 2), st.booleans(), st.sampled_from([0, 0, 0, 1])),
        max_size=30,
    )
)
def test_whatever_overtakes_what_in_the_end_all_that_is_resident_is_shown(bench, faults, moves):
    """Reads are slow and pile up; now and then somebody waits for what he asked for last."""
    store = bench.store
    evict_all(bench)
    faults.delay = 200_000
    holders: dict[int, int] = {}
    for number, place, urgent, waits in moves:
        slot = bench.slot(number, place)
        victim = holders.get(slot, -1)
        if store.state[number] == ABSENT and (victim < 0 or store.state[victim] == RESIDENT):
            store.load(number, slot, victim, urgent)
            holders[slot] = number
            if waits:
                store.wait(np.array([number]))
        assert bench.all_seen()
    store.wait(np.array(list(holders.values()), np.int32))
    assert bench.all_seen() and sorted(np.flatnonzero(store.state == RESIDENT)) == sorted(holders.values())
    for number in holders.values():
        assert inner_pages(bench, number) <= bench.shown_pages()  # those that two share may show the file
