"""The library: nothing is downloaded before its header has passed, downloads resume, what is damaged does not count."""

import hashlib
import os
import struct
from pathlib import PurePosixPath, PureWindowsPath

import pytest
from hypothesis import given
from hypothesis import strategies as st

from accel.errors import (
    DiskFull,
    ModelDamaged,
    ModelMissing,
    ModelUnsupported,
    NetworkError,
    PlanRefused,
    UsageError,
)
from accel.offload.gguf_header import read_header
from accel.runtime import hub as hub_module
from accel.runtime.choose import BEST_FIRST, format_of, preference
from accel.runtime.hub import HubFile, HubModel, Reference, grouped, is_model_name
from accel.runtime.library import Library
from accel.units import Bytes

REPO = "owner/tiny"


def text(value: str) -> bytes:
    return struct.pack("<Q", len(value.encode())) + value.encode()


def gguf(size: int, note: str = "", keys: dict[str, int] | None = None, tensor: str = "w") -> bytes:
    """A sound GGUF of one F32 tensor of `size` values; `note` makes the header as long as one likes."""
    pairs = text("note") + struct.pack("<I", 8) + text(note)
    for key, value in (keys or {}).items():
        pairs += text(key) + struct.pack("<II", 4, value)
    head = b"GGUF" + struct.pack("<IQQ", 3, 1, 1 + len(keys or {})) + pairs
    head += text(tensor) + struct.pack("<IQIQ", 1, size, 0, 0)
    return head + b"\0" * (-len(head) % 32) + os.urandom(4 * size)


@pytest.fixture
def library(tmp_path):
    return Library(tmp_path / "models")


@pytest.fixture(autouse=True)
def impatient(monkeypatch):
    monkeypatch.setattr(hub_module.time, "sleep", lambda seconds: None)


def sound(path):
    return read_header(path)


def refuse(path):
    raise PlanRefused("too large", "take a smaller one")


def get(library, wanted, check=sound, **more):
    said = []
    return library.get(Reference.parse(wanted), check, said.append, **more), said


@pytest.mark.parametrize(
    ("typed", "repo", "file"),
    [
        ("hf:a/b", "a/b", ""),
        ("a/b:c.gguf", "a/b", "c.gguf"),
        ("hf:a-1/b.c_d:sub/c d.gguf", "a-1/b.c_d", "sub/c d.gguf"),
    ],
)
def test_a_reference_is_read(typed, repo, file):
    assert Reference.parse(typed) == Reference(repo, file)


@pytest.mark.parametrize(
    "typed",
    [
        *("hf:", "hf:a", "hf:a/b/c", "hf:../b", "hf:a/..", "hf:a/b..c", "hf:a b/c", "hf:.a/b"),
        *("hf:a/b:c", "hf:a/b:../c.gguf", "hf:a/b:/c.gguf", "hf:a/b:x/../c.gguf", "hf:a/b:x\\c.gguf", "hf:a/b:.gguf"),
    ],
)
def test_what_names_no_model_is_refused(typed):
    with pytest.raises(UsageError):
        Reference.parse(typed)


@given(st.text(st.sampled_from("a./\\:\0\n-"), max_size=12))
def test_no_file_name_leaves_its_folder(name):
    name += ".gguf"
    if is_model_name(name):
        assert not PurePosixPath(name).is_absolute() and not PureWindowsPath(name).is_absolute()
        assert not os.path.normpath(name).startswith("..")
        assert ".." not in name.split("/")


def test_a_model_is_fetched_whole_and_found_again_without_the_hub(hub, library):
    body = gguf(5000)
    hub.files[REPO] = {"tiny-Q4_0.gguf": body}
    path, said = get(library, "hf:owner/tiny:tiny-Q4_0.gguf")
    assert path.read_bytes() == body
    assert "downloading" in said[0]
    before = len(hub.asked)
    assert get(library, "hf:owner/tiny:tiny-Q4_0.gguf") == (path, [])
    assert get(library, "hf:owner/tiny", offline=True)[0] == path
    assert len(hub.asked) == before


def test_nothing_of_the_body_is_asked_for_before_the_header_has_passed(hub, library, monkeypatch):
    monkeypatch.setattr(hub_module, "FIRST_HEADER", 4096)
    hub.files[REPO] = {"a.gguf": gguf(100_000)}
    with pytest.raises(PlanRefused):
        get(library, "hf:owner/tiny:a.gguf", check=refuse)
    assert hub.sent == 4096
    assert not list(library.folder.rglob("*"))


