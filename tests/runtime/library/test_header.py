"""A model is planned for by its header, before anything else of it is asked for."""

import errno

import pytest

from accel.errors import DiskFull, ModelDamaged, ModelTruncated, PlanRefused
from accel.offload.gguf_header import read_header
from accel.runtime.library import header as header_module

from .models import REPO, get, gguf, refuse


def test_nothing_of_the_body_is_asked_for_before_the_header_has_passed(hub, library, monkeypatch):
    monkeypatch.setattr(header_module, "FIRST_HEADER", 4096)
    hub.files[REPO] = {"a.gguf": gguf(100_000)}
    with pytest.raises(PlanRefused):
        get(library, "hf:owner/tiny:a.gguf", check=refuse)
    assert hub.sent == 4096
    assert not list(library.folder.rglob("*"))


@pytest.mark.parametrize("length", [0, 4000, 4096, 5000, 100_000])
def test_a_header_of_any_length_is_fetched_whole(hub, library, monkeypatch, length):
    monkeypatch.setattr(header_module, "FIRST_HEADER", 4096)
    hub.files[REPO] = {"a.gguf": gguf(50_000, "n" * length)}
    seen = []
    get(library, "hf:owner/tiny:a.gguf", check=lambda path: seen.append((read_header(path), path.stat().st_size)))
    header, size = seen[0]
    assert header.metadata["note"] == "n" * length
    assert size == len(hub.files[REPO]["a.gguf"])


def test_a_folder_without_room_for_a_header_is_said(hub, library, monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    hub.files[REPO] = {"a.gguf": gguf(10)}
    monkeypatch.setattr(header_module, "stream", full)
    with pytest.raises(DiskFull, match="TMPDIR"):
        get(library, "hf:owner/tiny:a.gguf")


def test_what_is_no_gguf_is_refused_after_its_first_bytes(hub, library, monkeypatch):
    monkeypatch.setattr(header_module, "FIRST_HEADER", 4096)
    hub.files[REPO] = {"a.gguf": b"<html>" * 100_000}
    with pytest.raises(ModelDamaged):
        get(library, "hf:owner/tiny:a.gguf")
    assert hub.sent == 4096


def test_what_is_wrong_with_a_file_of_the_hub_is_said_by_its_name_there(hub, library, monkeypatch):
    monkeypatch.setattr(header_module, "MOST_HEADER", 4096)  # whoever uploaded it had only a piece of it
    hub.files[REPO] = {"sub/a.gguf": gguf(5000)[:-100], "b.gguf": b"<html>"}
    with pytest.raises(ModelTruncated, match=r"^owner/tiny:sub/a\.gguf is not whole: .*; name another") as raised:
        get(library, "hf:owner/tiny:sub/a.gguf")
    assert raised.value.args == (raised.value.what, raised.value.do)
    with pytest.raises(ModelDamaged, match=r"^owner/tiny:b\.gguf is not a GGUF"):
        get(library, "hf:owner/tiny:b.gguf")
