"""The models of a daemon, by name: opened when they are first asked for, within one ceiling, and closed when nobody
asked for long. A closed model's process has ended: its memory is the system's again."""

import asyncio
import math
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field, replace
from typing import Literal, TypeAlias

from ...errors import AccelError, Busy, Ending, MemoryFull, ModelMissing, PlanRefused
from ...units import Bytes
from ..messages import Ready
from ..open import Opened, Progress, open_model
from ..opening import PromptStore
from ..plan import Plan
from ..planning import Say
from ..prompt_files import folder_of
from ..search import BALANCED
from ..settings import Settings
from ..template import ChatTemplate
from . import log
from .line import Limits
from .post import Post
from .tool_format import ToolFormat, learn_format
from .turns import Turns

State: TypeAlias = Literal["cold", "loading", "ready", "failed"]
PowerNow: TypeAlias = Callable[[], str]
_LOOK = 1.0  # seconds between two looks for who is idle
_AGAIN = 5.0  # seconds after a failure in which nobody tries again


@dataclass(slots=True)
class Served:
    """A model at work."""

    opened: Opened
    ready: Ready
    template: ChatTemplate
    tools: ToolFormat  # how it calls tools
    turns: Turns
    post: Post = field(default_factory=Post)  # its worker's

    def close(self) -> None:
        self.template.close()
        self.opened.close()


@dataclass(slots=True, eq=False)
class Host:
    """One model, whether it is open or not."""

    name: str
    settings: Settings
    served: Served | None = None
    opening: "asyncio.Task[Served | AccelError] | None" = None
    closing: "asyncio.Task[None] | None" = None  # until its process has ended, which may write what it keeps
    error: AccelError | None = None  # why it could not be opened the last time
    failed: float = -math.inf  # when that was
    progress: float = 0.0  # of loading, 0 to 1
    power: str = BALANCED  # that it was opened for
    users: int = 0
    used: float = field(default_factory=time.monotonic)  # when it was last

    @property
    def state(self) -> State:
        if self.served:
            return "ready"
        return "loading" if self.opening else "failed" if self.error else "cold"

    @property
    def planned(self) -> Bytes:
        return self.served.opened.planned if self.served else Bytes(0)