@pytest.mark.parametrize("length", [0, 4000, 4096, 5000, 100_000])
def test_a_header_of_any_length_is_fetched_whole(hub, library, monkeypatch, length):
    monkeypatch.setattr(hub_module, "FIRST_HEADER", 4096)
    hub.files[REPO] = {"a.gguf": gguf(50_000, "n" * length)}
    seen = []
    get(library, "hf:owner/tiny:a.gguf", check=lambda path: seen.append((read_header(path), path.stat().st_size)))
    header, size = seen[0]
    assert header.metadata["note"] == "n" * length
    assert size == len(hub.files[REPO]["a.gguf"])


def test_what_is_no_gguf_is_refused_after_its_first_bytes(hub, library, monkeypatch):
    monkeypatch.setattr(hub_module, "FIRST_HEADER", 4096)
    hub.files[REPO] = {"a.gguf": b"<html>" * 100_000}
    with pytest.raises(ModelDamaged):
        get(library, "hf:owner/tiny:a.gguf")
    assert hub.sent == 4096


def test_a_hub_without_ranges_serves_as_well(hub, library):
    hub.ranges = False
    hub.files[REPO] = {"a.gguf": gguf(5000)}
    path, _ = get(library, "hf:owner/tiny:a.gguf")
    assert path.read_bytes() == hub.files[REPO]["a.gguf"]


def test_a_hub_that_sends_one_elsewhere_for_the_bytes_is_followed(hub, library):
    hub.redirects = True
    hub.files[REPO] = {"a b.gguf": gguf(5000)}
    path, _ = get(library, "hf:owner/tiny:a b.gguf")
    assert path.read_bytes() == hub.files[REPO]["a b.gguf"]
    assert any("/elsewhere/" in name and ranged for name, ranged in hub.asked)


def test_a_broken_connection_is_taken_up_where_it_broke(hub, library):
    body = gguf(2_000_000)
    hub.files[REPO] = {"a.gguf": body}
    hub.cut_after = [2**21, 3_000_000, 1_500_000]  # the header, then two pieces of the body
    path, _ = get(library, "hf:owner/tiny:a.gguf")
    assert path.read_bytes() == body
    starts = [int(ranged.split("=")[1].split("-")[0]) for name, ranged in hub.asked if "/resolve/" in name]
    assert starts == [0, 0, 3_000_000, 4_500_000]


def test_a_download_that_gave_up_is_continued_by_the_next_one(hub, library):
    body = gguf(2_000_000)
    hub.files[REPO] = {"a.gguf": body}
    hub.cut_after = [2**21, 3_000_000] + [0] * hub_module.TRIES
    with pytest.raises(NetworkError):
        get(library, "hf:owner/tiny:a.gguf")
    assert not (library.folder / REPO / "a.gguf").exists()
    (entry,) = library.entries()
    assert not entry.whole
    hub.asked.clear()
    path, _ = get(library, "hf:owner/tiny:a.gguf")
    assert path.read_bytes() == body
    assert hub.asked[-1][1].startswith("bytes=3000000-")
    assert not list(library.folder.rglob("*.part"))


def test_what_was_left_of_another_version_is_not_continued(hub, library):
    hub.files[REPO] = {"a.gguf": gguf(200_000)}
    hub.cut_after = [2**21, 300_000] + [0] * hub_module.TRIES
    with pytest.raises(NetworkError):
        get(library, "hf:owner/tiny:a.gguf")
    hub.files[REPO] = {"a.gguf": gguf(200_000)}
    path, _ = get(library, "hf:owner/tiny:a.gguf")
    assert path.read_bytes() == hub.files[REPO]["a.gguf"]
    assert not list(library.folder.rglob("*.part"))


def test_a_wrong_checksum_leaves_no_model(hub, library):
    hub.wrong_sha256 = True
    hub.files[REPO] = {"a.gguf": gguf(5000)}
    with pytest.raises(NetworkError, match="checksum"):
        get(library, "hf:owner/tiny:a.gguf")
    assert not list(library.folder.rglob("*.part")) and not (library.folder / REPO / "a.gguf").exists()


