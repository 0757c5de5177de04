"""A library in a folder of its own, that loses no time."""

import pytest

from accel.runtime.library import download
from accel.runtime.library.downloaded import Library


@pytest.fixture
def library(tmp_path):
    return Library(tmp_path / "models")


@pytest.fixture(autouse=True)
def impatient(monkeypatch):
    monkeypatch.setattr(download.time, "sleep", lambda seconds: None)
