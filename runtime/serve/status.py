"""What a daemon says of itself to `accel ps` and `accel cache`, and to whoever else asks: plain data."""

import asyncio
from typing import TYPE_CHECKING

import msgspec

from ..messages import Statistics

if TYPE_CHECKING:
    from .daemon import Daemon
    from .hosts import Host

_PATIENCE = 2.0  # seconds for workers to say what they hold: one that computes may take longer


class Cached(msgspec.Struct, frozen=True):
    """Of one model that is open. Prompts are those that no sequence holds any more; bytes."""

    positions: int  # in sequences
    context: int  # positions that there are
    prompts: int
    memory: int
    disk: int
    hits: int  # times that a prompt came back, since the model was opened


class OnDisk(msgspec.Struct, frozen=True):
    """Of models that are open and of all others."""

    prompts: int
    size: int  # bytes


class Caches(msgspec.Struct, frozen=True):
    models: dict[str, Cached | None]  # that are open, by name; None for one that does not say in time
    disk: OnDisk


class Cleared(msgspec.Struct, frozen=True):
    """What was let go."""

    positions: int = 0
    memory: int = 0  # bytes
    disk: int = 0  # bytes


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
    cached: Cached | None = None


class Status(msgspec.Struct, frozen=True):
    models: tuple[ModelStatus, ...]
    requests: int  # that are being answered, or wait
    draining: bool


async def known_of(daemon: "Daemon") -> dict[str, Statistics]:
    """Of models that are open; nothing where one does not say in time."""
    try:
        return await asyncio.wait_for(daemon.statistics(), _PATIENCE)
    except TimeoutError:
        return {}


def cached_of(known: Statistics) -> Cached:
    return Cached(
        positions=known.positions,
        context=known.context,
        prompts=known.prompts,
        memory=known.prompts_in_memory,
        disk=known.prompts_on_disk,
        hits=known.prompts_hits,
    )


async def status_of(daemon: "Daemon") -> Status:
    known = await known_of(daemon)
    models = tuple(_status(host, known.get(host.name)) for host in daemon.hosts)
    return Status(models, len(daemon.requests), daemon.draining)


def _status(host: "Host", known: Statistics | None) -> ModelStatus:
    error = str(host.error) if host.error else ""
    if not (served := host.served):
        return ModelStatus(host.name, host.state, error, host.progress)
    held = known.anonymous + known.mapped + known.pinned if known else None
    line, pid = served.turns.line, served.opened.worker.pid
    running, waiting = len(line.running), len(line.waiting)
    cached = cached_of(known) if known else None
    return ModelStatus(host.name, host.state, error, 1.0, pid, int(host.planned), held, running, waiting, cached)
