"""How much memory a process holds, and how this one holds no more than it uses."""

import ctypes
from pathlib import Path

from ..units import Bytes

_MMAP_THRESHOLD, _MOST_ARENAS = -3, -8  # glibc's numbers of settings
_LARGE = 2**22  # bytes


def resident(pid: int | None = None) -> tuple[Bytes, Bytes]:
    """(anonymous, mapped) bytes of a process, this one where none is named; all count as anonymous where no one tells
    them apart. Nothing where there is no such process. Files that lie in memory alone are not counted: they may be
    mapped twice, and whoever made one knows its size."""
    try:
        lines = Path(f"/proc/{pid or 'self'}/status").read_text().splitlines()
        kilobytes = {key: int(rest.split()[0]) for key, rest in (line.split(":", 1) for line in lines) if "Rss" in key}
        return Bytes(kilobytes["RssAnon"] * 1024), Bytes(kilobytes["RssFile"] * 1024)
    except (OSError, KeyError, ValueError):
        import psutil

        try:
            return Bytes(psutil.Process(pid).memory_info().rss), Bytes(0)
        except psutil.Error:
            return Bytes(0), Bytes(0)


def give_back_freed_memory(least: int = _LARGE) -> None:
    """From now on a block of so many bytes or more goes back to the system as soon as it is freed. Left to itself glibc
    keeps blocks as large as those it has once seen freed: a process then holds what it no longer uses, more or less of
    it from one run to the next. Nor do threads have heaps of their own, each with what only it has let go."""
    try:
        ctypes.CDLL(None).mallopt(_MMAP_THRESHOLD, least)
        ctypes.CDLL(None).mallopt(_MOST_ARENAS, 1)
    except (OSError, AttributeError, TypeError):  # another allocator
        return


def give_back_scattered_memory() -> None:
    """What was freed until now goes back to the system, small blocks too, wherever they lie: milliseconds of work."""
    try:
        ctypes.CDLL(None).malloc_trim(0)
    except (OSError, AttributeError, TypeError):  # another allocator
        return
