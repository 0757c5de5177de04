"""A saved state comes back whole, or not at all, and never costs memory that its file does not have."""

import io
import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from accel.errors import StateError
from accel.runtime.engines.state import read_state, write_state


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
