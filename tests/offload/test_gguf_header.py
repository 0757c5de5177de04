"""A header is believed only as far as the file bears it out."""

import os
import struct
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from accel.errors import (
    ModelDamaged,
    ModelEmpty,
    ModelError,
    ModelIsDirectory,
    ModelMissing,
    ModelTruncated,
    ModelUnreadable,
    ModelUnsupported,
)
from accel.offload.gguf_header import FORMATS, Array, read_header

STORIES = Path(__file__).resolve().parents[3] / "shared/assets/models/stories260K.gguf"
CODES = {int: (4, "I"), float: (6, "f"), bool: (7, "?")}


def text(value):
    raw = value.encode() if isinstance(value, str) else value
    return struct.pack("<Q", len(raw)) + raw


def typed(value):
    """A value of the metadata with its kind before it."""
    if isinstance(value, str):
        return struct.pack("<I", 8) + text(value)
    if isinstance(value, list):
        if value and isinstance(value[0], str):
            return struct.pack("<IIQ", 9, 8, len(value)) + b"".join(map(text, value))
        return struct.pack("<IIQ", 9, 5, len(value)) + struct.pack(f"<{len(value)}i", *value)
    kind, code = CODES[type(value)]
    return struct.pack("<I" + code, kind, value)


def tensor(name, shape, number=0, offset=0):
    return text(name) + struct.pack(f"<I{len(shape)}QIQ", len(shape), *shape, number, offset)


def gguf(metadata=None, tensors=(), data=b"", counts=None, version=3, alignment=32):
    """A file's bytes: metadata as {key: value}, tensors as packed records."""
    metadata = metadata or {}
    count = counts or (len(tensors), len(metadata))
    head = b"GGUF" + struct.pack("<IQQ", version, *count)
    head += b"".join(
        text(key) + (value if isinstance(value, bytes) else typed(value)) for key, value in metadata.items()
    )
    head += b"".join(tensors)
    return head + bytes(-len(head) % alignment) + data


def write(folder, raw, name="model.gguf"):
    path = folder / name
    path.write_bytes(raw)
    return path


ONE = (tensor("a", (4, 2)),)


def test_values_tensors_and_their_places_come_out_as_written(tmp_path):
    metadata = {"general.architecture": "x", "n": 7, "f": 0.5, "b": True, "names": ["p", "qq"], "numbers": [3, -1]}
    second = tensor("b", (32, 3), number=8, offset=32)
    header = read_header(write(tmp_path, gguf(metadata, [*ONE, second], bytes(32 + 3 * 34))))
    plain = {key: value for key, value in header.metadata.items() if not isinstance(value, Array)}
    assert plain == {"general.architecture": "x", "n": 7, "f": 0.5, "b": True}
    names, numbers = header.metadata["names"], header.metadata["numbers"]
    assert isinstance(names, Array) and isinstance(numbers, Array)
    assert (numbers.numbers(), names.index(frozenset({b"qq", b"q", b"pq", b"absent"}))) == ((3, -1), {b"qq": 1})
    a, b = header.tensors["a"], header.tensors["b"]
    assert (a.shape, a.format, a.size, b.shape, b.format, b.size) == ((4, 2), "F32", 32, (32, 3), "Q8_0", 102)
    assert a.offset % 32 == 0 and b.offset == a.offset + 32 and b.offset + b.size == header.sizes[0]


def test_the_formats_are_those_of_the_format_s_own_library():
    gguf_package = pytest.importorskip("gguf")
    known = {kind.name: tuple(sizes) for kind, sizes in gguf_package.GGML_QUANT_SIZES.items()}
    known["Q8_1"] = (32, 36)  # the library says 40; ggml itself 36
    assert {name: sizes for name, sizes in FORMATS.items() if name in known} == known


@pytest.mark.skipif(not STORIES.exists(), reason="no shared assets here")
def test_a_real_file_reads_as_its_own_library_reads_it():
    from gguf import GGUFReader

    header = read_header(STORIES)
    reader = GGUFReader(STORIES)
    expected = {
        t.name: (tuple(map(int, t.shape)), t.tensor_type.name, t.data_offset, t.n_bytes) for t in reader.tensors
    }
    assert {t.name: (t.shape, t.format, t.offset, t.size) for t in header.tensors.values()} == expected


