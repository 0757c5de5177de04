"""Libraries of C that are compiled with the package (setup.py says from what)."""

import ctypes
from importlib.util import find_spec


def library(name: str, with_lock: bool = False) -> ctypes.CDLL | None:
    """By its dotted name; None where it was not compiled, or does not load. `with_lock`: Python's lock is kept while
    its functions run, which is right for those that take microseconds."""
    found = find_spec(name)
    if not found or not found.origin:
        return None
    try:
        return (ctypes.PyDLL if with_lock else ctypes.CDLL)(found.origin)
    except OSError:
        return None
