"""A recorded routing is read as it was written, and what is none is refused before it takes memory."""

import json
import os
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from accel.errors import AccelError, DiskFull, StateError, UsageError
from accel.offload import trace as module
from accel.offload.trace import Trace, load_trace, save_trace
from accel.units import Bytes

from .traces import EXPERTS, a_trace


@pytest.mark.parametrize("scores", [False, True])
def test_a_trace_is_read_as_it_was_written(tmp_path, scores):
    trace = a_trace(scores=scores)
    save_trace(tmp_path / "trace", trace)
    again = load_trace(tmp_path / "trace")
    assert (again.model, again.name, again.experts, again.sizes) == ("f" * 32, "drawn", EXPERTS, trace.sizes)
    assert again.chosen.dtype == np.uint16 and np.array_equal(again.chosen, trace.chosen)
    assert (again.scores is None) != scores
    if trace.scores is not None and again.scores is not None:
        assert again.scores.dtype == np.float16 and np.array_equal(again.scores, trace.scores)
    assert (again.tokens, again.layers, again.used) == trace.chosen.shape
    assert np.array_equal(again.part(5, 9).chosen, trace.chosen[5:9])


def written(path: Path, **changes: object) -> Path:
    """A trace whose header was changed afterwards."""
    save_trace(path, a_trace())
    raw = path.read_bytes()
    length = int.from_bytes(raw[16:20], "little")
    header = json.dumps(json.loads(raw[20 : 20 + length]) | changes).encode()
    path.write_bytes(raw[:16] + len(header).to_bytes(4, "little") + header + raw[20 + length :])
    return path


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"tokens": 21}, "as long as its header says"),
        ({"tokens": 2**62}, "as long as its header says"),
        ({"tokens": -20, "used": -2}, "as long as its header says"),
        ({"used": 4, "tokens": 10, "experts": 3}, "holds experts of shape"),
        ({"experts": 4}, "holds an expert beyond"),
        ({"experts": 2**16 + 1}, "holds experts of shape"),
        ({"sizes": [300, 300]}, "as long as its header says"),
        ({"sizes": [300, 300, 0]}, "holds an expert without bytes"),
        ({"sizes": []}, "as long as its header says"),
        ({"sizes": "many"}, "header that cannot be read"),
        ({"scores": True}, "as long as its header says"),
        ({"name": "x" * 2000}, "as long as its header says"),
    ],
)
def test_a_header_that_lies_is_refused(tmp_path, changes, says):
    with pytest.raises(StateError, match=says):
        load_trace(written(tmp_path / "trace", **changes))


def test_nothing_is_read_of_a_file_that_promises_more_than_it_holds(tmp_path, monkeypatch):
    path = written(tmp_path / "trace", tokens=2**26)
    monkeypatch.setattr(module.np, "frombuffer", None)
    with pytest.raises(StateError):
        load_trace(path)


@settings(max_examples=60)
@given(st.data())
def test_a_file_that_was_cut_or_changed_is_refused_or_holds_a_trace(tmp_path_factory, data):
    path = tmp_path_factory.mktemp("trace") / "trace"
    save_trace(path, a_trace(tokens=3, scores=True))
    raw = bytearray(path.read_bytes())
    at = data.draw(st.integers(0, len(raw) - 1))
    raw[at] = data.draw(st.integers(0, 255))
    path.write_bytes(raw[: data.draw(st.sampled_from([at, len(raw)]))])
    try:
        found = load_trace(path)
    except StateError:
        return
    assert found.chosen.shape == (3, 3, 2) and found.chosen.max() < found.experts


def test_what_cannot_be_read_is_said(tmp_path):
    with pytest.raises(AccelError, match="No such file"):
        load_trace(tmp_path / "nothing")
    with pytest.raises(StateError, match="no regular file"):
        load_trace(tmp_path)
    if hasattr(os, "mkfifo"):
        os.mkfifo(tmp_path / "pipe")
        with pytest.raises(StateError, match="no regular file"):
            load_trace(tmp_path / "pipe")
    (tmp_path / "empty").touch()
    with pytest.raises(StateError, match="no recorded routing"):
        load_trace(tmp_path / "empty")


def test_without_room_the_trace_that_was_there_stays(tmp_path, monkeypatch):
    save_trace(tmp_path / "trace", a_trace(tokens=4))

    def full(*_):
        raise DiskFull("no room", "free some")

    monkeypatch.setattr("accel.devices.files._finish", full)
    with pytest.raises(DiskFull):
        save_trace(tmp_path / "trace", a_trace(tokens=9))
    assert load_trace(tmp_path / "trace").tokens == 4 and len(list(tmp_path.iterdir())) == 1


@pytest.mark.parametrize(
    "chosen",
    [
        np.zeros((2, 3, 2), np.uint16),  # an expert twice
        np.full((2, 3, 1), 12, np.uint16),  # beyond the last
        np.zeros((2, 2, 1), np.uint16),  # other layers than sizes
        np.zeros((0, 3, 1), np.uint16),
        np.zeros((2, 3, 1), np.int64),
    ],
)
def test_what_no_models_routing_can_be_is_none(chosen):
    with pytest.raises(UsageError):
        Trace("f", "x", 12, (Bytes(1),) * 3, chosen)