HOSTILE = {
    "2^32 tensors": gguf(counts=(2**32, 0)),
    "2^63 keys": gguf(counts=(0, 2**63)),
    "a key of 2^63 bytes": gguf(counts=(0, 1))[:24] + struct.pack("<Q", 2**63) + b"k",
    "a value of 2^63 bytes": gguf({"k": struct.pack("<IQ", 8, 2**63)}),
    "a text of more than 1 MiB": gguf({"k": "x" * (2**20 + 1)}),
    "texts of 5 MB together": gguf({f"k{number}": "x" * 10**6 for number in range(5)}),
    "a key of more than 1 KiB": gguf({"k" * 1025: 1}),
    "a text that is not UTF-8": gguf({"k": struct.pack("<I", 8) + text(b"a\xff")}),
    "a tensor whose name is not UTF-8": gguf({}, [tensor(b"\xff", (4,))], bytes(64)),
    "a tensor with a name of 128 bytes": gguf({}, [tensor("a" * 128, (4,))], bytes(64)),
    "a value of 2^64-1 bytes": gguf({"k": struct.pack("<IQ", 8, 2**64 - 1)}),
    "an array of 2^61 numbers": gguf({"k": struct.pack("<IIQ", 9, 5, 2**61)}),
    "an array of 2^63 strings": gguf({"k": struct.pack("<IIQ", 9, 8, 2**63)}),
    "strings of 2^63 bytes": gguf({"k": struct.pack("<IIQQ", 9, 8, 3, 2**63)}),
    "arrays within arrays": gguf({"k": struct.pack("<IIQIQ", 9, 9, 1, 9, 1)}),
    "a value of unknown kind": gguf({"k": struct.pack("<I", 77)}),
    "the same key twice": gguf(counts=(0, 2))[:24] + (text("k") + typed(1)) * 2,
    "an alignment of zero": gguf({"general.alignment": 0}, ONE, bytes(64)),
    "an alignment that is no power of two": gguf({"general.alignment": 48}, ONE, bytes(64)),
    "an alignment that is text": gguf({"general.alignment": "32"}, ONE, bytes(64)),
    "a tensor of five dimensions": gguf({}, [tensor("a", (1,) * 5)], bytes(64)),
    "a tensor without dimensions": gguf({}, [tensor("a", ())], bytes(64)),
    "a tensor of nothing": gguf({}, [tensor("a", (0, 4))], bytes(64)),
    "a tensor whose size overflows": gguf({}, [tensor("a", (2**32, 2**32, 2**32))], bytes(64)),
    "a row that ends within a block": gguf({}, [tensor("a", (33,), number=8)], bytes(64)),
    "an unaligned tensor": gguf({}, [tensor("a", (4,), offset=8)], bytes(64)),
    "two tensors in one place": gguf({}, [*ONE, tensor("b", (4,))], bytes(64)),
    "two tensors of one name": gguf({}, [*ONE, tensor("a", (4,), offset=32)], bytes(64)),
    "no GGUF at all": b"PK\3\4" + bytes(100),
    "three bytes": b"GGU",
    "one of 2^31 files": gguf({"split.count": 2**31}),
    "one of three files without their name": gguf({"split.count": 3}),
    "a count of files that is text": gguf({"split.count": "3"}),
}


@pytest.mark.parametrize("raw", HOSTILE.values(), ids=HOSTILE)
def test_a_header_that_cannot_be_is_damaged(tmp_path, raw):
    with pytest.raises((ModelDamaged, ModelTruncated)):
        read_header(write(tmp_path, raw))


@pytest.mark.parametrize("raw", [gguf(version=1), gguf(version=3 << 24), gguf({}, [tensor("a", (4,), 4)], bytes(64))])
def test_what_no_engine_reads_is_unsupported(tmp_path, raw):
    with pytest.raises(ModelUnsupported):
        read_header(write(tmp_path, raw))


def test_a_tensor_beyond_the_file_s_end_means_that_the_file_was_cut_short(tmp_path):
    whole = gguf({"general.architecture": "x"}, ONE, bytes(32))
    read_header(write(tmp_path, whole))
    for length in range(24, len(whole)):
        with pytest.raises(ModelTruncated):
            read_header(write(tmp_path, whole[:length]))


