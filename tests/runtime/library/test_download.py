"""Downloads resume, and what came damaged does not count."""

import hashlib

import pytest

from accel.errors import NetworkError
from accel.runtime.library import download as download_module

from .models import REPO, get, gguf


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
    hub.cut_after = [2**21, 3_000_000] + [0] * download_module.TRIES
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
    hub.cut_after = [2**21, 300_000] + [0] * download_module.TRIES
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


def test_the_checksum_promised_is_that_of_the_file(hub, library):
    hub.files[REPO] = {"a.gguf": gguf(10)}
    get(library, "hf:owner/tiny")
    (entry,) = library.entries()
    assert entry.model.parts[0].sha256 == hashlib.sha256(hub.files[REPO]["a.gguf"]).hexdigest()
