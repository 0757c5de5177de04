"""This machine, as the operating system describes it: nothing is measured here, and it takes milliseconds."""

import ctypes
import mmap
import os
import sys
from pathlib import Path

from ..units import Bytes
from .accelerators import probe_accelerators
from .cgroup import memory_limits
from .disks import probe_disks
from .kernel import read_text, whole_number
from .machine import Machine, Memory
from .processor import probe_processor

_MAY_MOVE_TO_FIXED = 3  # MREMAP_MAYMOVE | MREMAP_FIXED


def probe(root: Path = Path("/")) -> Machine:
    """This machine without measurements. `root` holds the /proc and /sys that are read."""
    memory = probe_memory(root)
    return Machine(
        name="this machine",
        processor=probe_processor(root),
        memory=memory,
        accelerators=probe_accelerators(memory),
        disks=probe_disks(root),
        page=Bytes(mmap.PAGESIZE),
        can_move_pages=_moves_pages(),
        can_read_directly=reads_directly(Path(sys.executable)),
    )


def probe_memory(root: Path = Path("/")) -> Memory:
    """What this process may use at most, and what of it is free now."""
    total, free = _machine_memory(root)
    limits = memory_limits(root)
    least = min(limits, key=lambda limit: limit.size, default=None)
    return Memory(
        total=min(total, *(limit.size for limit in limits)) if limits else total,
        free=min(free, *(limit.free for limit in limits)) if limits else free,
        limited_by=least.who if least and least.size < total else "",
    )


def _machine_memory(root: Path) -> tuple[Bytes, Bytes]:
    """(total, available) of the whole machine."""
    facts: dict[str, int | None] = {}
    for line in read_text(root / "proc/meminfo").splitlines():
        name, _, value = line.partition(":")
        facts[name] = whole_number(value.removesuffix("kB").strip())
    total, free = facts.get("MemTotal"), facts.get("MemAvailable")
    if total and free is not None:
        return Bytes(total * 1024), Bytes(free * 1024)
    import psutil

    memory = psutil.virtual_memory()
    return Bytes(memory.total), Bytes(memory.available)


def _moves_pages() -> bool:
    """Whether pages can be moved over other pages, found by moving one, out of memory that is a file."""
    page = mmap.PAGESIZE
    if not hasattr(os, "memfd_create"):
        return False
    try:
        move = ctypes.CDLL(None, use_errno=True).mremap
    except (AttributeError, OSError, TypeError):
        return False  # no such call in this C library
    move.restype = ctypes.c_void_p
    move.argtypes = (ctypes.c_void_p, ctypes.c_size_t, ctypes.c_size_t, ctypes.c_int, ctypes.c_void_p)
    with mmap.mmap(-1, 2 * page) as pages:
        pages[0] = 42
        handle = ctypes.c_char.from_buffer(pages)
        first = ctypes.addressof(handle)
        del handle
        moved = move(first, page, page, _MAY_MOVE_TO_FIXED, first + page)
        return moved == first + page and pages[page] == 42


def reads_directly(file: Path) -> bool:
    """Whether a file can be read past the page cache, found by reading its first page so."""
    try:
        descriptor = os.open(file, os.O_RDONLY | os.O_DIRECT)
    except (AttributeError, OSError):
        return False
    try:
        with mmap.mmap(-1, mmap.PAGESIZE) as page:
            return os.preadv(descriptor, [page], 0) > 0
    except (AttributeError, OSError):
        return False
    finally:
        os.close(descriptor)