def test_missing_folder_empty_pipe_and_forbidden_each_have_their_error(tmp_path):
    with pytest.raises(ModelMissing):
        read_header(tmp_path / "absent.gguf")
    with pytest.raises(ModelMissing):
        read_header(tmp_path / "nul\0byte")
    with pytest.raises(ModelIsDirectory):
        read_header(tmp_path)
    with pytest.raises(ModelEmpty):
        read_header(write(tmp_path, b""))
    if hasattr(os, "mkfifo"):
        os.mkfifo(tmp_path / "pipe")
        with pytest.raises(ModelUnreadable):
            read_header(tmp_path / "pipe")


@pytest.mark.skipif(not hasattr(os, "geteuid"), reason="no permissions of this kind here")
def test_a_file_without_permission_is_unreadable(tmp_path, monkeypatch):
    path = write(tmp_path, gguf())
    path.chmod(0)
    if os.geteuid() == 0:  # root may read everything: ask as nobody
        code = (
            "import os, sys; from pathlib import Path; from accel.errors import ModelUnreadable\n"
            "from accel.offload.gguf_header import read_header\n"
            "file = Path(sys.argv[1]); os.chdir(file.parent); os.setuid(65534)\n"
            "try: read_header(Path(file.name))\n"
            "except ModelUnreadable: print('unreadable')"
        )
        done = subprocess.run([sys.executable, "-c", code, str(path)], capture_output=True, text=True)
        assert done.stdout == "unreadable\n", done.stderr
    else:
        with pytest.raises(ModelUnreadable):
            read_header(path)


def split(folder, number, count=3, tensors=ONE, extra=None, name=None):
    metadata = {"split.no": number, "split.count": count, **(extra or {})}
    return write(folder, gguf(metadata, tensors, bytes(32)), name or f"m-{number + 1:05d}-of-{count:05d}.gguf")


def test_a_split_model_is_read_whole_from_any_of_its_files(tmp_path):
    parts = [split(tmp_path, n, tensors=[tensor(f"t{n}", (4, 2))], extra={"split.tensors.count": 3}) for n in range(3)]
    headers = [read_header(part) for part in parts]
    assert headers[0] == headers[1] == headers[2]
    assert headers[0].files == tuple(parts) and list(headers[0].tensors) == ["t0", "t1", "t2"]
    assert [headers[0].tensors[f"t{n}"].file for n in range(3)] == parts


def test_a_split_model_whose_files_do_not_belong_together_is_refused(tmp_path):
    first = split(tmp_path, 0)
    with pytest.raises(ModelMissing, match="00002-of-00003"):
        read_header(first)
    (tmp_path / "m-00002-of-00003.gguf").symlink_to(first)  # a cycle
    split(tmp_path, 2)
    with pytest.raises(ModelDamaged, match="00002-of-00003"):
        read_header(first)
    (tmp_path / "m-00002-of-00003.gguf").unlink()
    split(tmp_path, 1)
    with pytest.raises(ModelDamaged, match="twice"):
        read_header(first)
    split(tmp_path, 0, extra={"split.tensors.count": 9})
    for number in (1, 2):
        split(tmp_path, number, tensors=[tensor(f"t{number}", (4, 2))])
    with pytest.raises(ModelDamaged, match="promises 9"):
        read_header(first)


def test_each_file_of_a_split_model_is_checked_before_the_next_is_opened(tmp_path):
    first = split(tmp_path, 0, count=999)
    (tmp_path / "m-00002-of-00999.gguf").symlink_to(first)  # and the third is missing
    with pytest.raises(ModelDamaged, match=r"00002-of-00999\.gguf is not file 2 of 999"):
        read_header(first)


def test_a_tokenizer_in_another_format_is_passed_over_however_long_it_is(tmp_path):
    metadata = {"tokenizer.huggingface.json": "x" * 2**23, "n": 7}
    header = read_header(write(tmp_path, gguf(metadata, ONE, bytes(32))))
    assert header.metadata == {"n": 7} and list(header.tensors) == ["a"]


def test_a_file_that_changes_has_another_fingerprint(tmp_path):
    prints = {
        read_header(write(tmp_path, raw)).fingerprint
        for raw in (gguf({"a": 1}, ONE, bytes(32)), gguf({"a": 2}, ONE, bytes(32)), gguf({"a": 1}, ONE, bytes(64)))
    }
    assert len(prints) == 3


