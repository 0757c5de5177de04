"""Stand-ins of whole models: what they show, what they lose, and what is left where they cannot be made."""

import os
from pathlib import Path

import gguf
import numpy as np
import pytest
from gguf.quants import dequantize

from accel.compiled import library
from accel.errors import AccelError, ModelChanged, ModelMissing, ModelUnsupported, UsageError
from accel.exporters.experts import export_experts
from accel.exporters.gguf import convert
from accel.exporters.low import Loss
from accel.offload.gguf_header import read_header
from accel.offload.layout import Layout
from accel.offload.planes import PAGE, Planes, sidecar_of
from accel.runtime import demo

from .checkpoints import MOE, write_checkpoint
from .expert_files import draw, write_experts
from .llama import Llama

pytestmark = pytest.mark.skipif(library("accel.exporters._low") is None, reason="low.c is not compiled here")

WIDE = MOE | {"hidden_size": 256, "moe_intermediate_size": 256, "num_hidden_layers": 1}
TOKENS = [5, 598, 17, 300, 17, 44, 201, 8]


def planes_of(model: Path, out: Path | None = None) -> Planes:
    header = read_header(model)
    return Planes.read(out or sidecar_of(model), header, Layout.of(header))


def replaced(model: Path, found: Planes, to: Path) -> Path:
    """The model with every expert's pages as its stand-in shows them; bytes kept for neighbours are checked."""
    content = model.read_bytes()
    changed = bytearray(content)
    records = found.path.read_bytes()
    for tensors in found.layers.values():
        for plane in tensors:
            for index in range(Layout.of(read_header(model)).experts):
                span, at = plane.span(index), plane.offset + index * plane.record_size
                shown = plane.pages(index, records[at : at + plane.length(index)])[: span.end - span.start]
                part = plane.tensor.of(index)
                first, last = -(-part.offset // PAGE) * PAGE, part.end // PAGE * PAGE
                for start, end in ((span.start, first), (last, span.end)):
                    if start < end:
                        assert shown[start - span.start : end - span.start] == content[start:end]
                own = slice(max(span.start, part.offset), min(span.end, part.end))
                changed[own] = shown[own.start - span.start : own.stop - span.start]
    to.write_bytes(changed)
    return to


def losses(before: Path, after: Path) -> dict[tuple[str, str], Loss]:
    found: dict[tuple[str, str], Loss] = {}
    for old, new in zip(gguf.GGUFReader(before).tensors, gguf.GGUFReader(after).tensors, strict=True):
        if "_exps" in old.name:
            a, b = (dequantize(each.data, each.tensor_type).astype(np.float64) for each in (old, new))
            key = old.name.split(".")[2], old.tensor_type.name
            found[key] = found.get(key, Loss()) + Loss(((a - b) ** 2).sum(), (a**2).sum())
        else:
            assert (old.data == new.data).all()
    return found


@pytest.mark.parametrize(
    ("type", "formats", "most"),
    [
        ("Q4_0", {"Q4_0"}, 0.11),
        ("Q8_0", {"Q8_0"}, 0.007),
        ("Q4_K_M", {"Q4_K", "Q6_K"}, 0.1),
        ("Q6_K", {"Q6_K"}, 0.02),
    ],
)
def test_a_models_stand_ins_lose_what_is_told_and_it_still_computes(tmp_path, type, formats, most):
    model = tmp_path / "moe.gguf"
    convert(write_checkpoint(tmp_path / "checkpoint", WIDE), model, type)
    told: list[float] = []
    made = export_experts(model, progress=told.append)
    after = replaced(model, planes_of(model), tmp_path / "after.gguf")
    found = losses(model, after)
    assert {format for _, format in found} == formats == set(made.reads)
    assert found.keys() == made.losses.keys()
    for key, loss in made.losses.items():
        assert loss.error == pytest.approx(found[key].error, rel=1e-3)
        assert 0.8 * loss.share < found[key].share < 1.001 * loss.share  # what is kept for neighbours is not lost
        assert loss.share < most
    for low, whole in made.reads.values():
        assert 0.5 * whole < low < 0.75 * whole
    assert made.size == sidecar_of(model).stat().st_size
    assert told == sorted(told) and told[-1] == 1
    with Llama(model) as one, Llama(after) as other:
        assert np.corrcoef(one.logits(TOKENS).ravel(), other.logits(TOKENS).ravel())[0, 1] > 0.8


def test_experts_that_were_trained_lose_as_little(trained, tmp_path):
    model = trained.gguf("moe", "Q4_0")
    made = export_experts(model, tmp_path / "low.gguf")
    after = replaced(model, planes_of(model, made.path), tmp_path / "after.gguf")
    assert all(0 < loss.share < 0.11 for loss in losses(model, after).values())


def test_the_demo_model_has_stand_ins(tmp_path):
    made = export_experts(demo.target(), tmp_path / "low.gguf")
    assert planes_of(demo.target(), made.path).path == made.path
    assert {name for name, _ in made.losses} == {"ffn_gate_exps", "ffn_up_exps", "ffn_down_exps"}
    assert all(loss.share < 0.12 for loss in made.losses.values())


def test_a_split_model_with_experts_of_several_formats(tmp_path):
    names = [f"blk.{layer}.ffn_{part}_exps.weight" for layer in (0, 3) for part in ("up", "down")]
    formats = ["Q4_0", "Q8_0", "Q8_0", "Q4_0"]
    tensors = [
        (name, format, draw(format, 256, seed)) for seed, (name, format) in enumerate(zip(names, formats, strict=True))
    ]
    first = write_experts(tmp_path / "split.gguf", *tensors, files=3)
    made = export_experts(tmp_path / "split-00002-of-00003.gguf")
    assert made.path == tmp_path / "split-00001-of-00003.low.gguf"
    found = planes_of(first)
    assert [plane.tensor.format for layer in found.layers.values() for plane in layer] == [
        part.format for tensors in Layout.of(read_header(first)).layers.values() for part in tensors
    ]
    for name, format, blocks in tensors:
        (plane,) = (
            p for layer, ps in found.layers.items() for p in ps if name == f"blk.{layer}.{p.tensor.name}.weight"
        )
        part = plane.tensor.of(1)
        with made.path.open("rb") as file:
            file.seek(plane.offset + plane.record_size)
            shown = plane.pages(1, file.read(plane.length(1)))
        mine = np.frombuffer(shown, np.uint8)[part.offset - plane.span(1).start :][: part.size]
        kind = gguf.GGMLQuantizationType[format]
        a, b = dequantize(blocks[1], kind), dequantize(mine.reshape(blocks[1].shape), kind)
        assert 0 < ((a - b) ** 2).sum() < 0.12 * (a**2).sum()


def test_slices_smaller_than_a_page_are_kept_whole(tmp_path):
    model = write_experts(tmp_path / "moe.gguf", ("blk.0.ffn_up_exps.weight", "Q4_0", draw("Q4_0", 32)))
    made = export_experts(model)
    assert made.losses[("ffn_up_exps", "Q4_0")] == Loss()
    assert replaced(model, planes_of(model), tmp_path / "after.gguf").read_bytes() == model.read_bytes()


def test_a_dense_model_is_told_so(tmp_path):
    with pytest.raises(ModelUnsupported, match="dense"):
        export_experts(demo.draft(), tmp_path / "low.gguf")
    assert not list(tmp_path.iterdir())


def test_formats_without_a_low_form_are_named_with_those_that_have_one(tmp_path):
    values = np.zeros((4, 64, 32), np.float16)
    known = ("blk.0.ffn_up_exps.weight", "Q4_0", draw("Q4_0", 32))
    model = write_experts(tmp_path / "moe.gguf", known, ("blk.0.ffn_down_exps.weight", "F16", values))
    with pytest.raises(ModelUnsupported, match=r"F16.*Q4_0, Q8_0, Q4_K, Q6_K"):
        export_experts(model)
    assert list(tmp_path.iterdir()) == [model]


def test_a_model_is_not_overwritten_by_its_stand_ins(tmp_path):
    model = write_experts(tmp_path / "moe.gguf", ("blk.0.ffn_up_exps.weight", "Q4_0", draw("Q4_0", 256)))
    (tmp_path / "link.gguf").symlink_to(model)
    before = model.read_bytes()
    with pytest.raises(UsageError, match="the model itself"):
        export_experts(model, tmp_path / "link.gguf")
    assert model.read_bytes() == before


def test_a_model_that_changes_meanwhile_leaves_what_was_there(tmp_path):
    model = write_experts(tmp_path / "moe.gguf", ("blk.0.ffn_up_exps.weight", "Q4_0", draw("Q4_0", 256)))
    sidecar_of(model).write_bytes(b"before")

    def change(done: float) -> None:
        if done > 0.2:
            os.utime(model, ns=(0, 0))

    with pytest.raises(ModelChanged):
        export_experts(model, progress=change)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["moe.gguf", "moe.low.gguf"]
    assert sidecar_of(model).read_bytes() == b"before"


@pytest.mark.parametrize("when", [0.0, 0.5])
def test_an_interrupt_leaves_nothing(tmp_path, when):
    model = write_experts(tmp_path / "moe.gguf", ("blk.0.ffn_up_exps.weight", "Q4_0", draw("Q4_0", 256)))

    def interrupt(done: float) -> None:
        if done >= when:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        export_experts(model, progress=interrupt)
    assert list(tmp_path.iterdir()) == [model]


def test_what_cannot_be_read_or_written_is_an_error(tmp_path):
    with pytest.raises(ModelMissing):
        export_experts(tmp_path / "nowhere.gguf")
    with pytest.raises(AccelError, match="choose another folder"):
        export_experts(demo.target(), tmp_path / "nowhere" / "low.gguf")
