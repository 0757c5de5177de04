"""Experts that come and go through the system's cache: whoever looks sees the file at any time, what is held is in
memory, what goes leaves it, and what cannot be read is told with its place."""

import errno
import os
import random
import threading
import time
from collections.abc import Callable, Iterator
from io import FileIO
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from accel.errors import EngineError, ModelChanged, ModelUnreadable
from accel.offload import advice, warmed
from accel.offload.pinned import Part
from accel.offload.store import ABSENT, FAILED, PAGE, RESIDENT, Store, _library
from accel.offload.warmed import Warmed, warm

from .cached import cached_pages, leave
from .test_store import EXPERTS, Bench, make

ALL = np.arange(2 * EXPERTS, dtype=np.int32)
SHAPES = [((8 * PAGE, 4 * PAGE), PAGE), ((9 * PAGE - 96, 5 * PAGE + 32), 4000), ((1500, 700), 32)]
needs_maps = pytest.mark.skipif(not Path("/proc/self/maps").exists(), reason="no mappings are told here")

pytestmark = needs_maps


@pytest.fixture(params=SHAPES)
def bench(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Bench]:
    sizes, first = request.param
    bench = make(tmp_path / "model.gguf", sizes, first, Warmed)
    yield bench
    bench.store.close()
    bench.mapping.close()


