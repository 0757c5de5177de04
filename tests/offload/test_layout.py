"""Every byte of every expert is found, in split files too, and nothing else is."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from accel.errors import ModelDamaged
from accel.offload.gguf_header import FORMATS, Header, Tensor, read_header
from accel.offload.layout import Expert, Layout
from accel.runtime import demo
from accel.units import Bytes

FILES = (Path("one.gguf"), Path("two.gguf"))


def tensor(name: str, shape: tuple[int, ...], file: int = 0, offset: int = 0, format: str = "Q4_0") -> Tensor:
    block, size = FORMATS[format]
    values = 1
    for side in shape:
        values *= side
    return Tensor(name, shape, format, FILES[file], offset, Bytes(values // block * size))


def header(*tensors: Tensor) -> Header:
    return Header(FILES, (Bytes(10**9),) * 2, {}, {tensor.name: tensor for tensor in tensors}, "print")


def test_the_demo_models_experts_are_its_bulk():
    spec = read_header(demo.target())
    layout = Layout.of(spec)
    assert layout.experts == 16 and list(layout.layers) == [0, 1, 2]
    assert layout.size == sum(tensor.size for name, tensor in spec.tensors.items() if "_exps." in name)
    for tensors in layout.layers.values():
        assert {tensor.name for tensor in tensors} == {"ffn_gate_exps", "ffn_up_exps", "ffn_down_exps"}


@given(st.integers(1, 64), st.integers(1, 4), st.integers(0, 10**6))
def test_slices_cut_a_tensor_into_equal_parts_without_a_gap(experts, columns, offset):
    layout = Layout.of(header(tensor("blk.3.ffn_up_exps.weight", (32 * columns, 8, experts), offset=offset)))
    ends = offset
    for index in range(experts):
        (piece,) = layout.slices(Expert(3, index))
        assert piece.offset == ends and piece.size == layout.size_of(3)
        ends = piece.end
    assert layout.ranges() == ((0, offset, ends),) and layout.size == ends - offset


def test_tensors_of_one_layer_may_lie_in_several_files_and_have_several_formats():
    layout = Layout.of(
        header(
            tensor("blk.0.ffn_gate_up_exps.weight", (256, 16, 4), 1, 64, "Q6_K"),
            tensor("blk.0.ffn_down_exps.weight", (256, 8, 4), 0, 128, "Q4_K"),
            tensor("blk.0.ffn_down_exps.bias", (256, 4), 0, 10**6, "F32"),
            tensor("blk.0.ffn_gate.weight", (256, 16), 0, 10**5),
        )
    )
    down, gate_up = layout.slices(Expert(0, 2))
    assert (down.file, down.offset, down.size) == (0, 128 + 2 * 8 * 144, 8 * 144)
    assert (gate_up.file, gate_up.offset, gate_up.size) == (1, 64 + 2 * 16 * 210, 16 * 210)


def test_what_lies_together_is_one_range():
    size = 4 * 8 * 18
    layout = Layout.of(
        header(
            tensor("blk.0.ffn_up_exps.weight", (32, 8, 4), offset=0),
            tensor("blk.0.ffn_down_exps.weight", (32, 8, 4), offset=size),
            tensor("blk.1.ffn_up_exps.weight", (32, 8, 4), offset=3 * size),
        )
    )
    assert layout.ranges() == ((0, 0, 2 * size), (0, 3 * size, 4 * size))


def test_layers_that_an_engine_leaves_are_left_out():
    size = 4 * 8 * 18
    whole = Layout.of(
        header(
            tensor("blk.0.ffn_up_exps.weight", (32, 8, 4), offset=0),
            tensor("blk.1.ffn_up_exps.weight", (32, 8, 4), offset=size),
            tensor("blk.1.ffn_down_exps.weight", (32, 8, 4), 1),
            tensor("blk.2.ffn_up_exps.weight", (32, 8, 4), offset=2 * size),
        )
    )
    assert list(whole.within(lambda file, start, end: file == 0 and end <= 2 * size).layers) == [0]
    assert list(whole.within(lambda file, start, end: end <= 2 * size).layers) == [0, 1]
    assert whole.within(lambda file, start, end: True) == whole


def test_a_dense_model_has_no_experts():
    layout = Layout.of(read_header(demo.draft()))
    assert layout.experts == 0 and layout.size == 0 and not layout.layers and not layout.ranges()


@pytest.mark.parametrize(
    "tensors",
    [
        (tensor("blk.0.ffn_up_exps.weight", (32, 8)),),
        (tensor("blk.0.ffn_up_exps.weight", (32, 8, 0)),),
        (tensor("blk.0.ffn_up_exps.weight", (32, 8, 4)), tensor("blk.1.ffn_up_exps.weight", (32, 8, 8))),
    ],
)
def test_tensors_that_contradict_each_other_are_refused(tensors):
    with pytest.raises(ModelDamaged):
        Layout.of(header(*tensors))
