"""Memory that is taken shows, and as what it is."""

import mmap
import os

from accel.devices.resident import resident

SIZE = 32 * 2**20


def test_memory_that_is_taken_and_touched_is_anonymous():
    before = sum(resident())
    taken = bytearray(os.urandom(SIZE))
    assert sum(resident()) - before > 0.9 * len(taken)


def test_pages_of_a_file_are_mapped(tmp_path):
    file = tmp_path / "pages"
    file.write_bytes(os.urandom(SIZE))
    anonymous, mapped = resident()
    if not mapped:
        return  # a system that does not tell them apart
    with file.open("rb") as source, mmap.mmap(source.fileno(), 0, access=mmap.ACCESS_READ) as pages:
        assert sum(pages[:: mmap.PAGESIZE]) > 0
        after = resident()
    assert after[1] - mapped > 0.9 * SIZE > after[0] - anonymous
