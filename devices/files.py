"""Files that are there whole or not at all."""

import errno
import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from ..errors import AccelError, DiskFull

PART = ".part"  # the ending of a file that is being written
_NO_ROOM = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_CANNOT_TAKE = {errno.EOPNOTSUPP, errno.ENOTSUP, errno.ENOSYS, errno.EINVAL}  # says a disk that knows no such call
_NOT_ALLOWED = {errno.EACCES, errno.EPERM, errno.EROFS}


def write_atomic(path: Path, data: bytes) -> None:
    """Write a file whole: readers see the old one or the new one. Raises DiskFull or AccelError, leaving nothing."""
    with open_atomic(path) as sink:
        sink.write(data)


@contextmanager
def open_atomic(path: Path, durable: bool = True) -> Iterator[BinaryIO]:
    """A file to write to, which takes the place of `path` once the block ends without an error, and otherwise goes.
    What is not `durable` may be lost, or found broken, where the machine itself stops at once: nobody waits for the
    disk.

    Raises DiskFull where there is no room, AccelError where the folder cannot be written to; errors of the block that
    are not about room pass as they are.
    """
    temporary = path.parent / f".{secrets.token_hex(8)}{PART}"
    try:
        sink = temporary.open("x+b")
    except OSError as error:
        raise write_error(path, error) from error
    try:
        with sink:
            yield sink
            _finish(sink, path, durable)
        _replace(temporary, path)
    except OSError as error:
        if error.errno in _NO_ROOM:
            raise write_error(path, error) from error
        raise
    finally:
        temporary.unlink(missing_ok=True)


def _finish(sink: BinaryIO, path: Path, durable: bool) -> None:
    try:
        sink.flush()
        if durable:
            os.fsync(sink.fileno())
    except OSError as error:
        raise write_error(path, error) from error


def _replace(temporary: Path, path: Path) -> None:
    try:
        temporary.replace(path)
    except OSError as error:
        raise write_error(path, error) from error


def take_room(file: BinaryIO, folder: Path, size: int) -> None:
    """For so many bytes of a sparse file in this folder, without writing it. Some disks, those in memory, need room for
    a page that is read too: where there is none, SIGBUS would end the process that has mapped it. Raises OSError."""
    try:
        os.posix_fallocate(file.fileno(), 0, size)
    except (AttributeError, OSError) as error:
        if isinstance(error, OSError) and error.errno not in _CANNOT_TAKE:
            raise
        if shutil.disk_usage(folder).free < size:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(folder)) from error


def write_error(path: Path, error: OSError) -> AccelError:
    """Why a file could not be written, as an error that says what to do: DiskFull where there is no room."""
    if error.errno in _NO_ROOM:
        return DiskFull(f"no room for {path}", f"free some space on the disk that holds {path.parent}")
    why = error.strerror or str(error)
    if error.errno in _NOT_ALLOWED:
        return AccelError(f"cannot write {path}: {why}", f"make {path.parent} writable, or choose another folder")
    return AccelError(f"cannot write {path}: {why}", "choose another folder")
