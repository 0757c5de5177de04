"""A meeting place is this user's alone, and goes without a trace."""

import stat
import tempfile
from pathlib import Path

from accel.devices.link.place import LOOPBACK, meeting_place, needs_keys


def folder_of(address: str) -> Path:
    return Path(address.removeprefix("ipc://")).parent


def test_only_its_owner_may_enter():
    with meeting_place() as address:
        assert stat.S_IMODE(folder_of(address).stat().st_mode) == 0o700
        assert not needs_keys(address)


def test_it_goes_with_what_is_in_it():
    with meeting_place() as address:
        folder = folder_of(address)
        (folder / "link").touch()
    assert not folder.exists()


def test_no_two_are_the_same():
    with meeting_place() as one, meeting_place() as other:
        assert one != other


def test_a_path_too_long_for_a_socket_becomes_a_port_with_keys(tmp_path, monkeypatch):
    deep = tmp_path / ("d" * 90)
    deep.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(deep))
    with meeting_place() as address:
        assert address == LOOPBACK and needs_keys(address)
    assert not list(deep.iterdir())
