"""`accel ps`, `accel cache`, `accel stop` and `accel logs`: the daemons of this user, as the roster knows them."""

import http.client
import json as json_module
import sys
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeVar

import msgspec
import psutil

from ...errors import AccelError, NotThere, UsageError
from ...units import Bytes
from .. import prompt_files
from ..chat.blocks import printable
from . import roster
from .roster import Entry
from .status import Cached, Caches, Cleared, ModelStatus, Status

T = TypeVar("T")

_PATIENCE = 5.0  # seconds for a daemon to say how it is
_CLEARING = 60.0  # seconds for it to let go what it caches: a worker does so between two steps
_LONGEST = 2**22  # bytes of what it says
_LOOK = 0.1  # seconds between two looks
_EVERYWHERE = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # where to reach who listens everywhere
_HEADS = ("PID", "ADDRESS", "UP", "REQUESTS", "MODEL", "MEMORY", "CACHED", "STATE")
_CACHE_HEADS = ("PID", "MODEL", "CONTEXT", "PROMPTS", "IN MEMORY", "ON DISK", "HITS")
_CACHES = "/v1/caches"
# How a daemon is ended: what is said, what is done, and for how many seconds it is waited for.
_STEPS: tuple[tuple[str, Callable[[psutil.Process], object], float], ...] = (
    ("daemon {} ends what it answers", psutil.Process.terminate, 30.0),
    ("daemon {} is told not to", psutil.Process.terminate, 15.0),
    ("daemon {} is killed", psutil.Process.kill, 5.0),
)


class _Problem(msgspec.Struct):
    message: str


class _Refused(msgspec.Struct):
    """What a daemon answers where it cannot."""

    error: _Problem


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


def cache(clear: bool = False, json: bool = False) -> int:
    """What models that are open have cached of prompts, and what lies on disk of any. `clear`: lets all of it go that
    no answer uses. Raises AccelError where a daemon cannot be told, or where files stay."""
    running = roster.running()
    if clear:
        return _clear(running, json)
    found = [(entry, _told(entry, _CACHES, Caches)) for entry in running]
    lying = prompt_files.lying()
    if json:
        daemons = [{"pid": entry.pid, "models": told and msgspec.to_builtins(told.models)} for entry, told in found]
        disk = {"prompts": lying.prompts, "size": int(lying.size)}
        print(json_module.dumps({"daemons": daemons, "disk": disk}, indent=1))
        return 0
    if models := [row for entry, told in found for row in _cache_rows(entry, told)]:
        for line in table([_CACHE_HEADS, *models]):
            print(printable(line))
    print(f"prompts on disk, of all models: {lying.prompts}, {lying.size}")
    return 0


def _clear(running: Sequence[Entry], json: bool) -> int:
    before = prompt_files.lying().size
    found = [_cleared(entry) for entry in running]
    if not running:
        prompt_files.clear()
    disk = max(Bytes(0), before - prompt_files.lying().size)
    positions, memory = sum(each.positions for each in found), Bytes(sum(each.memory for each in found))
    if json:
        print(json_module.dumps({"positions": positions, "memory": int(memory), "disk": int(disk)}, indent=1))
    else:
        print(f"cleared: {positions} tokens of context, {memory} in memory, {disk} on disk")
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
    return _told(entry, "/v1/status", Status)


def _told(entry: Entry, path: str, kind: type[T]) -> T | None:
    try:
        return msgspec.json.decode(_ask(entry, "GET", path, _PATIENCE)[1], type=kind)
    except (OSError, http.client.HTTPException, msgspec.DecodeError):
        return None


def _cleared(entry: Entry) -> Cleared:
    """Raises AccelError."""
    try:
        status, body = _ask(entry, "DELETE", _CACHES, _CLEARING)
        if status == http.HTTPStatus.OK:
            return msgspec.json.decode(body, type=Cleared)
        why = msgspec.json.decode(body, type=_Refused).error.message
    except (OSError, http.client.HTTPException, msgspec.DecodeError):
        raise AccelError(f"daemon {entry.pid} does not answer", f"see accel logs {entry.pid}, or stop it") from None
    raise AccelError(f"daemon {entry.pid} could not let all of it go: {why}", f"see accel logs {entry.pid}")


def _ask(entry: Entry, method: str, path: str, patience: float) -> tuple[int, bytes]:
    """HTTP status and body. Raises OSError, HTTPException."""
    host = _EVERYWHERE.get(entry.host, entry.host)
    connection = http.client.HTTPConnection(host, entry.port, timeout=patience)
    try:
        connection.request(method, path, headers={"x-accel-token": entry.token})
        response = connection.getresponse()
        return response.status, response.read(_LONGEST)
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
        cached = _in_words(model.cached) if model.pid else "-"
        yield (*first, model.name, memory, cached, f"{state}: {model.error}" if model.error else state)
        first = ("",) * len(first)


def _in_words(cached: Cached | None) -> str:
    if not cached:
        return "?"
    kept = [
        f"{Bytes(size)} {where}" for size, where in ((cached.memory, "in memory"), (cached.disk, "on disk")) if size
    ]
    return ", ".join([f"{cached.positions} tokens", *kept])


def _cache_rows(entry: Entry, told: Caches | None) -> Iterator[Sequence[str]]:
    """One for each model that is open."""
    for name, cached in told.models.items() if told else [("does not answer", None)]:
        if cached:
            context = f"{cached.positions} of {cached.context} tokens"
            sizes = str(Bytes(cached.memory)), str(Bytes(cached.disk))
            yield str(entry.pid), name, context, str(cached.prompts), *sizes, str(cached.hits)
        else:
            yield str(entry.pid), name, *("?" if told else "-",) * 5


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
