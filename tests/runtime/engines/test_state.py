"""A saved state comes back whole, or not at all, and never costs memory that its file does not have."""

import io
import mmap
import os
import time
import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from accel.devices.resident import resident
from accel.errors import StateError
from accel.runtime.engines.state import read_state, write_filled, write_state


def saved(payload: bytes, positions: int = 3, maker: str = "me") -> bytes:
    sink = io.BytesIO()
    write_state(sink, maker, positions, memoryview(payload))
    return sink.getvalue()


@given(payload=st.binary(max_size=200), positions=st.integers(0, 100))
def test_what_was_written_is_read(payload, positions):
    file = io.BytesIO(saved(payload, positions) + b"what follows is another's")
    assert read_state(file, "me", 100, 200) == (positions, payload)
    assert file.read(4) == b"what"


@given(payload=st.binary(max_size=60), at=st.integers(0, 10**6), bit=st.integers(0, 7))
def test_any_flipped_bit_is_seen(payload, at, bit):
    state = bytearray(saved(payload))
    state[at % len(state)] ^= 1 << bit
    with pytest.raises(StateError):
        read_state(io.BytesIO(state), "me", 2**62, 2**62)


@given(payload=st.binary(min_size=1, max_size=60), cut=st.integers(0, 10**6))
def test_any_truncation_is_seen(payload, cut):
    state = saved(payload)
    with pytest.raises(StateError):
        read_state(io.BytesIO(state[: cut % len(state)]), "me", 100, 100)


@pytest.mark.parametrize(("maker", "positions", "size"), [("you", 9, 99), ("me", 2, 99), ("me", 9, 4)])
def test_what_is_not_ours_or_too_large_is_refused(maker, positions, size):
    with pytest.raises(StateError):
        read_state(io.BytesIO(saved(b"12345")), maker, positions, size)


@given(payload=st.binary(min_size=1, max_size=200), before=st.binary(max_size=5000))
def test_a_payload_filled_in_its_place_is_the_same_in_a_file_and_in_memory(tmp_path_factory, payload, before):
    def fill(place: memoryview) -> None:
        place[:] = payload

    wanted = before + saved(payload) + b"after"
    with (tmp_path_factory.getbasetemp() / "state").open("w+b") as file:
        for sink in (io.BytesIO(), file):
            sink.write(before)
            write_filled(sink, "me", 3, len(payload), fill)
            sink.write(b"after")
            sink.seek(0)
            assert sink.read() == wanted
            sink.seek(len(before))
            assert read_state(sink, "me", 3, 200) == (3, payload)
            assert sink.read() == b"after"


@pytest.mark.skipif(not hasattr(os, "posix_fallocate"), reason="room in a file cannot be reserved here")
def test_a_large_state_in_a_file_takes_no_memory_of_its_own(tmp_path):
    size = 2**26
    tracemalloc.start()
    with (tmp_path / "state").open("x+b") as file:
        write_filled(file, "me", 3, size, lambda place: place.__setitem__(slice(0, 3), b"abc"))
    with (tmp_path / "state").open("rb") as file:
        positions, payload = read_state(file, "me", 3, size)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert (positions, bytes(payload[:4]), len(payload)) == (3, b"abc\0", size)
    assert peak < size / 16


@pytest.mark.skipif(not hasattr(mmap, "MADV_DONTNEED") or not resident()[1], reason="pages cannot be let go here")
def test_pages_of_a_state_leave_memory_while_it_is_written_and_read(tmp_path):
    size = 2**26
    before = resident()[1]

    def wait_until_let_go() -> None:
        end = time.monotonic() + 30
        while resident()[1] - before > size / 8:
            assert time.monotonic() < end
            time.sleep(0.01)

    def fill(place: memoryview) -> None:
        place[:] = b"x" * size
        wait_until_let_go()

    with (tmp_path / "state").open("x+b") as file:
        write_filled(file, "me", 3, size, fill)
    with (tmp_path / "state").open("rb") as file:
        payload = read_state(file, "me", 3, size)[1]
    assert bytes(payload) == b"x" * size
    wait_until_let_go()


def test_a_full_disk_is_an_error_and_no_end_of_the_process():
    if not os.access("/dev/shm", os.W_OK):
        pytest.skip("there is no memory-backed file system to fill")
    room = os.statvfs("/dev/shm")
    with open("/dev/shm/accel-state-test", "w+b") as file, pytest.raises(OSError, match="No space"):  # noqa: PTH123
        os.unlink(file.name)  # noqa: PTH108
        write_filled(file, "me", 3, room.f_blocks * room.f_frsize + 2**30, lambda place: None)


def test_a_promise_of_many_bytes_costs_none():
    state = bytearray(saved(b"x" * 10))
    state[20:28] = (2**40).to_bytes(8, "little")
    tracemalloc.start()
    with pytest.raises(StateError):
        read_state(io.BytesIO(state), "me", 100, 2**62)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 2**22


def test_a_disk_that_fails_is_no_crash():
    class Broken(io.BytesIO):
        def read(self, size: int | None = -1) -> bytes:
            raise OSError(5, "Input/output error")

    with pytest.raises(StateError, match="Input/output"):
        read_state(Broken(), "me", 1, 1)
