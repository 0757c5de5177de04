"""The file form of one sequence's cache: who made it, how long it is, and a checksum, around an engine's own bytes.

A cache can be as large as the memory that is left. So where a state goes to a file or comes from one, its bytes are
written and read in the file's own pages, and what was written or read is let go at once: no copy stands beside the
cache.
"""

import errno
import mmap
import os
import struct
import threading
import time
import weakref
from collections.abc import Callable
from hashlib import blake2b, sha256
from typing import BinaryIO

from ...errors import StateError

_MAGIC = b"accel-kv"
_VERSION = 2
_HEADER = struct.Struct("<8sIQQ16s32s")  # magic, version, positions, bytes, maker, checksum
_CHUNK = 2**20
_LET_GO = 0.0005  # seconds between two times that pages are
_DO = "prefill the conversation again"
_CANNOT = {errno.EACCES, errno.EINVAL, errno.ENODEV, errno.EOPNOTSUPP}  # no such pages in this file


def write_state(sink: BinaryIO, maker: str, positions: int, payload: memoryview) -> None:
    """`maker` says engine, model and cache format; only a reader that says the same may have the payload."""
    sink.write(_header(maker, positions, payload))
    sink.write(payload)


def write_filled(sink: BinaryIO, maker: str, positions: int, size: int, fill: Callable[[memoryview], None]) -> None:
    """Like `write_state`, with a payload of `size` bytes that `fill` puts into its place."""
    pages = _pages_for(sink, _HEADER.size + size)
    if pages is None:
        payload = memoryview(bytearray(size))
        fill(payload)
        write_state(sink, maker, positions, payload)
    else:
        fill(pages[_HEADER.size :])
        pages[: _HEADER.size] = _header(maker, positions, pages[_HEADER.size :])
        sink.seek(len(pages), os.SEEK_CUR)


def read_state(source: BinaryIO, maker: str, most_positions: int, most_bytes: int) -> tuple[int, memoryview]:
    """(positions, payload) of a state that `maker` wrote, all of it checked. Raises StateError.

    Memory is taken as bytes arrive, never as the header promises.
    """
    header = _read(source, _HEADER.size)
    if len(header) < _HEADER.size or header[:8] != _MAGIC:
        raise StateError("this is no saved state", _DO)
    _, version, positions, size, made_by, checksum = _HEADER.unpack(header)
    if version != _VERSION or made_by != _digest(maker):
        raise StateError("the saved state is of another model, engine or cache format", _DO)
    if positions > most_positions or size > most_bytes:
        raise StateError(f"the saved state of {positions} positions is larger than the context", _DO)
    payload = _pages_of(source, size)
    if payload is None:
        payload = memoryview(_read(source, size))
    if len(payload) < size or _checksum(positions, payload) != checksum:
        raise StateError("the saved state is damaged", _DO)
    return positions, payload


def _pages_for(sink: BinaryIO, size: int) -> memoryview | None:
    """The next `size` bytes of a file, room for them kept on the disk; None where the sink has no such pages.

    Without the room a write into a page would end the process where the disk is full.
    """
    if not hasattr(os, "posix_fallocate") or not sink.seekable():
        return None
    try:
        descriptor = sink.fileno()
        sink.flush()
        os.posix_fallocate(descriptor, sink.tell(), size)
        return _map(descriptor, sink.tell(), size, mmap.ACCESS_WRITE)
    except OSError as error:
        if error.errno is None or error.errno in _CANNOT:  # None: a sink in memory has no descriptor
            return None
        raise


def _pages_of(source: BinaryIO, size: int) -> memoryview | None:
    """The next `size` bytes of a file; None where they are not all there, or the source has no such pages."""
    try:
        descriptor, start = source.fileno(), source.tell()
        if not size or os.fstat(descriptor).st_size < start + size:
            return None
        pages = _map(descriptor, start, size, mmap.ACCESS_READ)
        source.seek(start + size)
        return pages
    except OSError:
        return None


def _map(descriptor: int, start: int, size: int, access: int) -> memoryview:
    before = start % mmap.ALLOCATIONGRANULARITY
    pages = mmap.mmap(descriptor, before + size, access=access, offset=start - before)
    if size > _CHUNK and hasattr(mmap, "MADV_DONTNEED"):
        threading.Thread(target=_let_go, args=(weakref.ref(pages),), name="pages", daemon=True).start()
    return memoryview(pages)[before:]


def _let_go(pages: "weakref.ref[mmap.mmap]") -> None:
    """As long as the pages are mapped those that were touched leave this process's memory again, and come back from the
    file where they are touched once more. The engine goes through all of them in one call, so another thread does it.
    """
    while (mapped := pages()) is not None:
        mapped.madvise(mmap.MADV_DONTNEED)
        del mapped
        time.sleep(_LET_GO)


def _read(source: BinaryIO, size: int) -> bytearray:
    data = bytearray()
    try:
        while len(data) < size and (chunk := source.read(min(_CHUNK, size - len(data)))):
            data += chunk
    except OSError as error:
        raise StateError(f"the saved state cannot be read ({error.strerror})", _DO) from error
    return data


def _header(maker: str, positions: int, payload: memoryview) -> bytes:
    return _HEADER.pack(_MAGIC, _VERSION, positions, len(payload), _digest(maker), _checksum(positions, payload))


def _digest(maker: str) -> bytes:
    return blake2b(maker.encode(), digest_size=16).digest()


def _checksum(positions: int, payload: memoryview) -> bytes:
    found = sha256(positions.to_bytes(8, "little"))  # most processors have instructions for it, and states are large
    found.update(payload)
    return found.digest()
