"""Where two processes of one user meet on this machine."""

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import zmq

from ...errors import LinkError

LOOPBACK = "tcp://127.0.0.1:*"  # any free port; nobody may speak there without the right keys
_LONGEST = 100  # bytes of a path that every system takes for a socket


@contextmanager
def meeting_place() -> Iterator[str]:
    """An address to listen at. Until the block ends it is a socket in a new folder that only this user can enter;
    where there are no such sockets, or the folder's path is too long for one, a port on loopback, which needs keys.

    Two that have met stay connected when the block ends. Raises LinkError where no folder can be made.
    """
    try:
        folder = Path(tempfile.mkdtemp(prefix="accel-"))  # made with mode 0700
    except OSError as error:
        raise LinkError(f"cannot make a folder for a socket: {error}", "set TMPDIR to a folder of yours") from error
    try:
        path = folder / "link"
        yield f"ipc://{path}" if zmq.has("ipc") and len(bytes(path)) <= _LONGEST else LOOPBACK
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def needs_keys(address: str) -> bool:
    """Whether others than this user can reach an address."""
    return not address.startswith("ipc://")
