"""Experts move into and out of a mapping of their files, and whoever looks sees the file's bytes at any time."""

import mmap
import os
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from accel.errors import ModelChanged, ModelUnreadable
from accel.offload.layout import Expert, ExpertTensor, Layout
from accel.offload.mapped import mappings_of
from accel.offload.store import ABSENT, PAGE, RESIDENT, Store, _library
from accel.units import Bytes

from .cached import cached_pages, leave

EXPERTS = 6

pytestmark = pytest.mark.skipif(_library() is None, reason="store.c is not compiled here")


@dataclass
class Bench:
    """A file that holds two layers of experts, a mapping of it, and a store over both."""

    path: Path
    layout: Layout
    content: bytes
    mapping: mmap.mmap
    base: int  # of the mapping
    store: Any  # a Store or a Warmed

    def seen(self, expert: Expert) -> bool:
        """Whether the expert's place shows the bytes of the file."""
        return all(self.mapping[part.offset : part.end] == self.content[part.offset : part.end]
                   for part in self.layout.slices(expert))  # fmt: skip

    def all_seen(self) -> bool:
        return self.mapping[:] == self.content

    def slot(self, expert: int, place: int) -> int:
        """The offset of a layer's slot with this number, where every layer has a slot for each expert."""
        layer = expert // EXPERTS
        return sum(self.store.rooms[:layer]) * EXPERTS + place * self.store.rooms[layer]

    def shown_pages(self) -> set[int]:
        """Numbers of the file's pages whose place shows a slot."""
        found: set[int] = set()
        for line in Path("/proc/self/maps").read_text().splitlines():
            start, end = (int(side, 16) for side in line.split()[0].split("-"))
            if "memfd:experts" in line and self.base <= start < self.base + len(self.content):
                found.update(range((start - self.base) // PAGE, (end - self.base) // PAGE))
        return found


def make(path: Path, sizes: tuple[int, ...], first: int, kind: Callable[..., Any] = Store) -> Bench:
    """Slices of these sizes in two layers, the first of them at this offset."""
    layers: dict[int, tuple[ExpertTensor, ...]] = {}
    at = first
    for layer in (1, 3):
        tensors = []
        for number, size in enumerate(sizes):
            tensors.append(ExpertTensor(f"ffn_{number}_exps", 0, at, Bytes(size), "Q4_0"))
            at += EXPERTS * size
        layers[layer] = tuple(tensors)
    content = np.random.default_rng(at).bytes(at + 100)
    path.write_bytes(content)
    layout = Layout((path,), (Bytes(len(content)),), EXPERTS, layers)
    with path.open("rb") as file:
        mapping = mmap.mmap(file.fileno(), 0, mmap.MAP_SHARED, mmap.PROT_READ)
    (mapped,) = mappings_of(path)
    return Bench(path, layout, content, mapping, mapped.base, kind(layout, [mapped.base], threads=3))


@pytest.fixture(params=[((2 * PAGE, PAGE), PAGE), ((3 * PAGE - 96, 2 * PAGE + 32), 4000), ((1500, 700), 32)])
def bench(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Bench]:
    bench = make(tmp_path / "model.gguf", *request.param)
    yield bench
    bench.store.close()
    bench.mapping.close()


def test_an_expert_moves_in_and_out_and_its_place_shows_the_same_bytes(bench):
    pages: set[int] = set()
    for number in range(2 * EXPERTS):
        bench.store.load(number, bench.slot(number, number % EXPERTS))
        bench.store.wait(np.array([number]))
        assert bench.store.state[number] == RESIDENT and bench.all_seen()
        for part in bench.layout.slices(bench.store.expert(number)):
            pages.update(range(part.offset // PAGE, -(-part.end // PAGE)))
    assert bench.shown_pages() == pages  # they did move
    for number in range(2 * EXPERTS):
        bench.store.evict(number)
        assert bench.store.state[number] == ABSENT and bench.all_seen()
    assert not bench.shown_pages()


def test_a_victim_gives_its_slot_to_who_comes(bench):
    slot = bench.slot(0, 0)
    bench.store.load(0, slot)
    bench.store.wait(np.array([0]))
    for number in range(1, EXPERTS):
        bench.store.load(number, slot, victim=number - 1)
        bench.store.wait(np.array([number]))
        assert bench.store.state[:EXPERTS].tolist().count(RESIDENT) == 1 and bench.all_seen()


@settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(moves=st.lists(st.tuples(st.integers(0, 2 * EXPERTS - 1), st.integers(0, 2), st.booleans()), max_size=40))
def test_whatever_comes_and_goes_every_byte_is_the_files(bench, moves):
    """Three slots a layer: an expert that is loaded into a taken one takes its place."""
    store = bench.store
    for number in np.flatnonzero(store.state == RESIDENT).tolist():
        store.evict(number)
    holders: dict[int, int] = {}
    for number, place, urgent in moves:
        slot = bench.slot(number, place)
        if store.state[number] == RESIDENT:
            store.evict(number)
            holders = {at: holder for at, holder in holders.items() if holder != number}
        else:
            victim = holders.get(slot, -1)
            store.load(number, slot, victim, urgent)
            holders[slot] = number
            store.wait(np.array([number]))
        assert bench.all_seen()
    assert sorted(np.flatnonzero(store.state == RESIDENT)) == sorted(holders.values())


def test_many_reads_are_in_flight_while_others_look(bench):
    wrong: list[Expert] = []
    over = threading.Event()

    def look() -> None:
        while not over.is_set():
            wrong.extend(e for layer in (1, 3) for i in range(EXPERTS) if not bench.seen(e := Expert(layer, i)))

    watcher = threading.Thread(target=look)
    watcher.start()
    numbers = np.arange(2 * EXPERTS)
    for _ in range(20):
        for number in numbers.tolist():
            bench.store.load(number, bench.slot(number, number % EXPERTS), urgent=number % 2 == 0)
        bench.store.hurry(EXPERTS)
        bench.store.wait(numbers)
        for number in numbers.tolist():
            bench.store.evict(number)
    over.set()
    watcher.join()
    assert not wrong
    assert bench.store.counts[1] == 20 * 2 * EXPERTS


def test_what_was_given_back_takes_no_memory(bench):
    bench.store.load(0, bench.slot(0, 0))
    bench.store.wait(np.array([0]))
    bench.store.evict(0)
    blocks = os.fstat(bench.store._memory_file).st_blocks
    bench.store.free(bench.slot(0, 0), bench.store.rooms[0])
    assert os.fstat(bench.store._memory_file).st_blocks < blocks


def test_where_nothing_is_read_directly_the_systems_cache_keeps_no_copy_of_what_was_read(tmp_path, monkeypatch):
    monkeypatch.delattr(os, "O_DIRECT")
    bench = make(tmp_path / "model.gguf", (3 * PAGE - 96, 2 * PAGE + 32), 4000)
    leave(bench.path)
    assert not bench.store.direct
    for number in range(2 * EXPERTS):
        bench.store.load(number, bench.slot(number, number % EXPERTS))
    bench.store.wait(np.arange(2 * EXPERTS))
    left = cached_pages(bench.path)
    assert len(left) <= 2 and len(bench.shown_pages()) > 50  # a page that is on its way meanwhile may stay
    assert bench.all_seen()
    bench.store.close()
    bench.mapping.close()


def test_a_file_that_was_written_to_is_not_read_from(bench):
    with bench.path.open("r+b") as file:
        file.seek(bench.layout.layers[1][0].offset)
        file.write(b"other")
    bench.store.load(4, bench.slot(4, 0))
    with pytest.raises(ModelChanged, match=r"expert 4 of layer 1"):
        bench.store.wait(np.array([4]))


def test_a_file_that_was_written_to_is_not_looked_at_either(bench):
    """An expert without a slot is computed with from the mapping, which shows what was written."""
    bench.store.touch(4)
    os.utime(bench.path)
    with pytest.raises(ModelChanged, match=r"expert 4 of layer 1"):
        bench.store.touch(4)


def test_a_file_that_ends_too_early_names_the_expert_and_the_place(bench, tmp_path):
    about = bench.path.stat()
    os.truncate(bench.path, bench.layout.layers[3][0].offset)
    os.utime(bench.path, ns=(about.st_atime_ns, about.st_mtime_ns))
    bench.store.load(EXPERTS, bench.slot(EXPERTS, 0))
    with pytest.raises((ModelChanged, ModelUnreadable), match=r"expert 0 of layer 3, at byte \d+ of"):
        bench.store.wait(np.array([EXPERTS]))
