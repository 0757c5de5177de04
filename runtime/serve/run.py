"""`accel serve`: from settings to a daemon that listens, until it is told to end."""

import asyncio
import os
import secrets
import signal
import socket
import sys
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from types import FrameType

import uvicorn

from ...devices.paths import state_dir
from ...devices.probe import probe
from ...devices.resident import give_back_freed_memory
from ...errors import ModelMissing, SettingError, UsageError
from ...units import Bytes
from ..library.find import is_demo
from ..settings import Settings
from . import log, page, roster
from .app import build_app
from .conversations import Conversations
from .daemon import Daemon
from .guard import Door, is_local
from .hosts import Hosts, PowerNow
from .keys import Keys, add_key, key_file, read_keys
from .metrics import Metrics
from .power import on_battery, power_now
from .protocol import Protocol

_PARALLEL = 4  # texts at once, where nothing else is asked for
_KEPT_FREE = 0.04  # of what is free when the daemon starts, for the rest of the system
_BACKLOG = 128  # connections that come at once; with those there are, fewer than files that may be open
_HEADERS = 2**15  # bytes of a request's head
_OPEN = page.paths() | {"/health"}  # without a key: what says nothing of anybody
_DEMO = "demo"
_THREADS = 64  # that wait for workers: one that computes for long keeps others from nobody
_PIECE = 2**17  # bytes: large bodies come in larger pieces
_LAST = 10.0  # seconds in which all has ended after a second signal


def run(settings: Settings, models: Sequence[str], new_key: bool = False) -> int:
    """Serves until SIGTERM or Ctrl-C, and then until what is being answered is; a second one ends it at once."""
    if new_key:
        print(add_key(key_file()))
        print("daemons that run let it in once they are started again", file=sys.stderr)
        return 0
    settings = replace(settings, host=settings.host.strip("[]"))  # as IPv6 addresses are written in URLs
    log.start(sys.stderr, roster.log_of(os.getpid()))
    with listen(settings.host, settings.port) as listening:
        daemon = make_daemon(settings, models)
        place = url(*listening.getsockname()[:2])
        print(f"accel serves {', '.join(each.name for each in daemon.hosts)} at {place}", file=sys.stderr)
        with enrolled(daemon, listening):
            Server(daemon).run([listening])
    return 0


def enrolled(daemon: Daemon, listening: socket.socket) -> AbstractContextManager[None]:
    """In the roster, as long as the block lasts."""
    host, port = listening.getsockname()[:2]
    return roster.enrolled(roster.this_process(host, port, daemon.door.token))


def make_daemon(settings: Settings, models: Sequence[str]) -> Daemon:
    """Raises SettingError for models of one name, ModelMissing, StateError for keys that cannot be read."""
    settings = replace(settings, parallel=settings.parallel or _PARALLEL)
    free = Bytes(probe().memory.free * (1 - _KEPT_FREE))
    ceiling = min(settings.memory or free, free)
    names = names_of(models or [settings.model])
    _check_files(names.values())
    hosts = Hosts(settings, names, ceiling, power_by(settings))
    local = is_local(settings.host)
    door = Door(
        keys=_keys(local),
        token=secrets.token_urlsafe(32),
        hosts=frozenset({settings.host}) if local else None,
        open_paths=_OPEN,
    )
    conversations = Conversations(state_dir() / "conversations.db" if settings.sessions else None)
    return Daemon(settings, hosts, door, Metrics(hosts), conversations=conversations)


def names_of(models: Sequence[str]) -> dict[str, str]:
    """NAME=MODEL, or a model under the name of its file. Raises SettingError where two have one name."""
    found: dict[str, str] = {}
    for each in models:
        name, model = named(each)
        name = name or _usual_name(model)
        if name in found:
            raise SettingError(f"two models are called '{name}'", "give one another name: NAME=MODEL")
        found[name] = model
    return found


def _check_files(models: Iterable[str]) -> None:
    """A mistyped path is told now, not when somebody asks for the model. Raises ModelMissing."""
    for model in models:
        if is_demo(model) or model.startswith("hf:"):
            continue
        with suppress(OSError, RuntimeError):  # where one may not look, who opens it says so
            if not Path(model).expanduser().exists():
                raise ModelMissing(f"there is no file {model}", "check the path; a model of the hub is hf:owner/repo")


def named(given: str) -> tuple[str, str]:
    """(name, model) of NAME=MODEL; no name where none is given: a path may hold such a sign, too."""
    name, _, model = given.partition("=")
    return (name, model) if name and model and "/" not in name else ("", given)


def power_by(settings: Settings) -> PowerNow:
    """What is asked for by name holds; or else it follows the battery."""
    return lambda: power_now(settings.power, settings.power == "auto" and on_battery())


def listen(host: str, port: int) -> socket.socket:
    """A socket that listens there. Raises UsageError where none can."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family, backlog=_BACKLOG)
    except OSError as error:
        raise UsageError(f"cannot listen at {host}:{port}: {error.strerror or error}", "try another --port") from error


def url(host: str, port: int) -> str:
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def _usual_name(model: str) -> str:
    return _DEMO if is_demo(model) else Path(model.rpartition(":")[2] or model).name.removesuffix(".gguf")


def _keys(local: bool) -> Keys:
    """Beyond this machine nothing is served without one: the first is made here, and shown once."""
    keys = read_keys(key_file())
    if local or keys:
        return keys
    print(f"a key is needed beyond this machine; this one is not shown again:\n{add_key(key_file())}", file=sys.stderr)
    return read_keys(key_file())


class Server(uvicorn.Server):
    """One that ends what it answers first, and at the second signal does not."""

    def __init__(self, daemon: Daemon) -> None:
        config = uvicorn.Config(
            build_app(daemon),
            http=Protocol,
            backlog=_BACKLOG,
            ws="none",
            loop="asyncio",
            lifespan="on",
            log_config=None,
            access_log=False,
            server_header=False,
            proxy_headers=False,
            h11_max_incomplete_event_size=_HEADERS,
            timeout_keep_alive=75,
        )
        super().__init__(config)
        self._daemon = daemon

    def run(self, sockets: list[socket.socket] | None = None) -> None:
        give_back_freed_memory(_PIECE)  # or what a large body took would be held for good
        with _hanging_up(self.handle_exit):
            super().run(sockets)

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(_THREADS))
        await super().startup(sockets)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        if self.should_exit:
            self.force_exit = True
            for running in self._daemon.requests:
                running.cancel()
            last = threading.Timer(_LAST, os._exit, [1])  # whatever it waits for then; workers end with it
            last.daemon = True
            last.start()
        self._daemon.draining = self.should_exit = True


@contextmanager
def _hanging_up(leave: Callable[[int, FrameType | None], object]) -> Iterator[None]:
    """A terminal that closes ends a daemon as a polite kill does; one that should outlive it (nohup) goes on."""
    number = getattr(signal, "SIGHUP", None)
    before = number and signal.getsignal(number)
    if not number or before is signal.SIG_IGN or threading.current_thread() is not threading.main_thread():
        yield
        return
    signal.signal(number, leave)
    try:
        yield
    finally:
        signal.signal(number, before)
