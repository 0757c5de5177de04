"""A record stands for exactly the pages of its slice, low blocks become what planes.h says, and stand-ins that do not
fit their model are refused."""

import ctypes
import os
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
from gguf import GGMLQuantizationType, GGUFReader
from gguf.quants import dequantize
from hypothesis import given, settings
from hypothesis import strategies as st

from accel.compiled import library
from accel.errors import ModelDamaged, ModelError, ModelMissing, ModelTruncated, ModelUnsupported
from accel.exporters.experts import export_experts
from accel.offload import planes
from accel.offload.gguf_header import FORMATS, NUMBER_OF, read_header
from accel.offload.layout import ExpertTensor, Layout
from accel.offload.planes import FORMS, PAGE, TABLE, Plane, Planes, expand, record_size, sidecar_of, span_of
from accel.runtime import demo
from accel.units import Bytes

STORE = library("accel.offload._store")

pages = st.sampled_from((4096, 16384))
blocks = st.sampled_from([form.block for form in FORMS.values()])
compiled = pytest.mark.skipif(STORE is None, reason="planes.c is not compiled here")


@given(st.integers(0, 10**6), st.integers(1, 10**5), blocks, pages, st.integers(0, 10**5))
def test_a_span_covers_the_slices_pages_as_far_as_the_file_goes(start, count, block, page, after):
    size, end = count * block, start + count * block
    span = span_of(start, size, block, end + after, page)
    assert span.start == start // page * page
    assert span.end == min(-(-end // page) * page, end + after)
    assert min(span.head, span.blocks, span.tail) >= 0
    assert span.head + span.blocks * block + span.tail == span.end - span.start


@given(st.integers(0, 10**6), st.integers(1, 10**5), blocks, pages, st.integers(0, 10**5))
def test_low_blocks_are_all_that_lie_off_the_pages_shared_with_neighbours(start, count, block, page, after):
    end = start + count * block
    span = span_of(start, count * block, block, end + after, page)
    own = range(-(-start // page) * page, end // page * page + 1)  # where a block may begin or end
    places = [at for at in range(start, end, block) if at in own and at + block in own]
    assert span.blocks == len(places)
    if places:
        assert span.start + span.head == places[0]


@pytest.mark.parametrize(("start", "count"), [(0, 64), (4096, 2048), (8192 - 18, 1), (4000, 5), (4096 - 18 * 3, 3)])
def test_slices_that_end_at_pages_or_fit_into_one_are_cut_right(start, count):
    span = span_of(start, 18 * count, 18, 10**6, 4096)
    aligned_start, aligned_end = start % 4096 == 0, (start + 18 * count) % 4096 == 0
    assert (span.head == 0) == (aligned_start and span.blocks > 0)
    assert not aligned_end or span.tail == 0


@compiled
@pytest.mark.parametrize("format", FORMS)
@pytest.mark.parametrize(("count", "shift"), [(0, 0), (1, 0), (7, 1), (300, 3)])
def test_c_and_numpy_expand_alike_wherever_blocks_lie(format, count, shift):
    form, random = FORMS[format], np.random.default_rng(count + shift)
    table = random.bytes(TABLE)
    low = random.integers(0, 256, shift + count * form.low, np.uint8)
    out = np.full(shift + count * form.block + 64, 0xA5, np.uint8)
    assert STORE
    STORE.accel_planes_expand.argtypes = (ctypes.c_int32, *[ctypes.c_void_p] * 3, ctypes.c_int64)
    STORE.accel_planes_expand.restype = None
    STORE.accel_planes_expand(form.number, table, low.ctypes.data + shift, out.ctypes.data + shift, count)
    expected = expand(format, table, low[shift:].reshape(count, form.low))
    assert (out[shift : len(out) - 64].reshape(count, form.block) == expected).all()
    assert (out[:shift] == 0xA5).all() and (out[len(out) - 64 :] == 0xA5).all()  # nothing else was written


def test_forms_are_those_of_the_header_and_of_planes_h():
    header = (Path(planes.__file__).parent / "planes.h").read_text()
    for format, form in FORMS.items():
        assert FORMATS[format][1] == form.block
        assert re.search(rf"{format} +{form.block} +{form.low} ", header)
    (numbers,) = re.findall(r"enum \{ (PLANE_.*) \}", header)
    assert numbers.split(", ") == [f"PLANE_{format}" for format in FORMS]
    assert [form.number for form in FORMS.values()] == list(range(len(FORMS)))


def values(format: str, blocks: np.ndarray) -> np.ndarray:
    return dequantize(blocks, GGMLQuantizationType[format])


def test_every_code_stands_for_its_entry_in_the_order_of_the_quants():
    """With a scale of one, and levels that are told apart by their values."""
    one = np.frombuffer(np.float16(1).tobytes(), np.uint8)
    codes = np.arange(256) % 4
    q4_0 = [codes[k] | codes[k + 16] << 2 | codes[k + 8] << 4 | codes[k + 24] << 6 for k in range(8)]
    table = bytes((1, 4, 9, 14)[code & 3] | (1, 4, 9, 14)[code >> 2] << 4 for code in range(16))
    found = expand("Q4_0", table, np.array([[*one, *q4_0]], np.uint8))
    assert values("Q4_0", found)[0].tolist() == [(-7, -4, 1, 6)[code] for code in codes[:32]]
    codes = np.arange(256) % 7
    halves = []
    for at in (0, 128):
        a, b, c, d = codes[at : at + 128].reshape(4, 32)
        rest = b >> 2 | d << 1
        halves += [*(a | c << 3 | (b & 3) << 6), *(rest[:16] | rest[16:] << 4)]
    found = expand("Q6_K", bytes(range(0, 64, 9)) + bytes(8), np.array([[*halves, *[1] * 16, *one]], np.uint8))
    assert values("Q6_K", found)[0].tolist() == [9 * code - 32 for code in codes]


@pytest.mark.parametrize("format", FORMS)
@pytest.mark.parametrize(
    ("start", "size"), [(0, 3 * PAGE), (PAGE, 5 * PAGE), (100, 3 * PAGE), (4000, 9000), (64, 1000)]
)
def test_pages_shared_with_neighbours_show_the_models_own_bytes(tmp_path, format, start, size):
    form, random = FORMS[format], np.random.default_rng(size)
    size = size // form.block * form.block
    after = 700 if start % 200 else 9000  # the file may end within the last page
    model = random.bytes(start + 2 * size + after)
    part = ExpertTensor("ffn_up_exps", 0, start, Bytes(size), format)
    layout = Layout((tmp_path / "model",), (Bytes(len(model)),), 2, {0: (part,)})
    plane = Plane(tmp_path / "low", part, len(model), random.bytes(TABLE), 0, record_size(layout, part))
    for index in range(2):
        span, low = plane.span(index), random.bytes(plane.span(index).blocks * form.low)
        at = span.start + span.head + span.blocks * form.block
        record = model[span.start : span.start + span.head] + low + model[at : at + span.tail]
        assert len(record) <= plane.length(index) <= plane.record_size and plane.record_size % PAGE == 0
        shown = plane.pages(index, record.ljust(plane.record_size, b"\0"))
        whole = model[span.start : span.start + len(shown)].ljust(len(shown), b"\0")
        begin, end = part.of(index).offset, part.of(index).end
        first, last = -(-begin // PAGE) * PAGE - span.start, end // PAGE * PAGE - span.start
        assert len(shown) % PAGE == 0 and span.start + len(shown) >= end
        assert shown[:first] == whole[:first] and shown[max(last, 0) :] == whole[max(last, 0) :]
        if span.blocks > 20:
            assert shown != whole  # stand-ins do differ


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    model = tmp_path_factory.mktemp("planes") / "moe.gguf"
    shutil.copy(demo.target(), model)
    export_experts(model)
    return model


@pytest.fixture
def copy(exported, tmp_path):
    """A model and its stand-ins, to be spoilt."""
    for path in (exported, sidecar_of(exported)):
        shutil.copy(path, tmp_path / path.name)
    return tmp_path / exported.name


def read(model: Path) -> Planes:
    header = read_header(model)
    return Planes.read(sidecar_of(model), header, Layout.of(header))


def test_what_was_exported_is_read_with_all_that_a_reader_needs(exported):
    found, layout = read(exported), Layout.of(read_header(exported))
    assert list(found.layers) == list(layout.layers) and found.path == sidecar_of(exported)
    size, ends = found.path.stat().st_size, set()
    for layer, tensors in layout.layers.items():
        assert tuple(plane.tensor for plane in found.layers[layer]) == tensors
        for plane in found.layers[layer]:
            assert plane.form == FORMS["Q4_0"] and len(plane.table) == TABLE and plane.offset % PAGE == 0
            assert plane.offset + layout.experts * plane.record_size <= size
            ends.add(plane.offset)
    assert len(ends) == sum(map(len, layout.layers.values()))


def test_stand_ins_lie_beside_the_model_and_beside_the_first_file_of_a_split_one():
    assert sidecar_of(Path("a/moe-Q4_0.gguf")) == Path("a/moe-Q4_0.low.gguf")
    assert sidecar_of(Path("a/moe-00002-of-00003.gguf")) == Path("a/moe-00001-of-00003.low.gguf")
    assert sidecar_of(Path("a/moe-1.5b")) == Path("a/moe-1.5b.low.gguf")


def test_a_model_without_stand_ins_says_how_to_make_them(copy):
    sidecar_of(copy).unlink()
    with pytest.raises(ModelMissing, match="accel-export experts"):
        read(copy)


@pytest.mark.parametrize("length", [0, 3, 100, 1000, 5000, -1])
def test_stand_ins_that_are_cut_short_are_refused(copy, length):
    size = sidecar_of(copy).stat().st_size
    os.truncate(sidecar_of(copy), length if length >= 0 else size - PAGE - 1)
    with pytest.raises(ModelError, match="export it again"):
        read(copy)
    if length == -1:
        with pytest.raises(ModelTruncated):
            read(copy)


def test_stand_ins_of_a_model_that_grew_are_refused(copy):
    with copy.open("ab") as file:
        file.write(bytes(32))
    with pytest.raises(ModelUnsupported, match="another model"):
        read(copy)


def test_stand_ins_of_other_weights_under_the_same_header_are_refused(copy):
    part = Layout.of(read_header(copy)).layers[0][0]
    with copy.open("r+b") as file:
        file.seek(part.offset)
        raw = file.read(16 * part.slice_size)
        file.seek(part.offset)
        file.write(raw[18:] + raw[:18])
    with pytest.raises(ModelUnsupported, match="other weights"):
        read(copy)


def test_a_model_is_no_file_of_stand_ins(copy):
    shutil.copy(demo.target(), sidecar_of(copy))
    with pytest.raises(ModelUnsupported, match="no stand-ins"):
        read(copy)


def test_stand_ins_for_other_pages_are_refused(copy, monkeypatch):
    monkeypatch.setattr(planes, "PAGE", 4 * PAGE)
    with pytest.raises(ModelUnsupported, match="pages of another size"):
        read(copy)


def test_stand_ins_of_another_version_are_refused(copy, monkeypatch):
    monkeypatch.setattr(planes, "VERSION", planes.VERSION + 1)
    with pytest.raises(ModelUnsupported, match="another version"):
        read(copy)


def spoil(path: Path, before: bytes, after: bytes) -> None:
    data = path.read_bytes()
    assert data.count(before) >= 1 and len(before) == len(after)
    path.write_bytes(data.replace(before, after, 1))


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (b"blk.1.ffn_up_exps.low", b"blk.9.ffn_up_exps.low"),
        (b"experts.tables", b"experts.cables"),
        (b"experts.formats", b"experts.formars"),
        (b"experts.page", b"experts.rage"),
        (bytes([NUMBER_OF["Q4_0"]] * 9), bytes([NUMBER_OF["Q8_0"]] * 9)),
    ],
)
def test_a_header_that_contradicts_its_model_is_refused(copy, before, after):
    spoil(sidecar_of(copy), before, after)
    with pytest.raises((ModelDamaged, ModelUnsupported), match="export it again"):
        read(copy)


def test_records_of_another_size_are_refused(copy):
    tensor = GGUFReader(sidecar_of(copy)).tensors[0]
    record, experts = (int(side) for side in tensor.shape)
    shape = record.to_bytes(8, "little") + experts.to_bytes(8, "little")
    spoil(sidecar_of(copy), shape, (record // 2).to_bytes(8, "little") + (2 * experts).to_bytes(8, "little"))
    with pytest.raises(ModelDamaged, match="another shape"):
        read(copy)


@settings(deadline=None)
@given(st.integers(0, 1500), st.integers(0, 255))
def test_no_byte_of_the_header_can_do_harm(exported, at, value):
    """Whatever one byte becomes, reading ends with planes that fit the model or with an error of ours."""
    header, path = read_header(exported), sidecar_of(exported)
    layout, size = Layout.of(header), path.stat().st_size
    with path.open("r+b", buffering=0) as file:
        file.seek(at)
        before = file.read(1)
        try:
            os.pwrite(file.fileno(), bytes([value]), at)
            found = Planes.read(path, header, layout)
        except ModelError:
            return
        finally:
            os.pwrite(file.fileno(), before, at)
    for layer, tensors in layout.layers.items():
        for plane, part in zip(found.layers[layer], tensors, strict=True):
            assert plane.record_size == record_size(layout, part)
            assert plane.offset + layout.experts * plane.record_size <= size