def test_a_disk_without_room_is_said_before_anything_is_written(hub, library):
    size = 2**49  # bytes, more than any disk here; the server never sends them
    listing = b'{"sha": "%s", "siblings": [{"rfilename": "a.gguf", "size": %d}]}' % (b"0" * 40, size)
    hub.listing = listing
    hub.files[REPO] = {}
    with pytest.raises(DiskFull, match="free some space"):
        library._download(entry := library._entry(hub_module.models_of(REPO)[0]), lambda _: None)
    assert not entry.record.exists() and not entry.path.exists()


def test_a_disk_that_fills_up_midway_is_said_and_nothing_is_left(hub, library):
    resource = pytest.importorskip("resource")
    hub.files[REPO] = {"sub/a.gguf": gguf(500_000)}
    entry = library._entry(hub_module.models_of(REPO)[0])
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (2**20, before[1]))  # no file can grow beyond it
    try:
        with pytest.raises(DiskFull, match="free some space"):
            library._download(entry, lambda _: None)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert hub.sent >= 2**20
    assert not list(library.folder.rglob("*"))


def test_a_split_model_is_one_model(hub, library):
    names = [f"big-Q4_0-{number:05d}-of-00002.gguf" for number in (1, 2)]
    for number, name in enumerate(names):
        body = gguf(3000, "n" * 500, {"split.no": number, "split.count": 2}, f"w{number}")
        hub.files.setdefault(REPO, {})[name] = body
    path, _ = get(library, "hf:owner/tiny")
    assert path.name == names[0]
    assert len(read_header(path).files) == 2
    (entry,) = library.entries()
    assert entry.whole and library.problem(entry) == ""
    (library.folder / REPO / names[1]).unlink()
    assert not entry.whole
    library.remove(entry)
    assert not list(library.folder.iterdir())


def test_an_incomplete_split_is_no_model():
    files = [HubFile(f"a-0000{number}-of-00003.gguf", Bytes(1)) for number in (1, 3)]
    assert grouped(REPO, "", [*files, HubFile("b.gguf", Bytes(1))])[0].name == "b.gguf"
    assert len(grouped(REPO, "", files)) == 0


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("Some-Model-7B.Q4_K_M.gguf", "Q4_K_M"),
        ("some-model-q8_0.gguf", "Q8_0"),
        ("Q4_K_M/some-model-Q4_K_M-00001-of-00002.gguf", "Q4_K_M"),
        ("some-IQ4_XS.gguf", "IQ4_XS"),
        ("some-f16.gguf", "F16"),
        ("some.gguf", ""),
    ],
)
def test_a_name_tells_its_format(name, told):
    assert format_of(name) == told


def model(name: str, size: int) -> HubModel:
    return HubModel(REPO, "", (HubFile(name, Bytes(size)),))


def test_four_bits_come_first_and_unknown_formats_last():
    models = [model("x-F16.gguf", 16), model("x-Q8_0.gguf", 8), model("x-Q4_K_M.gguf", 5), model("x-Q2_K.gguf", 3)]
    assert [format_of(each.name) for each in sorted(models, key=preference)] == ["Q4_K_M", "Q8_0", "Q2_K", "F16"]


def test_every_format_of_the_order_is_one_that_names_tell():
    assert [format_of(f"x-{name}.gguf") for name in BEST_FIRST] == list(BEST_FIRST)


def test_without_a_file_the_first_choice_that_fits_is_taken_and_told(hub, library):
    hub.files[REPO] = {
        "x-Q8_0.gguf": gguf(8000),
        "x-Q4_K_M.gguf": gguf(4000),
        "x-Q3_K_M.gguf": gguf(3000),
        "mmproj-x-Q4_K_M.gguf": gguf(100, "projector"),
    }

    def check(path):
        if read_header(path).metadata["note"] == "projector":
            raise ModelUnsupported("no language model", "name another")
        if path.stat().st_size > 15_000:
            raise PlanRefused("too large", "")

    path, said = get(library, "hf:owner/tiny", check=check)
    assert path.name == "x-Q3_K_M.gguf"
    assert "do not fit" in said[0]
    assert not any("Q8_0" in name for name, _ in hub.asked)  # larger than what was refused: not even asked
    library.remove(library.entries()[0])
    path, said = get(library, "hf:owner/tiny")
    assert path.name == "x-Q4_K_M.gguf"
    assert "four bits" in said[0]


def test_where_nothing_fits_the_refusal_is_the_answer(hub, library):
    hub.files[REPO] = {"x-Q4_0.gguf": gguf(100)}
    with pytest.raises(PlanRefused):
        get(library, "hf:owner/tiny", check=refuse)


