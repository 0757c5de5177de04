"""A build of store.c whose reads fail as a test wants."""

import ctypes
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from accel.offload import store

ROOT = Path(__file__).resolve().parent.parent


class Faults(ctypes.Structure):
    """Faults of faulty_reads.c."""

    _fields_ = tuple(
        (name, ctypes.c_int64) for name in ("delay", "interrupt", "cut", "start", "end", "problem", "happened")
    )
    delay: int
    interrupt: int
    cut: int
    start: int
    end: int
    problem: int
    happened: int

    def fail(self, start: int, end: int, problem: int) -> None:
        """Reads of these bytes, with this number of errno; 0: no more."""
        self.start, self.end, self.problem = start, end, problem


@pytest.fixture(scope="session")
def faulty_store(tmp_path_factory: pytest.TempPathFactory) -> ctypes.CDLL:
    compiler = shutil.which("cc")
    if not compiler:
        pytest.skip("there is no C compiler")
    out = tmp_path_factory.mktemp("faulty") / "store.so"
    sources = [str(ROOT / name) for name in ("offload/store.c", "offload/planes.c", "tests/offload/faulty_reads.c")]
    flags = ["-O1", "-shared", "-fPIC", "-pthread", "-Dpreadv=faulty_preadv"]
    command = [compiler, *flags, *sources, "-o", str(out)]
    subprocess.run(command, check=True, capture_output=True)
    return ctypes.CDLL(str(out))


@pytest.fixture
def faults(faulty_store: ctypes.CDLL, monkeypatch: pytest.MonkeyPatch) -> Iterator[Faults]:
    """Stores that are opened from now on read with these."""
    monkeypatch.setattr(store, "library", lambda name: faulty_store)
    store._library.cache_clear()
    faults = Faults.in_dll(faulty_store, "faults")
    yield faults
    ctypes.memset(ctypes.addressof(faults), 0, ctypes.sizeof(faults))
    store._library.cache_clear()
