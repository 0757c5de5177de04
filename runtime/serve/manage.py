"""`accel ps`, `accel stop` and `accel logs`: the daemons of this user, as the roster knows them."""

import http.client
import json as json_module
import sys
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import msgspec
import psutil

from ...errors import AccelError, NotThere, UsageError
from ...units import Bytes
from ..chat.blocks import printable
from . import roster
from .roster import Entry
from .status import ModelStatus, Status

_PATIENCE = 5.0  # seconds for a daemon to say how it is
_LONGEST = 2**22  # bytes of what it says
_LOOK = 0.1  # seconds between two looks
_EVERYWHERE = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # where to reach who listens everywhere
_HEADS = ("PID", "ADDRESS", "UP", "REQUESTS", "MODEL", "MEMORY", "STATE")
# How a daemon is ended: what is said, what is done, and for how many seconds it is waited for.
_STEPS: tuple[tuple[str, Callable[[psutil.Process], object], float], ...] = (
    ("daemon {} ends what it answers", psutil.Process.terminate, 30.0),
    ("daemon {} is told not to", psutil.Process.terminate, 15.0),
    ("daemon {} is killed", psutil.Process.kill, 5.0),
)


def ps(json: bool = False) -> int:
    found = [(entry, asked(entry)) for entry in roster.running()]
    if json:
        print(json_module.dumps([_facts(entry, status) for entry, status in found], indent=1))
        return 0
    if not found:
        print("no daemon runs; start one with accel serve", file=sys.stderr)
        return 0
    for line in table([_HEADS, *(row for entry, status in found for row in rows(entry, status, time.time()))]):
        print(printable(line))
    return 0


def stop(pid: int | None = None) -> int:
    """Returns when it is gone. Raises NotThere, UsageError where several could be meant, AccelError."""
    entry = _meant(pid)
    try:
        process = psutil.Process(entry.pid)  # which from here on is no other that got its number
        for words, end, seconds in _STEPS:
            if not entry.alive:
                break
            print(words.format(entry.pid), file=sys.stderr)
            end(process)
            _wait(entry, seconds)
    except psutil.NoSuchProcess:
        pass
    except psutil.AccessDenied as error:
        raise AccelError(f"daemon {entry.pid} cannot be ended: no permission", "end it as who started it") from error
    if entry.alive:
        raise AccelError(f"daemon {entry.pid} does not end", "the system holds it: see what it waits for")
    print(f"daemon {entry.pid} has ended", file=sys.stderr)
    return 0


def logs(pid: int | None = None, follow: bool = False, lines: int = 50) -> int:
    """The last lines of a daemon's log, of the one that wrote last where none is named. `follow`: and what it writes,
    until it ends. Raises NotThere."""
    file = roster.log_of(pid) if pid is not None else next(iter(roster.logs()), None)
    if not file or not file.is_file():
        raise NotThere(
            f"there is no log of daemon {pid}" if pid is not None else "no daemon has run yet", "see accel ps"
        )
    whole = _from(file, 0)
    for line in last_lines(whole, file, lines):
        print(line)
    if follow:
        for text in gained(file, len(whole)):
            print(text.decode(errors="replace"), end="", flush=True)
    return 0


def asked(entry: Entry) -> Status | None:
    """What a daemon says of itself; None where it does not answer."""
    host = _EVERYWHERE.get(entry.host, entry.host)
    connection = http.client.HTTPConnection(host, entry.port, timeout=_PATIENCE)
    try:
        connection.request("GET", "/v1/status", headers={"x-accel-token": entry.token})
        return msgspec.json.decode(connection.getresponse().read(_LONGEST), type=Status)
    except (OSError, http.client.HTTPException, msgspec.DecodeError):
        return None
    finally:
        connection.close()


def rows(entry: Entry, status: Status | None, now: float) -> Iterator[Sequence[str]]:
    """One for each model; the first says of what daemon."""
    address = f"http://{f'[{entry.host}]' if ':' in entry.host else entry.host}:{entry.port}"
    requests = str(status.requests) if status else "-"
    first = (str(entry.pid), address, lasting(now - entry.since), requests)
    for model in status.models if status else [ModelStatus("-", "does not answer")]:
        state = f"loading {model.progress:.0%}" if model.state == "loading" else model.state
        held = "?" if model.held is None else str(Bytes(model.held))
        memory = f"{held} of {Bytes(model.planned)} planned" if model.pid else "-"
        yield (*first, model.name, memory, f"{state}: {model.error}" if model.error else state)
        first = ("",) * len(first)


def table(rows: Sequence[Sequence[str]]) -> Iterator[str]:
    """In columns."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        yield "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()


def lasting(seconds: float) -> str:
    minutes, seconds = divmod(max(0, int(seconds)), 60)
    hours, minutes = divmod(minutes, 60)
    days, hours = divmod(hours, 24)
    parts = [
        f"{count} {unit}" for count, unit in ((days, "d"), (hours, "h"), (minutes, "min"), (seconds, "s")) if count
    ]
    return " ".join(parts[:2]) or "0 s"


def last_lines(whole: bytes, file: Path, count: int) -> Sequence[str]:
    """Of a log, and of the one before it where that is needed."""
    found = whole.splitlines()
    if len(found) < count:
        with suppress(FileNotFoundError):
            found = _from(_before(file), 0).splitlines() + found
    return [line.decode(errors="replace") for line in deque(found, maxlen=count)]


def gained(file: Path, at: int) -> Iterator[bytes]:
    """What a log gains from there on, until its daemon has ended; meanwhile another file may take its place."""
    while True:
        alive = any(str(entry.pid) == file.stem for entry in roster.running())
        with suppress(FileNotFoundError):
            if file.stat().st_size < at:
                yield _from(_before(file), at)
                at = 0
            text = _from(file, at)
            at += len(text)
            yield text
        if not alive:
            return
        time.sleep(_LOOK)


def _before(file: Path) -> Path:
    return file.with_name(f"{file.name}.1")


def _from(file: Path, at: int) -> bytes:
    with file.open("rb") as source:
        source.seek(at)
        return source.read()


def _meant(pid: int | None) -> Entry:
    found = roster.running()
    there = ", ".join(str(entry.pid) for entry in found)
    if pid is not None:
        if entry := next((entry for entry in found if entry.pid == pid), None):
            return entry
        raise NotThere(f"no daemon of yours has number {pid}", f"there are: {there}" if there else "see accel ps")
    if not found:
        raise NotThere("no daemon runs", "start one with accel serve")
    if len(found) > 1:
        raise UsageError("several daemons run", f"name one of {there}")
    return found[0]


def _wait(entry: Entry, seconds: float) -> None:
    end = time.monotonic() + seconds
    while entry.alive and time.monotonic() < end:
        time.sleep(_LOOK)


def _facts(entry: Entry, status: Status | None) -> dict[str, Any]:
    where = {"pid": entry.pid, "host": entry.host, "port": entry.port, "since": entry.since}
    return where | {"answers": status is not None} | (msgspec.to_builtins(status) if status else {})