class Hosts:
    """Of one event loop."""

    def __init__(
        self, settings: Settings, models: Mapping[str, str], ceiling: Bytes, power: PowerNow = lambda: BALANCED
    ) -> None:
        """`models`: what each name stands for, as it is typed; `ceiling`: bytes that all of them may take together;
        `power`: what a model should be planned for now."""
        self._ceiling = ceiling
        self._power = power
        self._idle = settings.idle_unload
        self._hosts = {name: Host(name, replace(settings, model=model)) for name, model in models.items()}
        self._moving = asyncio.Lock()  # held by who opens or closes models, so that no memory is given twice
        self._ended = False

    def __iter__(self) -> Iterator[Host]:
        return iter(self._hosts.values())

    @property
    def default(self) -> str:
        return next(iter(self._hosts))

    def find(self, name: str) -> Host:
        """The host of that name; "" is the first. Raises ModelMissing: no name is ever taken for a path."""
        if found := self._hosts.get(name or self.default):
            return found
        raise ModelMissing(f"there is no model '{name[:100]}' here", f"there are: {', '.join(self._hosts)}")

    @asynccontextmanager
    async def use(self, name: str) -> AsyncIterator[Served]:
        """The model, opened if it has to be; it stays open while it is used. Raises ModelMissing, Busy where those in
        use leave it no room, and what it could not be opened with."""
        host = self.find(name)
        host.users += 1
        try:
            yield host.served or await self._opened(host)
        finally:
            host.users -= 1
            host.used = time.monotonic()

    @contextmanager
    def held(self, host: Host) -> Iterator[Served | None]:
        """The model if it is open: it stays so meanwhile, and is no less idle."""
        host.users += 1
        try:
            yield host.served
        finally:
            host.users -= 1

    async def watch(self) -> None:
        """Closes those that nobody asked for, or that should run otherwise by now; runs until it is cancelled."""
        while True:
            await asyncio.sleep(_LOOK)
            for host in self:
                if self._is_over(host):
                    async with self._moving:
                        if self._is_over(host):
                            await self._close(host)

    async def close_all(self) -> None:
        """What is being opened is closed, too, and nothing is opened any more."""
        self._ended = True
        async with self._moving:
            await asyncio.gather(*map(self._close, self))

    def _is_over(self, host: Host) -> bool:
        if not host.served or host.users:
            return False
        idle = time.monotonic() - host.used
        return bool(self._idle and idle > self._idle) or host.power != self._power()

    async def _close(self, host: Host) -> None:
        served, host.served = host.served, None
        if served:
            host.closing = asyncio.create_task(asyncio.to_thread(served.close))
            try:
                await host.closing
            finally:
                host.closing = None
            log.told("closed", model=host.name)

    async def _opened(self, host: Host) -> Served:
        """One attempt serves all who wait, and goes on where they leave. After one that failed, what it failed with
        is the answer for a while."""
        if host.error and not host.opening and time.monotonic() - host.failed < _AGAIN:
            raise host.error.with_traceback(None)
        if not host.opening:
            host.opening = asyncio.create_task(self._open(host))
        found = await asyncio.shield(host.opening)
        if isinstance(found, AccelError):
            raise found.with_traceback(None)
        return found

    async def _open(self, host: Host) -> Served | AccelError:
        began = time.monotonic()
        try:
            async with self._moving:
                host.progress, host.power = 0.0, self._power()
                host.served = await asyncio.to_thread(_served, await self._open_within(host))
        except Busy as error:  # which is nothing that is wrong with the model
            return error
        except (AccelError, OSError, MemoryError) as error:
            host.error, host.failed = _ours(host, error), time.monotonic()
            log.trouble("failed", model=host.name, what=str(host.error))
            return host.error
        finally:
            host.opening, host.used = None, time.monotonic()
        host.error = None
        log.told("opened", model=host.name, seconds=round(time.monotonic() - began, 3), planned=int(host.planned))
        return host.served

    async def _open_within(self, host: Host) -> Opened:
        """Others that are idle make room, those that were used longest ago first."""

        def progress(done: float) -> None:
            if self._ended:
                raise Ending("the daemon is about to end", "ask another one")
            host.progress = done

        def say(what: str) -> None:
            progress(host.progress)
            log.told("opening", model=host.name, what=what)

        while True:
            progress(0.0)
            left = self._ceiling - sum(other.planned for other in self)
            wanted = Bytes(max(1, min(host.settings.memory or left, left)))
            settings = replace(host.settings, memory=wanted, power=host.power)
            try:
                return await asyncio.to_thread(_open_model, settings, progress, say)
            except PlanRefused as error:
                await self._make_room(host, error)

    async def _make_room(self, host: Host, refused: PlanRefused) -> None:
        """Closes one that is idle. Raises Busy where all are in use, or what the model was refused with where there are
        none."""
        others = {other: other.served for other in self if other.served}
        idle = min((other for other in others if not other.users), key=lambda other: other.used, default=None)
        if idle:
            await self._close(idle)
        elif others:
            seconds = min(served.turns.retry_after for served in others.values())
            raise Busy(f"others leave no room for {host.name}", "ask again once they are idle", seconds) from refused
        else:
            raise refused


def _open_model(settings: Settings, progress: Progress, say: Say) -> Opened:
    """Not for the event loop."""

    def prompts(plan: Plan) -> PromptStore | None:
        if not settings.prompt_cache and not plan.prompts:
            return None
        return PromptStore(str(folder_of(plan.model.fingerprint)), int(plan.prompts), int(settings.prompt_cache))

    return open_model(settings, say, progress, prompts)


def _served(opened: Opened) -> Served:
    """Asks the template what it takes; not for the event loop. Where that fails the model is closed."""
    try:
        ready, settings = opened.worker.wait(), opened.settings
        template = ChatTemplate(ready.template, ready.bos, ready.eos, ready.controls)
        limits = Limits(ready.sequences, settings.most_waiting, settings.most_of_a_client)
        return Served(opened, ready, template, learn_format(template, ready.controls), Turns(limits))
    except BaseException:
        opened.close()
        raise


def _ours(host: Host, error: AccelError | OSError | MemoryError) -> AccelError:
    if isinstance(error, MemoryError):
        return MemoryFull(f"memory ran out while {host.name} was opened", "close other programs")
    return error if isinstance(error, AccelError) else AccelError(f"{host.name} cannot be opened: {error}")
