import json
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from accel.errors import ConvertError
from accel.exporters import checkpoint
from accel.exporters.checkpoint import read_json, read_tensors

from .checkpoints import encode, write_checkpoint, write_safetensors


@given(
    st.sampled_from(["F32", "F16", "BF16"]),
    st.lists(st.integers(1, 9), min_size=1, max_size=3),
    st.integers(1, 40),
    st.integers(0, 2**32),
)
@settings(max_examples=40, deadline=None)
def test_values_come_back_whatever_the_type_the_shape_and_the_piece(tmp_path_factory, type, shape, most, seed):
    folder = tmp_path_factory.mktemp("checkpoint")
    random = np.random.default_rng(seed)
    tensors = {name: random.standard_normal(shape).astype(np.float32) for name in ("b", "a")}
    write_safetensors(folder / "model.safetensors", tensors, type)
    stored = read_tensors(folder)
    assert stored.keys() == tensors.keys()
    for name, values in tensors.items():
        pieces = list(stored[name].rows(most))
        assert all(piece.dtype == np.float32 and piece.size <= max(most, shape[-1]) for piece in pieces)
        assert encode(np.concatenate(pieces), type) == encode(values, type)


def header(**tensors) -> bytes:
    text = json.dumps(
        {name: {"dtype": t, "shape": s, "data_offsets": o} for name, (t, s, o) in tensors.items()}
    ).encode()
    return len(text).to_bytes(8, "little") + text


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\0" * 7,
        (2**63).to_bytes(8, "little") + b"{}",
        (100).to_bytes(8, "little") + b"{}",
        (2).to_bytes(8, "little") + b"[]",
        (8).to_bytes(8, "little") + b"{{{{{{{{",
        header(a=("F32", [2], [0, 8])),
        header(a=("F32", [2], [0, 8])) + b"1234",
        header(a=("F32", [2], [0, 4])) + b"1234",
        header(a=("F32", [1], [4, 8])) + b"12345678",
        header(a=("F32", [1], [0, 4]), b=("F32", [1], [0, 4])) + b"1234",
        header(a=("F32", [2**40, 2**40], [0, 4])) + b"1234",
        header(a=("F64", [1], [0, 8])) + b"12345678",
        header(a=("I32", [1], [0, 4])) + b"1234",
        header(a=("F32", [], [0, 4])) + b"1234",
        header(a=("F32", [0, 4], [0, 0])),
        header(a=("F32", [-1, -1], [0, 4])) + b"1234",
    ],
    ids=range(17),
)
def test_a_damaged_file_is_refused(tmp_path, data):
    (tmp_path / "model.safetensors").write_bytes(data)
    with pytest.raises(ConvertError, match=r"model\.safetensors"):
        read_tensors(tmp_path)


def test_a_file_cut_short_at_any_byte_is_refused(tmp_path):
    write_safetensors(tmp_path / "model.safetensors", {"a": np.ones((3, 2), np.float32)})
    whole = (tmp_path / "model.safetensors").read_bytes()
    for end in range(len(whole)):
        (tmp_path / "model.safetensors").write_bytes(whole[:end])
        with pytest.raises(ConvertError):
            read_tensors(tmp_path)


def test_a_file_that_shrinks_while_it_is_read_is_an_error(tmp_path):
    path = tmp_path / "model.safetensors"
    write_safetensors(path, {"a": np.ones((4, 2), np.float32)})
    tensor = read_tensors(tmp_path)["a"]
    path.write_bytes(path.read_bytes()[:-4])
    with pytest.raises(ConvertError, match="shrank"):
        list(tensor.rows(2))


@pytest.mark.parametrize(
    "names", [{}, {"a": "../x"}, {"a": "/etc/passwd"}, {"a": ""}, {"a": 3}, {"a": "x/y"}, {"a": "."}]
)
def test_an_index_that_names_files_elsewhere_is_refused(tmp_path, names):
    (tmp_path / "model.safetensors.index.json").write_text(json.dumps({"weight_map": names}))
    with pytest.raises(ConvertError, match=r"index\.json"):
        read_tensors(tmp_path)


def test_a_missing_part_is_named(tmp_path):
    write_checkpoint(tmp_path, files=3)
    (tmp_path / "model-00002-of-00003.safetensors").unlink()
    with pytest.raises(ConvertError, match=r"lacks model-00002-of-00003\.safetensors \(1 of 3"):
        read_tensors(tmp_path)


def test_a_tensor_that_two_files_hold_is_refused(tmp_path):
    for name in ("one.safetensors", "two.safetensors"):
        write_safetensors(tmp_path / name, {"a": np.ones(2, np.float32)})
    index = {"weight_map": {"a": "one.safetensors", "b": "two.safetensors"}}
    (tmp_path / "model.safetensors.index.json").write_text(json.dumps(index))
    with pytest.raises(ConvertError, match="two files"):
        read_tensors(tmp_path)


def test_pickled_weights_are_refused_and_why(tmp_path):
    (tmp_path / "pytorch_model.bin").write_bytes(b"")
    with pytest.raises(ConvertError, match="pickled"):
        read_tensors(tmp_path)


def test_a_folder_without_weights_says_what_is_missing(tmp_path):
    with pytest.raises(ConvertError, match=r"no model\.safetensors"):
        read_tensors(tmp_path)


def test_a_json_file_too_large_for_what_it_is_is_not_read(tmp_path):
    path = tmp_path / "config.json"
    with path.open("wb") as file:
        file.truncate(checkpoint.MOST_CONFIG + 1)
    with pytest.raises(ConvertError, match="larger than"):
        read_json(path, dict)


@pytest.mark.parametrize("text", [b"", b"{", b"[1]", b'{"a": \xff}', b"[" * 100_000, b'{"a": "\\ud800"}'])
def test_what_is_no_json_object_is_refused(tmp_path, text):
    (tmp_path / "config.json").write_bytes(text)
    with pytest.raises(ConvertError, match=r"config\.json"):
        read_json(tmp_path / "config.json", dict[str, str])


def test_halves_of_a_float_widen_exactly():
    values = np.array([1.0, -0.0, math.inf, 3.140625, 1e-38], np.float32)
    halves = (values.view(np.uint32) >> 16).astype(np.uint16)
    assert (checkpoint._widen(halves, "BF16").view(np.uint32) >> 16).tolist() == halves.tolist()
