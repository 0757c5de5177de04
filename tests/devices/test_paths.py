"""Own folders: below ACCEL_HOME where it is set, and for their owner alone."""

import os
import stat
from pathlib import Path

import pytest

from accel.devices.paths import cache_dir, config_dir, state_dir
from accel.errors import AccelError


@pytest.mark.parametrize("folder", [cache_dir, config_dir, state_dir])
def test_everything_lies_below_accel_home_and_is_private(folder, tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("ACCEL_HOME", str(tmp_path / "home"))
    made = folder()
    assert made.is_dir() and made.is_relative_to(tmp_path / "home")
    if os.name == "posix":
        assert stat.S_IMODE(made.stat().st_mode) == 0o700


def test_the_three_folders_differ(tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("ACCEL_HOME", str(tmp_path))
    assert len({cache_dir(), config_dir(), state_dir()}) == 3


def test_without_accel_home_the_platform_decides(tmp_path, monkeypatch) -> None:
    monkeypatch.delenv("ACCEL_HOME", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert cache_dir().name == "accel"


def test_a_home_that_cannot_be_made_is_told(tmp_path: Path, monkeypatch) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("ACCEL_HOME", str(tmp_path / "file"))
    with pytest.raises(AccelError, match="ACCEL_HOME"):
        cache_dir()
