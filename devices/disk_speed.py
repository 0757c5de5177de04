"""How fast a disk can be read: large reads, several in flight, past the page cache where the file system allows it."""

import contextlib
import mmap
import os
import secrets
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

from ..errors import DiskFull
from ..units import Bytes, Rate

_BLOCK = 1 << 20
_FILE = Bytes.from_mib(256)
_READERS = 8
_WRITE_SECONDS, _READ_SECONDS = 0.6, 0.4  # a slow disk gets a smaller file


class DiskSpeed(NamedTuple):
    read: Rate
    direct: bool


def disk_speed(folder: Path, room: Bytes) -> DiskSpeed:
    """Reads a file of at most 256 MiB and `room` that is written for it and gone afterwards.

    Raises DiskFull or OSError where it cannot be written; nothing stays behind.
    """
    blocks = min(_FILE, room) // _BLOCK
    if blocks < 1:
        raise DiskFull(f"no room to measure the disk of {folder}", "free some space there")
    path = folder / f".speed-{secrets.token_hex(8)}"
    try:
        with _opened(path, os.O_RDWR | os.O_CREAT | os.O_EXCL) as file, _opened_directly(path) as direct:
            # Gone at once where names and open files are apart: then not even SIGKILL leaves it behind.
            with contextlib.suppress(PermissionError):
                path.unlink()
            written = _write(file, blocks)
            if direct is not None and _readable(direct):
                return DiskSpeed(_read(direct, written), direct=True)
            return DiskSpeed(_read(file, written), direct=False)
    finally:
        path.unlink(missing_ok=True)


@contextlib.contextmanager
def _opened(path: Path, flags: int) -> Iterator[int]:
    file = os.open(path, flags | getattr(os, "O_BINARY", 0) | getattr(os, "O_CLOEXEC", 0), 0o600)
    try:
        yield file
    finally:
        os.close(file)


@contextlib.contextmanager
def _opened_directly(path: Path) -> Iterator[int | None]:
    """The file for reads that go past the page cache; None where it cannot be opened so."""
    with contextlib.ExitStack() as stack:
        try:
            file = stack.enter_context(_opened(path, os.O_RDONLY | os.O_DIRECT))
        except (AttributeError, OSError):
            file = None
        yield file


def _readable(file: int) -> bool:
    """Some file systems open a file for direct reads and then refuse to read."""
    with mmap.mmap(-1, _BLOCK) as buffer:
        try:
            return os.preadv(file, [buffer], 0) > 0
        except OSError:
            return False


def _write(file: int, blocks: int) -> int:
    """Writes up to `blocks` blocks that do not compress, each to the disk itself; how many there was time for."""
    data = os.urandom(_BLOCK)
    began = time.perf_counter()
    for done in range(1, blocks + 1):
        left = memoryview(data)
        while left:
            left = left[os.write(file, left) :]
        if done % 4 == 0 or done == blocks:
            os.fsync(file)
            if time.perf_counter() - began > _WRITE_SECONDS:
                break
    if hasattr(os, "posix_fadvise"):
        os.posix_fadvise(file, 0, 0, os.POSIX_FADV_DONTNEED)
    return done


def _read(file: int, blocks: int) -> Rate:
    """Every block once, or as many as there is time for, by several threads in turn."""
    readers = min(_READERS, blocks)
    began = time.perf_counter()
    with ThreadPoolExecutor(readers) as pool:
        done = sum(pool.map(lambda first: _read_every(file, first, readers, blocks, began), range(readers)))
    return Rate(done / (time.perf_counter() - began))


def _read_every(file: int, first: int, step: int, blocks: int, began: float) -> int:
    """Bytes of blocks `first`, `first + step`, ..., read until the time is up."""
    done = 0
    with mmap.mmap(-1, _BLOCK) as buffer:
        for block in range(first, blocks, step):
            done += _read_at(file, buffer, block * _BLOCK)
            if time.perf_counter() - began > _READ_SECONDS:
                break
    return done


def _read_at(file: int, buffer: mmap.mmap, offset: int) -> int:
    if hasattr(os, "preadv"):
        return os.preadv(file, [buffer], offset)
    os.lseek(file, offset, os.SEEK_SET)  # one position for all readers: any block will do
    return len(os.read(file, _BLOCK))
