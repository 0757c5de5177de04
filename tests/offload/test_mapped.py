"""What is mapped of a file is told run by run, and one mapping is not taken for another."""

import ctypes
import mmap
import sys
from pathlib import Path

import pytest

from accel.errors import EngineError
from accel.offload.mapped import mapped_anew, mappings_of

PAGE = mmap.PAGESIZE
MAP_FIXED = 0x10

pytestmark = pytest.mark.skipif(not Path("/proc/self/maps").is_file(), reason=f"{sys.platform} does not tell")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "a model of 8 pages.gguf"
    path.write_bytes(bytes(8 * PAGE - 100))
    return path


def map_file(path: Path) -> mmap.mmap:
    with path.open("rb") as file:
        return mmap.mmap(file.fileno(), 0, mmap.MAP_SHARED, mmap.PROT_READ)


def test_a_file_mapped_whole_is_one_run(path):
    with map_file(path):
        (mapped,) = mappings_of(path)
        assert mapped.runs == ((0, 8 * PAGE),) and mapped.holds(5, 8 * PAGE - 100)
        assert not mapped.holds(0, 8 * PAGE + 1)
    assert not mappings_of(path)


def test_parts_where_something_else_is_mapped_are_not_held(path):
    libc = ctypes.CDLL(None)
    libc.mmap.restype = ctypes.c_void_p
    with map_file(path) as file:
        (whole,) = mappings_of(path)
        for first, pages in ((0, 1), (5, 2)):  # an engine gives them back, and the system gives them to somebody
            place, length = ctypes.c_void_p(whole.base + first * PAGE), ctypes.c_size_t(pages * PAGE)
            flags = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | MAP_FIXED
            assert libc.mmap(place, length, mmap.PROT_READ, flags, -1, ctypes.c_int64(0)) == place.value
        (mapped,) = mappings_of(path)
        assert mapped.base == whole.base and mapped.runs == ((PAGE, 5 * PAGE), (7 * PAGE, 8 * PAGE))
        assert mapped.holds(PAGE, 5 * PAGE) and not mapped.holds(4 * PAGE, 8 * PAGE) and not mapped.holds(0, 2 * PAGE)
        assert len(file) == len(path.read_bytes())


def test_a_mapping_that_was_there_before_is_another_engines(path):
    with map_file(path):
        (first,) = mappings_of(path)
        with map_file(path):
            (second,) = mapped_anew([path], [first.base])
            assert second.base != first.base
            assert {mapped.base for mapped in mappings_of(path)} == {first.base, second.base}
        with pytest.raises(EngineError, match="not mapped"):
            mapped_anew([path], [first.base])
