"""A worker ends with the process that started it, however that ended."""

import contextlib
import ctypes
import os
import signal
import sys
import threading
from collections.abc import Callable
from typing import BinaryIO

_PR_SET_PDEATHSIG = 1  # linux/prctl.h


def end_with_parent(pipe: BinaryIO, ended: Callable[[], None]) -> None:
    """`pipe` comes from the parent, which holds it open as long as it lives: its end is the parent's, everywhere.

    Where the kernel can, it kills this process besides, should the thread that started it end: that needs no thread of
    ours to be awake.
    """
    if sys.platform == "linux":
        with contextlib.suppress(OSError, AttributeError):
            ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    threading.Thread(target=_watch, args=(pipe, ended), name="parent", daemon=True).start()


def _watch(pipe: BinaryIO, ended: Callable[[], None]) -> None:
    with contextlib.suppress(OSError):
        while os.read(pipe.fileno(), 4096):
            pass
    ended()
