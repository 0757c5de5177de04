"""What a daemon says of itself to `accel ps`, and to whoever else asks: plain data."""

import asyncio
from typing import TYPE_CHECKING

import msgspec

from ..messages import Statistics

if TYPE_CHECKING:
    from .daemon import Daemon
    from .hosts import Host

_PATIENCE = 2.0  # seconds for workers to say what they hold: one that computes may take longer


class ModelStatus(msgspec.Struct, frozen=True):
    name: str
    state: str  # "cold", "loading", "ready", "failed"
    error: str = ""  # why it could not be opened the last time
    progress: float = 0.0  # of loading, 0 to 1
    pid: int | None = None  # of its worker
    planned: int = 0  # bytes of main memory that its plan allows
    held: int | None = None  # bytes of it that its worker holds
    running: int = 0  # requests
    waiting: int = 0


class Status(msgspec.Struct, frozen=True):
    models: tuple[ModelStatus, ...]
    requests: int  # that are being answered, or wait
    draining: bool


async def status_of(daemon: "Daemon") -> Status:
    try:
        known = await asyncio.wait_for(daemon.statistics(), _PATIENCE)
    except TimeoutError:
        known = {}
    models = tuple(_status(host, known.get(host.name)) for host in daemon.hosts)
    return Status(models, len(daemon.requests), daemon.draining)


def _status(host: "Host", known: Statistics | None) -> ModelStatus:
    error = str(host.error) if host.error else ""
    if not (served := host.served):
        return ModelStatus(host.name, host.state, error, host.progress)
    held = known.anonymous + known.mapped + known.pinned if known else None
    line, pid = served.turns.line, served.opened.worker.pid
    running, waiting = len(line.running), len(line.waiting)
    return ModelStatus(host.name, host.state, error, 1.0, pid, int(host.planned), held, running, waiting)