@given(st.binary(max_size=200), st.integers(0, 10**9))
@settings(max_examples=150, deadline=None)
def test_no_bytes_at_all_make_it_fail_otherwise_than_as_a_model_error(tmp_path_factory, noise, where):
    whole = bytearray(gguf({"general.architecture": "x", "t": ["a", "b"], "n": [1, 2]}, ONE, bytes(32)))
    at = where % len(whole)
    whole[at : at + len(noise)] = noise
    try:
        read_header(write(tmp_path_factory.mktemp("noise"), bytes(whole)))
    except ModelError as error:
        assert str(error)


def test_a_hostile_header_in_a_huge_file_takes_neither_time_nor_memory(tmp_path):
    """In a sparse file of 1 TiB every claim can be true: what holds are the reader's own limits."""
    claims = {
        "as many strings as may be": gguf({"k": struct.pack("<IIQ", 9, 8, 3 * 2**19)}),
        "more strings": gguf({"k": struct.pack("<IIQ", 9, 8, 3 * 2**19 + 1)}),
        "a string": gguf({"k": struct.pack("<IQ", 8, 2**38)}),
        "numbers": gguf({"k": struct.pack("<IIQ", 9, 5, 2**36)}),
        "tensors": gguf(counts=(2**15, 0)),
        "more tensors": gguf(counts=(2**15 + 1, 0)),
        "keys": gguf(counts=(0, 2**14)),
        "more keys": gguf(counts=(0, 2**14 + 1)),
    }
    for name, raw in claims.items():
        os.truncate(write(tmp_path, raw, name), 2**40)
    outcomes, peak = read_apart(tmp_path / name for name in claims)
    assert outcomes == ["read", *["ModelDamaged"] * (len(claims) - 1)]
    assert peak < 200


def test_what_is_just_below_every_limit_costs_no_more_than_it_may(tmp_path):
    wide = [text(f"{number:04d}" + "\U0001f600" * 225_000) for number in range(4)]  # 4 bytes in memory for each of 4
    metadata = {"t": struct.pack("<IIQ", 9, 8, 10**6) + (struct.pack("<Q", 1) + b"<") * 10**6}
    metadata |= {"n": struct.pack("<IIQ", 9, 0, 2**24) + bytes(2**24)}
    metadata |= {f"w{number}": struct.pack("<I", 8) + raw for number, raw in enumerate(wide)}
    metadata |= {f"k{number}": number + 10**6 for number in range(16_000)}
    tensors = [tensor(f"blk.{number}.x", (1001 + number, 1, 1, 1), 0, 2**18 * number) for number in range(2**15)]
    path = write(tmp_path, gguf(metadata, tensors))
    os.truncate(path, 2**40)
    assert path.stat().st_blocks * 512 > 24 * 2**20  # of header
    outcomes, peak = read_apart([path])
    assert outcomes == ["read"] and peak < 200


def test_the_files_of_a_model_share_one_allowance(tmp_path):
    filling = {"x": struct.pack("<IIQ", 9, 0, 12 * 2**20) + bytes(12 * 2**20)}
    parts = [split(tmp_path, n, tensors=[tensor(f"t{n}", (4, 2))], extra=filling) for n in range(3)]
    with pytest.raises(ModelDamaged, match=r"00003-of-00003.*more than the 33554432 bytes of header"):
        read_header(parts[0])
    outcomes, peak = read_apart(parts)
    assert outcomes == ["ModelDamaged"] * 3 and peak < 100


def read_apart(paths):
    """What comes of reading each, and the MiB that a process took at most for all of them."""
    if not Path("/proc/self/status").exists():
        pytest.skip("the peak of a process is read from /proc")  # getrusage would count what the parent had
    code = (
        "import re, sys; from pathlib import Path; from accel.errors import ModelError\n"
        "from accel.offload.gguf_header import read_header\n"
        "for name in sys.argv[1:]:\n"
        "    try: read_header(Path(name)); print('read')\n"
        "    except ModelError as error: print(type(error).__name__)\n"
        "print(int(re.search(r'VmHWM:\\s+(\\d+)', Path('/proc/self/status').read_text())[1]) // 1024)"
    )
    done = subprocess.run([sys.executable, "-c", code, *map(str, paths)], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    *outcomes, peak = done.stdout.split()
    return outcomes, int(peak)