def pages(bench: Bench, number: int) -> set[int]:
    """All that the expert lies on."""
    parts = bench.layout.slices(bench.store.expert(number))
    return {page for part in parts for page in range(part.offset // PAGE, -(-part.end // PAGE))}


def own(bench: Bench, number: int) -> set[int]:
    """Those that it shares with nothing else."""
    parts = bench.layout.slices(bench.store.expert(number))
    return {page for part in parts for page in range(-(-part.offset // PAGE), part.end // PAGE)}


def left(bench: Bench, pages: set[int]) -> bool:
    """Whether the system's cache let these pages go, but for one that the system itself may hold just now."""
    return len(pages & cached_pages(bench.path)) <= 1


def load_all(bench: Bench) -> None:
    for number in ALL.tolist():
        bench.store.load(number, 0)


def faulty(monkeypatch: pytest.MonkeyPatch, fault: Callable[[int, memoryview], int | None]) -> list[int]:
    """`fault` is asked before each read: how many bytes it brings at most, or None. Where it answered or raised."""
    happened: list[int] = []
    read = warmed._read

    def reads(file: FileIO, offset: int, into: memoryview) -> int:
        try:
            most = fault(offset, into)
        except OSError:
            happened.append(offset)
            raise
        if most is None:
            return read(file, offset, into)
        happened.append(offset)
        return read(file, offset, into[:most])

    monkeypatch.setattr(warmed, "_read", reads)
    return happened


def test_slots_have_the_sizes_that_they_would_have_if_pages_moved(bench):
    if _library() is None:
        pytest.skip("store.c is not compiled here")
    moving = Store(bench.layout, [bench.base], threads=1)
    assert bench.store.rooms == moving.rooms and bench.store.layers == moving.layers
    moving.close()


def test_what_was_loaded_is_in_memory_and_leaves_it_when_it_goes(bench):
    leave(bench.path)
    for number in ALL.tolist():
        bench.store.load(number, 0)
        bench.store.wait(np.array([number]))
        assert bench.store.state[number] == RESIDENT and pages(bench, number) <= cached_pages(bench.path)
        assert bench.seen(bench.store.expert(number))  # whoever looked maps them
        bench.store.evict(number)
        assert bench.store.state[number] == ABSENT and left(bench, own(bench, number))
    assert bench.all_seen()
    assert bench.store.counts[:2] == (sum(int(bench.layout.size_of(layer)) for layer in (1, 3)) * EXPERTS, len(ALL))
    assert bench.store.read.sum() == bench.store.counts[0]


def test_pages_that_a_held_neighbour_shares_stay_until_it_goes_too(bench):
    leave(bench.path)
    trio = np.array([1, 2, 3])
    for number in trio.tolist():
        bench.store.load(number, 0)
    bench.store.wait(trio)
    bench.store.evict(2)
    kept = pages(bench, 1) | pages(bench, 3)
    assert kept <= cached_pages(bench.path) and left(bench, pages(bench, 2) - kept)
    bench.store.evict(1)
    bench.store.evict(3)
    assert left(bench, own(bench, 1) | own(bench, 2) | own(bench, 3))
    if len(own(bench, 2)) > 1:  # else a page may be more than two experts'
        assert left(bench, pages(bench, 2))


def test_a_victim_leaves_as_its_slot_is_taken(bench):
    leave(bench.path)
    bench.store.load(0, 0)
    bench.store.wait(np.array([0]))
    bench.store.load(4, 0, victim=0)
    assert bench.store.state[0] == ABSENT
    bench.store.wait(np.array([4]))
    assert pages(bench, 4) <= cached_pages(bench.path) and left(bench, own(bench, 0))


@settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    moves=st.lists(st.tuples(st.integers(0, 2 * EXPERTS - 1), st.integers(0, 2), st.booleans(), st.booleans())),
)
def test_whatever_comes_and_goes_every_byte_is_the_files_and_what_is_held_is_there(bench, moves):
    """Three slots a layer, and some that ask wait for what they asked for."""
    store = bench.store
    for number in np.flatnonzero(store.state == RESIDENT).tolist():
        store.evict(number)
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
    assert sorted(np.flatnonzero(store.state == RESIDENT)) == sorted(holders.values())


def test_many_reads_are_in_flight_while_others_look(bench):
    wrong: list[int] = []
    over = threading.Event()

    def look() -> None:
        while not over.is_set():
            wrong.extend(number for number in ALL.tolist() if not bench.seen(bench.store.expert(number)))

    watcher = threading.Thread(target=look)
    watcher.start()
    for _ in range(10):
        for number in ALL.tolist():
            bench.store.load(number, 0, urgent=number % 2 == 0)
        bench.store.hurry(EXPERTS + 1)
        bench.store.wait(ALL)
        for number in ALL.tolist():
            bench.store.evict(number)
    over.set()
    watcher.join()
    assert not wrong and bench.store.counts[1] == 10 * len(ALL) and bench.store.rate > 0


def one_thread(path: Path) -> Bench:
    sizes, first = SHAPES[0]
    return make(path, sizes, first, lambda layout, bases, threads: Warmed(layout, bases, 1))


def test_a_victim_that_came_again_before_its_slot_is_read_into_stays(tmp_path, monkeypatch):
    bench = one_thread(tmp_path / "model.gguf")
    bench.store.load(4, 0)
    bench.store.wait(np.array([4]))
    ends = threading.Event()
    faulty(monkeypatch, lambda *_: ends.wait(10) and None)
    bench.store.load(0, 1)
    bench.store.load(2, 0, victim=4, urgent=False)
    bench.store.load(4, 2)
    ends.set()
    bench.store.wait(np.array([0, 2, 4]))
    assert pages(bench, 2) | pages(bench, 4) <= cached_pages(bench.path)
    bench.store.close()
    bench.mapping.close()


def test_who_is_hurried_overtakes_those_who_wait(tmp_path, monkeypatch):
    bench = one_thread(tmp_path / "model.gguf")
    begun: list[int] = []
    gate = threading.Event()

    def waits(offset: int, into: memoryview) -> None:
        gate.wait(10)
        begun.append(offset)

    faulty(monkeypatch, waits)
    bench.store.load(0, 0)
    for number in (1, 2, 3):
        bench.store.load(number, 0, urgent=False)
    bench.store.hurry(3)
    gate.set()
    bench.store.wait(np.array([0, 1, 2, 3]))
    firsts = [int(bench.layout.slices(bench.store.expert(number))[0].offset) for number in (0, 3, 1, 2)]
    assert [offset for offset in begun if offset in firsts] == firsts
    bench.store.close()
    bench.mapping.close()


def test_reads_that_bring_less_than_asked_for_are_made_again(bench, monkeypatch):
    happened = faulty(monkeypatch, lambda _, into: random.randint(1, len(into)) if random.random() < 0.5 else None)
    for _ in range(10):
        leave(bench.path)
        load_all(bench)
        bench.store.wait(ALL)
        assert set().union(*(pages(bench, number) for number in ALL.tolist())) <= cached_pages(bench.path)
        for number in ALL.tolist():
            bench.store.evict(number)
    assert len(happened) > 50


def test_a_disk_that_fails_names_the_expert_and_the_place_and_the_others_come(bench, monkeypatch):
    broken = EXPERTS + 3
    part = bench.layout.slices(bench.store.expert(broken))[1]
    works = False

    def fault(offset: int, into: memoryview) -> None:
        if not works and offset < part.end and offset + len(into) > part.offset:
            raise OSError(errno.EIO, "the disk fails")

    happened = faulty(monkeypatch, fault)
    load_all(bench)
    place = rf"expert 3 of layer 3, at byte {int(part.offset)} of .*model.gguf: Input/output"
    with pytest.raises(ModelUnreadable, match=place):
        bench.store.wait(ALL)
    assert happened and np.flatnonzero(bench.store.state != RESIDENT).tolist() == [broken]
    assert bench.store.state[broken] == FAILED and bench.all_seen()
    works = True
    bench.store.state[broken] = ABSENT
    bench.store.load(broken, 0)
    bench.store.wait(ALL)


def test_a_read_that_never_ends_is_told_after_a_while(bench, monkeypatch):
    ends = threading.Event()
    faulty(monkeypatch, lambda *_: ends.wait(20) and None)
    load_all(bench)
    with pytest.raises(EngineError, match=r"expert \d of layer 1, at byte \d+ of .* takes too long"):
        bench.store.wait(ALL, seconds=0.01)
    ends.set()


def test_a_file_that_was_written_to_is_neither_read_from_nor_looked_at(bench):
    bench.store.touch(4)
    os.utime(bench.path)
    bench.store.load(3, 0)
    with pytest.raises(ModelChanged, match=r"expert 3 of layer 1"):
        bench.store.wait(np.array([3]))
    with pytest.raises(ModelChanged, match=r"expert 4 of layer 1"):
        bench.store.touch(4)


def test_a_file_cut_off_while_it_is_read_is_told(bench, monkeypatch):
    end = bench.layout.layers[3][0].offset
    faulty(monkeypatch, lambda *_: time.sleep(0.002))
    load_all(bench)
    os.truncate(bench.path, end)
    with pytest.raises((ModelChanged, ModelUnreadable), match=r"expert \d of layer \d"):
        bench.store.wait(ALL)
    assert bench.mapping[: end // PAGE * PAGE] == bench.content[: end // PAGE * PAGE]


def test_a_file_that_ends_too_early_names_the_expert_and_the_place(bench):
    about = bench.path.stat()
    os.truncate(bench.path, bench.layout.layers[3][0].offset)
    os.utime(bench.path, ns=(about.st_atime_ns, about.st_mtime_ns))
    bench.store.load(EXPERTS, 0)
    with pytest.raises((ModelChanged, ModelUnreadable), match=r"expert 0 of layer 3, at byte \d+ of"):
        bench.store.wait(np.array([EXPERTS]))


def test_a_file_that_is_not_there_is_told_and_leaves_no_thread_behind(bench):
    bench.path.rename(bench.path.with_suffix(".gone"))
    before = threading.active_count()
    with pytest.raises(ModelUnreadable, match=r"model\.gguf"):
        Warmed(bench.layout, [bench.base])
    assert threading.active_count() == before


def test_closing_ends_the_threads_whatever_still_waits(tmp_path, monkeypatch):
    bench = make(tmp_path / "model.gguf", *SHAPES[0], Warmed)
    faulty(monkeypatch, lambda *_: time.sleep(0.01))
    load_all(bench)
    bench.store.close()
    assert not any(reader.is_alive() for reader in bench.store._readers)
    assert bench.store.counts[1] < len(ALL)
    bench.mapping.close()


def test_where_the_system_takes_no_advice_experts_come_and_go_all_the_same(bench, monkeypatch):
    monkeypatch.delattr(os, "posix_fadvise", raising=False)
    monkeypatch.setattr("ctypes.CDLL", lambda *_, **__: None)
    advice._libc.cache_clear()
    load_all(bench)
    bench.store.wait(ALL)
    bench.store.evict(0)
    bench.store.touch(0)
    bench.store.forget(0)
    assert bench.all_seen() and np.count_nonzero(bench.store.state == RESIDENT) == len(ALL) - 1
    advice._libc.cache_clear()


def test_what_every_token_needs_is_read_ahead(tmp_path):
    path = tmp_path / "dense"
    path.write_bytes(bytes(40 * PAGE))
    leave(path)
    warm([Part(path, PAGE, 0, 3 * PAGE), Part(path, 20 * PAGE, 0, 5 * PAGE)], readers=2)
    assert {1, 2, 3, *range(20, 25)} <= cached_pages(path)
    with pytest.raises(ModelUnreadable, match="ends within its weights"):
        warm([Part(path, 39 * PAGE, 0, 2 * PAGE)], readers=2)
    with pytest.raises(ModelUnreadable, match="cannot read"):
        warm([Part(tmp_path / "missing", 0, 0, PAGE)], readers=2)
