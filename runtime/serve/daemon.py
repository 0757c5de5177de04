"""Everything that a running daemon is: its models, its requests, its door and what it counts."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing, asynccontextmanager, suppress
from dataclasses import dataclass, field

from ...errors import AccelError, Ending
from ..messages import Statistics
from ..settings import Settings
from . import log
from .asked import Asked, Ended, Piece
from .conversations import Conversations
from .desk import answer
from .guard import Door
from .hosts import Host, Hosts, Served
from .metrics import Metrics
from .running import Requests, Running


@dataclass(slots=True)
class Daemon:
    settings: Settings
    hosts: Hosts
    door: Door
    metrics: Metrics
    requests: Requests = field(default_factory=Requests)
    conversations: Conversations = field(default_factory=Conversations)  # the page's
    draining: bool = False  # no new requests: it is about to end

    @asynccontextmanager
    async def model_of(self, running: Running) -> AsyncIterator[Served]:
        """What a request is for, as long as it is answered. Raises what `Hosts.use` raises; Ending once the daemon is
        told to end."""
        if self.draining:
            raise Ending("the daemon is about to end", "ask again once another runs")
        with self.requests.open(running):
            async with self.hosts.use(running.model) as served:
                yield served

    async def pieces(self, asked: list[Asked], running: Running) -> AsyncGenerator[tuple[int, Piece]]:
        """Of all answers to what was asked, numbered one after another. Raises what `model_of` and `desk.answer`
        raise."""
        async with self.model_of(running) as served:
            before = 0
            for each in asked:
                async with aclosing(answer(served, each, running)) as found:
                    async for number, piece in found:
                        if isinstance(piece, Ended):
                            self._ended(running, piece)
                        yield before + number, piece
                before += each.count

    def _ended(self, running: Running, ended: Ended) -> None:
        self.metrics.answered(ended)
        usage, timings = ended.usage, ended.timings
        log.told(
            "answered",
            id=running.id,
            client=running.client,
            model=running.model,
            reason=ended.reason,
            prompt=usage.prompt,
            cached=usage.reused,
            generated=usage.generated,
            waited=round(timings.waited, 4),
            prefill=round(timings.prefill, 4),
            decode=round(timings.decode, 4),
        )

    def health(self) -> tuple[str, list[str]]:
        """ "starting", "ready" or "degraded", and why: a model that could not be opened."""
        reasons = [f"{host.name}: {host.error}" for host in self.hosts if host.error]
        if self.draining:
            reasons.append("it is about to end")
        starting = any(host.state == "loading" for host in self.hosts) and not any(host.served for host in self.hosts)
        return ("starting" if starting else "degraded" if reasons else "ready"), reasons

    async def statistics(self) -> dict[str, Statistics]:
        """Of the models that are open; one that cannot say is left out."""

        async def of(host: Host) -> tuple[str, Statistics] | None:
            with self.hosts.held(host) as served, suppress(AccelError):
                return (host.name, await asyncio.to_thread(served.opened.worker.statistics)) if served else None

        found = await asyncio.gather(*map(of, self.hosts))
        return dict(each for each in found if each)
