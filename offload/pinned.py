"""Parts of mapped files that must stay in memory: read past the system's cache into memory that it cannot take back."""

import contextlib
import ctypes
import mmap
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from ..errors import EngineError, ModelUnreadable
from ..units import Bytes
from .advice import let_go, read_as_asked

PAGE = mmap.PAGESIZE
_CHUNK = 4 << 20  # bytes of one read
_FIXED_SHARED = getattr(mmap, "MAP_SHARED", 1) | 0x10 | getattr(mmap, "MAP_POPULATE", 0)  # MAP_FIXED


@dataclass(frozen=True, slots=True)
class Part:
    """Whole pages of a file and where they are mapped."""

    path: Path
    offset: int
    address: int
    length: int


def whole_pages(path: Path, start: int, end: int, base: int) -> Part | None:
    """The pages that lie whole within bytes [start, end) of a file that is mapped at `base`, if there are any."""
    first, last = -(-start // PAGE) * PAGE, end // PAGE * PAGE
    return Part(path, first, base + first, last - first) if first < last else None


def pin(parts: Sequence[Part], readers: int) -> Bytes:
    """Puts a copy of each part in its place, atomically; what that takes. The copies live as long as the mappings.

    Raises ModelUnreadable, or EngineError where memory cannot be mapped."""
    size = sum(part.length for part in parts)
    if not size:
        return Bytes(0)
    memory = os.memfd_create("pinned", os.MFD_CLOEXEC)
    try:
        os.ftruncate(memory, size)
        with mmap.mmap(memory, size) as view, memoryview(view) as whole, ThreadPoolExecutor(readers) as pool:
            jobs, start = [], 0
            for part in parts:
                for at in range(0, part.length, _CHUNK):
                    length = min(_CHUNK, part.length - at)
                    jobs.append(
                        pool.submit(_read, part.path, part.offset + at, whole[start + at : start + at + length])
                    )
                start += part.length
            for job in jobs:
                job.result()
            del jobs, job
        start = 0
        for part in parts:
            _show(memory, start, part)
            start += part.length
    finally:
        os.close(memory)
    return Bytes(size)


def _read(path: Path, offset: int, into: memoryview) -> None:
    with into, contextlib.ExitStack() as opened:
        try:
            file, direct = _opened(path)
            opened.callback(os.close, file)
            done = 0
            while done < len(into):
                got = os.preadv(file, [into[done:]], offset + done)
                if not got:
                    raise ModelUnreadable(f"{path} ends within its weights, at {offset + done}", "download it again")
                done += got
                done -= done % PAGE if done < len(into) else 0  # direct reads begin at whole pages
            if not direct:
                let_go(file, offset, len(into))
        except OSError as error:
            raise ModelUnreadable(f"cannot read {path} at {offset}: {error.strerror}", "check the disk") from error


def _opened(path: Path) -> tuple[int, bool]:
    """To read from, and whether that is past the system's cache."""
    try:
        return os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_DIRECT), True
    except (AttributeError, OSError):
        file = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        read_as_asked(file)
        return file, False


def _show(memory: int, start: int, part: Part) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    libc.mmap.restype = ctypes.c_void_p
    place = libc.mmap(
        ctypes.c_void_p(part.address), ctypes.c_size_t(part.length), mmap.PROT_READ, _FIXED_SHARED, memory,
        ctypes.c_int64(start),
    )  # fmt: skip
    if place != part.address:
        raise EngineError(
            f"weights cannot be kept in memory: {os.strerror(ctypes.get_errno())}", "close other programs"
        )
