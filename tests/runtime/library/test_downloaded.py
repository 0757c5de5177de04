"""What is in the library is found again, verified and removed; a full disk leaves nothing behind."""

import pytest

from accel.errors import AccelError, DiskFull, ModelMissing
from accel.offload.gguf_header import read_header
from accel.runtime.library import download as download_module
from accel.runtime.library import hub as hub_module

from .models import REPO, get, gguf


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


def test_a_disk_without_room_is_said_before_anything_is_written(hub, library):
    size = 2**49  # bytes, more than any disk here; the server never sends them
    listing = b'{"sha": "%s", "siblings": [{"rfilename": "a.gguf", "size": %d}]}' % (b"0" * 40, size)
    hub.listing = listing
    hub.files[REPO] = {}
    with pytest.raises(DiskFull, match="free some space"):
        library._download(library._entry(hub_module.models_of(REPO)[0]), lambda _: None)
    assert not list(library.folder.rglob("*"))


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


def test_what_an_interrupted_download_brought_is_not_missing(hub, library):
    body = gguf(5000)
    hub.files[REPO] = {"a.gguf": body}
    path, _ = get(library, "hf:owner/tiny:a.gguf")
    (entry,) = library.entries()
    unfinished = download_module.unfinished_file(entry.model, entry.model.parts[0], path)
    path.rename(unfinished)
    assert entry.lacking() == 0 and not entry.whole  # all there, and not checked yet
    unfinished.write_bytes(body[:1000])
    assert entry.lacking() == len(body) - 1000
    unfinished.rename(path.with_name(f"{path.name}.another.part"))  # of another version
    assert entry.lacking() == len(body)


def test_a_record_in_another_repositorys_folder_does_not_count(hub, library):
    hub.files[REPO] = {"a.gguf": gguf(10)}
    get(library, "hf:owner/tiny")
    (entry,) = library.entries()
    elsewhere = library.folder / "owner" / "other" / "b.gguf.json"
    elsewhere.parent.mkdir()
    elsewhere.write_bytes(entry.record.read_bytes())
    assert library.entries() == [entry]


def test_a_folder_that_may_not_be_written_to_is_not_called_full(hub, library):
    hub.files[REPO] = {"a.gguf": gguf(10)}
    library.folder.parent.joinpath("models").write_text("a file")
    with pytest.raises(AccelError, match="cannot write") as raised:
        get(library, "hf:owner/tiny:a.gguf")
    assert not isinstance(raised.value, DiskFull)


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
