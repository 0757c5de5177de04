"""What is cached of prompts, by all models or by one: shown, and let go. What is being answered keeps what it uses."""

import asyncio

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from .. import prompt_files
from ..library.find import find
from ..model import ModelSpec
from ..planning import nobody
from ..settings import Settings
from ..supervisor import Supervisor
from . import log
from .daemon import Daemon
from .hosts import Host
from .parsing import BadField
from .status import Caches, Cleared, OnDisk, cached_of, known_of
from .streams import json

PARAMETER = "model"


async def answer(request: Request) -> Response:
    daemon: Daemon = request.app.state.daemon
    fingerprint = await _fingerprint(request, daemon)
    return json(await (_cleared if request.method == "DELETE" else _shown)(daemon, fingerprint))


async def _shown(daemon: Daemon, fingerprint: str | None) -> Caches:
    known = await known_of(daemon)
    models = {host.name: known.get(host.name) for host in _open(daemon, fingerprint)}
    lying = await asyncio.to_thread(prompt_files.lying, fingerprint)
    cached = {name: cached_of(found) if found else None for name, found in models.items()}
    return Caches(cached, OnDisk(lying.prompts, int(lying.size)))


async def _cleared(daemon: Daemon, fingerprint: str | None) -> Cleared:
    """What workers know goes through them. What lies on disk besides goes after that, whatever they failed at: it is of
    models that are not open, or of an earlier opening that kept more."""
    if closing := [host.closing for host in daemon.hosts if host.closing]:
        await asyncio.wait(closing)  # they may still write what they held
    before = await asyncio.to_thread(prompt_files.lying, fingerprint)
    try:
        found = await asyncio.gather(*(_forgotten(daemon, host) for host in _open(daemon, fingerprint)))
    finally:
        await asyncio.to_thread(prompt_files.clear, fingerprint)
    after = await asyncio.to_thread(prompt_files.lying, fingerprint)
    positions, memory = sum(each.positions for each in found), sum(each.memory for each in found)
    cleared = Cleared(positions, memory, max(0, int(before.size - after.size)))
    log.told("cleared", positions=positions, memory=memory, disk=cleared.disk)
    return cleared


async def _forgotten(daemon: Daemon, host: Host) -> Cleared:
    with daemon.hosts.held(host) as served:
        return await asyncio.to_thread(_forget, served.opened.worker) if served else Cleared()


def _forget(worker: Supervisor) -> Cleared:
    before = worker.statistics()
    worker.forget(None)
    after = worker.statistics()
    positions, memory = before.positions - after.positions, before.prompts_in_memory - after.prompts_in_memory
    return Cleared(max(0, positions), max(0, memory))  # what runs may have cached more meanwhile


def _open(daemon: Daemon, fingerprint: str | None) -> list[Host]:
    """The same model may be open under several names."""
    return [host for host in daemon.hosts if host.served and fingerprint in (None, host.served.ready.fingerprint)]


async def _fingerprint(request: Request, daemon: Daemon) -> str | None:
    """Of the model that is asked for; None for all. Raises BadField for what is none, so that a mistyped name clears
    nothing; ModelMissing, and what its file cannot be read with."""
    given = request.query_params.multi_items()
    if not given:
        return None
    if [name for name, _ in given] != [PARAMETER]:
        raise BadField("what is asked for is one model, or all", PARAMETER, f"ask with ?{PARAMETER}=NAME, or without")
    host = daemon.hosts.find(given[0][1])
    return host.served.ready.fingerprint if host.served else await asyncio.to_thread(_of_file, host.settings)


def _of_file(settings: Settings) -> str:
    """Nothing is downloaded for it."""
    return ModelSpec.read(find(settings.model, nobody, nobody, offline=True)).fingerprint


ROUTES = [Route("/v1/caches", answer, methods=["GET", "DELETE"])]
