"""What the system is told of a mapped file's pages: that it may read them ahead, or let them go. Where it cannot be
told they come as somebody looks at them, and go as others need the room: nothing here changes what anybody sees."""

import contextlib
import ctypes
import mmap
import os
from functools import cache
from typing import Any

USUAL, IN_ORDER, AT_RANDOM = "MADV_NORMAL", "MADV_SEQUENTIAL", "MADV_RANDOM"
WILL_NEED, NOT_NEEDED = "MADV_WILLNEED", "MADV_DONTNEED"


def advise(place: int, length: int, how: str) -> None:
    """Of so many bytes of a mapping, which begin at a whole page and are a file's: other memory might lose them."""
    if (libc := _libc()) is not None and (number := getattr(mmap, how, None)) is not None:
        libc.madvise(ctypes.c_void_p(place), ctypes.c_size_t(length), number)


def let_go(file: int, offset: int, length: int) -> None:
    """The system's cache need not keep these bytes of an open file; nor those that are mapped, if nobody looks."""
    _tell(file, offset, length, "POSIX_FADV_DONTNEED")


def will_read(file: int, offset: int, length: int) -> None:
    """These bytes of an open file are about to be asked for, piece by piece."""
    _tell(file, offset, length, "POSIX_FADV_WILLNEED")


def read_as_asked(file: int) -> None:
    """Nothing beyond what is asked for is read of this open file."""
    _tell(file, 0, 0, "POSIX_FADV_RANDOM")


def _tell(file: int, offset: int, length: int, how: str) -> None:
    if tell := getattr(os, "posix_fadvise", None):
        with contextlib.suppress(OSError):
            tell(file, offset, length, getattr(os, how))


@cache
def _libc() -> Any:
    """None where there is no madvise."""
    try:
        libc = ctypes.CDLL(None)
        return libc if libc.madvise else None
    except (AttributeError, OSError, TypeError):
        return None
