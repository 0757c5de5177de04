"""Which daemons of this user run: one small file each in `state_dir()/daemons/`, beside it its log.

A file is its daemon's as long as the process lives that wrote it: a number alone may be another's by now, so the file
holds when that process began. What the dead leave is swept by whoever looks; their last logs stay, to be read.
"""

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import msgspec
import psutil

from ...devices.files import write_atomic
from ...devices.kernel import read_text
from ...devices.paths import state_dir

KEPT_LOGS = 10  # of daemons that have ended
_LONGEST = 2**16  # bytes of a file
_STATE, _BEGAN = 0, 19  # of the fields of /proc/PID/stat, those after the name
_Port = Annotated[int, msgspec.Meta(ge=1, le=65535)]


class Entry(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One daemon. `token` lets its user's commands in; `since`: seconds of 1970."""

    pid: Annotated[int, msgspec.Meta(gt=0, lt=2**31)]
    birth: str
    host: str
    port: _Port
    token: str
    since: float

    @property
    def alive(self) -> bool:
        return birth(self.pid) == self.birth


def this_process(host: str, port: int, token: str) -> Entry:
    """Where it listens."""
    pid = os.getpid()
    return Entry(pid, birth(pid), host, port, token, time.time())


@contextmanager
def enrolled(entry: Entry) -> Iterator[None]:
    """It stands in the roster as long as the block lasts. Raises DiskFull, AccelError."""
    file = _folder() / f"{entry.pid}.json"
    write_atomic(file, msgspec.json.encode(entry))
    file.chmod(0o600)
    try:
        _sweep_logs()
        yield
    finally:
        file.unlink(missing_ok=True)


def running() -> list[Entry]:
    """The one that has run longest first; what dead ones left, or what is none of ours, goes."""
    found: list[Entry] = []
    for file in _folder().glob("*.json"):
        entry = _read(file)
        if entry and entry.alive:
            found.append(entry)
        else:
            file.unlink(missing_ok=True)
    return sorted(found, key=lambda entry: entry.since)


def log_of(pid: int) -> Path:
    return _folder() / f"{pid}.log"


def logs() -> list[Path]:
    """Of daemons that run or ran, the one that was written to last first."""
    return sorted(_folder().glob("*.log"), key=_written, reverse=True)


def birth(pid: int) -> str:
    """What tells a process from all that had its number before or will; "" where there is none. Counted from the
    system's start where that is told: the clock may be set while a daemon runs."""
    fields = read_text(Path(f"/proc/{pid}/stat")).rpartition(")")[2].split()
    if len(fields) > _BEGAN:
        return "" if fields[_STATE] in "ZX" else fields[_BEGAN]
    try:
        process = psutil.Process(pid)
        return "" if process.status() == psutil.STATUS_ZOMBIE else str(process.create_time())
    except psutil.Error:
        return ""


def _read(file: Path) -> Entry | None:
    try:
        entry = msgspec.json.decode(read_text(file, _LONGEST), type=Entry)
    except msgspec.DecodeError:
        return None
    return entry if file.name == f"{entry.pid}.json" else None


def _written(file: Path) -> int:
    try:
        return file.stat().st_mtime_ns
    except OSError:  # swept just now
        return 0


def _sweep_logs() -> None:
    alive = {entry.pid for entry in running()}
    dead = [file for file in logs() if file.stem not in map(str, alive)]
    for file in dead[KEPT_LOGS:]:
        file.unlink(missing_ok=True)
        file.with_name(f"{file.name}.1").unlink(missing_ok=True)


def _folder() -> Path:
    folder = state_dir() / "daemons"
    folder.mkdir(mode=0o700, exist_ok=True)
    return folder
