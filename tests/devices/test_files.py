"""Atomic writes: whole or not at all, and nothing left behind."""

import errno
import os
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from accel.devices.files import open_atomic, write_atomic
from accel.errors import AccelError, DiskFull


def names(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir()]


@settings(max_examples=20)
@given(st.binary(max_size=4096))
def test_what_is_written_is_what_is_read(tmp_path_factory, data: bytes) -> None:
    path = tmp_path_factory.getbasetemp() / "file"
    write_atomic(path, data)
    assert path.read_bytes() == data


def test_a_block_that_fails_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "file"
    write_atomic(path, b"old")
    with pytest.raises(KeyError), open_atomic(path) as sink:
        sink.write(b"half")
        raise KeyError
    assert path.read_bytes() == b"old" and names(tmp_path) == ["file"]


def test_nobody_sees_a_half_written_file(tmp_path: Path) -> None:
    path = tmp_path / "file"
    with open_atomic(path) as sink:
        sink.write(b"half")
        sink.flush()
        assert not path.exists()
    assert path.read_bytes() == b"half"


def test_a_full_disk_is_told_and_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(DiskFull, match="no room"), open_atomic(tmp_path / "file"):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    assert names(tmp_path) == []


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full here")
def test_a_disk_that_fills_at_the_last_flush_is_told(tmp_path: Path) -> None:
    with pytest.raises(DiskFull), open_atomic(tmp_path / "file") as sink:
        with Path("/dev/full").open("wb", buffering=0) as full:
            os.dup2(full.fileno(), sink.fileno())
        sink.write(b"buffered until the block ends")
    assert names(tmp_path) == []


def test_errors_of_the_block_that_are_not_about_room_pass(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError), open_atomic(tmp_path / "file"):
        (tmp_path / "missing").read_bytes()
    assert names(tmp_path) == []


def test_a_missing_folder_and_a_folder_in_the_way_are_told(tmp_path: Path) -> None:
    with pytest.raises(AccelError, match="cannot write"):
        write_atomic(tmp_path / "missing" / "file", b"")
    with pytest.raises(AccelError, match="cannot write"):
        write_atomic(tmp_path, b"")


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_without_permission_is_told(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    with pytest.raises(AccelError, match="writable"):
        write_atomic(tmp_path / "file", b"")
