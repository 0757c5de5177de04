"""Which pages of a file the system's cache holds."""

import ctypes
import mmap
import os
from pathlib import Path

import numpy as np
import pytest

from accel.offload.advice import let_go

PAGE = mmap.PAGESIZE


def cached_pages(path: Path) -> set[int]:
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as mapping:
        pages = np.zeros(-(-len(mapping) // PAGE), np.uint8)
        whole = np.frombuffer(mapping, np.uint8)
        place, length = ctypes.c_void_p(whole.ctypes.data), ctypes.c_size_t(len(mapping))
        del whole
        assert ctypes.CDLL(None).mincore(place, length, ctypes.c_void_p(pages.ctypes.data)) == 0
    return set(np.flatnonzero(pages & 1).tolist())


def leave(path: Path) -> None:
    """Takes a file out of the system's cache; skips the test where it stays there."""
    with path.open("rb") as file:
        os.fsync(file.fileno())
        let_go(file.fileno(), 0, 0)
    if cached_pages(path):
        pytest.skip("files stay in memory here")