def test_a_file_that_is_not_there_names_the_nearest(hub, library):
    hub.files[REPO] = {"x-Q4_K_M.gguf": gguf(10), "y.gguf": gguf(10)}
    with pytest.raises(ModelMissing, match=r"x-Q4_K_M\.gguf"):
        get(library, "hf:owner/tiny:x-Q4_KM.gguf")


@pytest.mark.parametrize("files", [{}, {"model.safetensors": b"x"}, {"../evil.gguf": b"x"}])
def test_a_repository_without_models_is_said(hub, library, files):
    hub.files[REPO] = files
    with pytest.raises(ModelMissing, match="holds no GGUF"):
        get(library, "hf:owner/tiny")


def test_a_repository_that_is_not_there_is_said(hub, library):
    with pytest.raises(ModelMissing, match="check the name"):
        get(library, "hf:nobody/nothing")


@pytest.mark.parametrize(
    "listing",
    [b"", b"<html>", b"[]", b'{"sha": "../..", "siblings": []}', b'{"sha": 1}', b"[" * 100_000, b'{"siblings": 0}'],
)
def test_a_server_that_is_no_hub_is_said(hub, library, listing):
    hub.files[REPO] = {}
    hub.listing = listing
    with pytest.raises(NetworkError, match="HF_ENDPOINT"):
        get(library, "hf:owner/tiny")


def test_without_network_the_error_says_what_to_do(hub, library):
    hub.server.shutdown()
    hub.server.server_close()
    with pytest.raises(NetworkError, match="check the network"):
        get(library, "hf:owner/tiny")


def test_offline_never_asks_the_hub(hub, library):
    hub.files[REPO] = {"a.gguf": gguf(10)}
    with pytest.raises(NetworkError, match="offline"):
        get(library, "hf:owner/tiny", offline=True)
    assert not hub.asked


def test_what_another_program_downloaded_is_used(hub, library, tmp_path):
    theirs = tmp_path / "shared" / "models--owner--tiny"
    (theirs / "refs").mkdir(parents=True)
    (theirs / "refs" / "main").write_text("0" * 40)
    file = theirs / "snapshots" / ("0" * 40) / "a.gguf"
    file.parent.mkdir(parents=True)
    file.write_bytes(gguf(10))
    path, said = get(library, "hf:owner/tiny:a.gguf")
    assert path == file and "another program" in said[0]
    assert not hub.asked


def test_verifying_tells_what_is_wrong_and_removing_frees_it(hub, library):
    body = gguf(5000)
    hub.files[REPO] = {"sub/a.gguf": body}
    path, _ = get(library, "hf:owner/tiny:sub/a.gguf")
    (entry,) = library.find("owner/tiny:sub/a.gguf")
    read = []
    assert library.problem(entry, read.append) == "" and sum(read) == len(body)
    path.write_bytes(body[:-1] + bytes([body[-1] ^ 1]))
    assert "checksum" in library.problem(entry)
    path.write_bytes(body[:-1])
    assert "not" in library.problem(entry) and not entry.whole
    assert library.remove(entry) == len(body) - 1
    assert not list(library.folder.iterdir())
    with pytest.raises(ModelMissing):
        library.find("owner/tiny")


@pytest.mark.parametrize(
    "record",
    [
        b"",
        b"{}",
        b'{"repo": "../..", "commit": "", "parts": [{"name": "a.gguf", "size": 1}]}',
        b'{"repo": "owner/tiny", "commit": "", "parts": [{"name": "../../../a.gguf", "size": 1}]}',
        b'{"repo": "owner/tiny", "commit": "", "parts": []}',
        b'{"repo": "owner/other", "commit": "", "parts": [{"name": "a.gguf", "size": 1}]}',
    ],
)
def test_a_damaged_record_does_not_count(library, record):
    folder = library.folder / REPO
    folder.mkdir(parents=True)
    (folder / "a.gguf.json").write_bytes(record)
    assert library.entries() == []


def test_the_checksum_promised_is_that_of_the_file(hub, library):
    hub.files[REPO] = {"a.gguf": gguf(10)}
    get(library, "hf:owner/tiny")
    (entry,) = library.entries()
    assert entry.model.parts[0].sha256 == hashlib.sha256(hub.files[REPO]["a.gguf"]).hexdigest()
