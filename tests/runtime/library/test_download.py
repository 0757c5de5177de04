"""Downloads resume, and what came damaged does not count."""

import hashlib

import pytest

from accel.errors import NetworkError
from accel.runtime.library import download as download_module

from .models import REPO, get, gguf, listing


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
    assert not entry.whole and entry.lacking() == len(body) - 3_000_000
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
    assert not list(library.folder.rglob("*"))


def test_a_wrong_checksum_of_one_part_leaves_the_parts_that_are_sound(hub, library):
    first, second = (f"a-{number:05d}-of-00002.gguf" for number in (1, 2))
    hub.files[REPO] = {
        name: gguf(3000, "", {"split.no": number, "split.count": 2}, f"w{number}")
        for number, name in enumerate((first, second))
    }
    hub.listing = listing(hub.files[REPO], 0)
    sound_part = hub.files[REPO][second]
    hub.files[REPO][second] = sound_part[:-1] + bytes([sound_part[-1] ^ 1])
    with pytest.raises(NetworkError, match="checksum"):
        get(library, "hf:owner/tiny")
    (entry,) = library.entries()
    assert entry.lacking() == len(sound_part) and not list(library.folder.rglob("*.part"))
    hub.files[REPO][second] = sound_part
    get(library, "hf:owner/tiny")
    assert entry.whole


@pytest.mark.parametrize("off", [100, -100])
@pytest.mark.parametrize("ranges", [True, False])
def test_a_size_that_the_hubs_list_has_wrong_is_said_and_nothing_is_left(hub, library, off, ranges):
    hub.ranges = ranges
    body = gguf(5000)
    hub.files[REPO] = {"a.gguf": body}
    hub.listing = listing(hub.files[REPO], off)
    with pytest.raises(NetworkError, match=rf"owner/tiny:a\.gguf disagree.* {len(body) + off} .* {len(body)}\b"):
        get(library, "hf:owner/tiny:a.gguf")
    assert not list(library.folder.rglob("*"))


def test_a_file_that_turns_out_to_be_shorter_than_listed_is_no_reason_to_try_again(hub, library, monkeypatch):
    def without_the_size(request, body):
        start, end = map(int, request.headers["Range"].removeprefix("bytes=").split("-"))
        if start >= len(body):
            return hub._send(request, 416, b"")
        end = min(end, len(body) - 1)
        return hub._send(request, 206, body[start : end + 1], {"Content-Range": f"bytes {start}-{end}/*"})

    monkeypatch.setattr(hub, "_send_file", without_the_size)
    hub.files[REPO] = {"a.gguf": gguf(5000)}
    hub.listing = listing(hub.files[REPO], 100)
    with pytest.raises(NetworkError, match=r"owner/tiny:a\.gguf disagree.*fewer"):
        get(library, "hf:owner/tiny:a.gguf", check=lambda path: None)
    assert not list(library.folder.rglob("*"))


def test_a_download_that_brought_nothing_is_not_listed(hub, library):
    hub.files[REPO] = {"sub/a.gguf": gguf(2_000_000)}
    hub.cut_after = [2**21] + [0] * download_module.TRIES
    with pytest.raises(NetworkError):
        get(library, "hf:owner/tiny:sub/a.gguf")
    assert not list(library.folder.rglob("*"))


def test_a_ctrl_c_before_the_first_byte_leaves_nothing(hub, library, monkeypatch):
    def interrupted(*_):
        raise KeyboardInterrupt

    hub.files[REPO] = {"a.gguf": gguf(5000)}
    monkeypatch.setattr(download_module, "stream", interrupted)
    with pytest.raises(KeyboardInterrupt):
        get(library, "hf:owner/tiny:a.gguf")
    assert not list(library.folder.rglob("*"))


def test_the_checksum_promised_is_that_of_the_file(hub, library):
    hub.files[REPO] = {"a.gguf": gguf(10)}
    get(library, "hf:owner/tiny")
    (entry,) = library.entries()
    assert entry.model.parts[0].sha256 == hashlib.sha256(hub.files[REPO]["a.gguf"]).hexdigest()
