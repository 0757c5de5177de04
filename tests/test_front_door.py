"""What `import accel` offers, and that it costs nothing."""

import subprocess
import sys

import pytest

import accel
from accel.errors import ModelMissing, SettingError


def test_the_exported_names_are_these():
    assert accel.__all__ == ["AccelError", "open"]


def test_importing_it_loads_no_part_of_the_runtime():
    code = "import sys, accel; print(*(name for name in sys.modules if name.startswith('accel.')))"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert loaded == ["accel.errors"]


def test_what_open_is_given_is_checked_as_flags_are(monkeypatch, tmp_path):
    monkeypatch.setenv("ACCEL_HOME", str(tmp_path))
    with pytest.raises(SettingError, match="temperature"):
        accel.open("x.gguf", temprature=1)
    with pytest.raises(SettingError, match="number"):
        accel.open("x.gguf", temperature="hot")
    with pytest.raises(ModelMissing):
        accel.open(str(tmp_path / "x.gguf"))
