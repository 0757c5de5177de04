"""Models by name: opened on demand within one ceiling, closed when nobody asks."""

import asyncio
import threading
import time
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from typing import Any

import psutil
import pytest

from accel.errors import AccelError, Busy, Ending, MemoryFull, ModelDamaged, ModelMissing, PlanRefused
from accel.runtime.serve import hosts as module
from accel.runtime.serve.hosts import Hosts
from accel.runtime.serve.line import Limits
from accel.runtime.serve.turns import Turns
from accel.runtime.settings import Settings
from accel.units import Bytes

from .serving import Model, a_daemon

SIZES = {"a": 400, "b": 500, "c": 600, "huge": 5000}
CEILING = Bytes(1000)


@dataclass(eq=False)
class Fake:
    """A model at work that takes what it is said to take."""

    opened: "Fake" = field(init=False)
    name: str
    settings: Settings
    planned: Bytes
    turns: Turns = field(default_factory=lambda: Turns(Limits(1, 9, 9)))
    closed: bool = False

    def __post_init__(self) -> None:
        self.opened = self

    def close(self) -> None:
        time.sleep(0.01)
        self.closed = True


class Opener:
    """Stands for what opens models: it keeps what it opened, and fails as it is told to."""

    def __init__(self) -> None:
        self.opened: list[Fake] = []
        self.failure: BaseException | None = None
        self.tries = 0
        self.go = threading.Event()
        self.go.set()

    def __call__(self, settings: Settings, progress: Callable[[float], object], say: Callable[[str], object]) -> Fake:
        self.tries += 1
        assert sum(each.planned for each in self.opened if not each.closed) <= CEILING
        progress(0.5)
        while not self.go.wait(0.005):
            progress(0.5)
        if self.failure:
            raise self.failure
        size = Bytes(SIZES[settings.model])
        assert settings.memory
        if size > settings.memory:
            raise PlanRefused(f"{settings.model} does not fit")
        self.opened.append(Fake(settings.model, settings, size))
        return self.opened[-1]

    @property
    def open(self) -> list[str]:
        return [each.name for each in self.opened if not each.closed]


@pytest.fixture
def opener(monkeypatch: pytest.MonkeyPatch) -> Opener:
    found = Opener()
    monkeypatch.setattr(module, "_open_model", found)
    monkeypatch.setattr(module, "_served", lambda opened: opened)
    monkeypatch.setattr(module, "_LOOK", 0.005)
    return found


def made(power: module.PowerNow = lambda: "balanced", **settings: Any) -> Hosts:
    return Hosts(Settings(**{"idle_unload": 0, **settings}), {name: name for name in SIZES}, CEILING, power)


def run(scene: Coroutine[Any, Any, None]) -> None:
    asyncio.run(asyncio.wait_for(scene, 20))


async def until(holds: Callable[[], bool]) -> None:
    while not holds():
        await asyncio.sleep(0.002)


def test_a_model_is_opened_by_the_first_request_and_once_for_all_that_wait(opener):
    async def one(hosts: Hosts) -> Any:
        async with hosts.use("a") as served:
            return served

    async def scene() -> None:
        hosts = made()
        assert hosts.find("a").state == "cold"
        found = await asyncio.gather(*(one(hosts) for _ in range(20)))
        assert len({id(each) for each in found}) == 1 and opener.tries == 1
        assert hosts.find("a").state == "ready" and hosts.find("").name == "a"

    run(scene())


def test_no_name_is_taken_for_a_path(opener):
    async def scene() -> None:
        for name in ("/etc/passwd", "hf:owner/repo", "A", "a "):
            with pytest.raises(ModelMissing, match="there are: a, b, c, huge"):
                async with made().use(name):
                    pass

    run(scene())
    assert not opener.tries


def test_idle_models_make_room_those_first_that_were_used_longest_ago(opener):
    async def scene() -> None:
        hosts = made()
        for name in ("a", "b", "a", "c"):
            async with hosts.use(name):
                pass
        assert opener.open == ["a", "c"]
        async with hosts.use("b"):
            assert opener.open == ["b"]

    run(scene())


def test_where_those_in_use_leave_no_room_a_request_is_told_to_come_again(opener):
    async def scene() -> None:
        hosts = made()
        async with hosts.use("b"):
            with pytest.raises(Busy, match="no room for c") as refusal:
                async with hosts.use("c"):
                    pass
            assert refusal.value.seconds >= 1
            assert hosts.find("c").error is None and hosts.find("c").state == "cold"
        async with hosts.use("c"):
            assert opener.open == ["c"]

    run(scene())


def test_what_never_fits_is_said_with_the_planners_words(opener):
    async def scene() -> None:
        hosts = made()
        async with hosts.use("a"):
            with pytest.raises(Busy):
                async with hosts.use("huge"):
                    pass
        with pytest.raises(PlanRefused, match="huge does not fit"):
            async with hosts.use("huge"):
                pass
        assert hosts.find("huge").state == "failed"

    run(scene())


def test_a_models_own_ceiling_holds_within_that_of_all(opener):
    async def scene() -> None:
        hosts = made(memory=Bytes(450))
        async with hosts.use("a"):
            pass
        with pytest.raises(PlanRefused):
            async with hosts.use("b"):
                pass

    run(scene())


def test_a_storm_of_requests_tries_a_model_that_cannot_be_opened_once(opener, monkeypatch):
    opener.failure = ModelDamaged("it is damaged")

    async def one(hosts: Hosts) -> str:
        try:
            async with hosts.use("a"):
                return ""
        except ModelDamaged as error:
            return error.what

    async def scene() -> None:
        hosts = made()
        for _ in range(3):
            assert set(await asyncio.gather(*(one(hosts) for _ in range(30)))) == {"it is damaged"}
        assert opener.tries == 1
        assert hosts.find("a").state == "failed" and "damaged" in str(hosts.find("a").error)
        monkeypatch.setattr(module, "_AGAIN", 0.0)
        opener.failure = None
        assert await one(hosts) == ""
        assert hosts.find("a").error is None and hosts.find("a").state == "ready"

    run(scene())


@pytest.mark.parametrize(
    ("failure", "kind"),
    [(MemoryError(), MemoryFull), (OSError(5, "the disk fails"), AccelError)],
    ids=["memory", "disk"],
)
def test_whatever_else_goes_wrong_is_an_error_of_ours(opener, failure, kind):
    opener.failure = failure

    async def scene() -> None:
        hosts = made()
        with pytest.raises(kind):
            async with hosts.use("a"):
                pass
        assert isinstance(hosts.find("a").error, kind)

    run(scene())


def test_an_opening_goes_on_though_all_who_waited_have_left(opener):
    opener.go.clear()

    async def scene() -> None:
        hosts = made()
        waiting = asyncio.create_task(hosts.use("a").__aenter__())
        await until(lambda: hosts.find("a").progress == 0.5)
        assert hosts.find("a").state == "loading"
        waiting.cancel()
        await asyncio.wait([waiting])
        opener.go.set()
        async with hosts.use("a"):
            assert opener.tries == 1

    run(scene())


def test_a_model_that_nobody_asks_for_is_closed_and_one_in_use_is_not(opener):
    async def scene() -> None:
        hosts = made(idle_unload=1)
        watching = asyncio.create_task(hosts.watch())
        async with hosts.use("a"), hosts.use("b"):
            pass
        async with hosts.use("a"):
            for name in "ab":
                hosts.find(name).used -= 5
            await until(lambda: opener.open == ["a"])
            assert hosts.find("b").state == "cold"
            await asyncio.sleep(0.03)
            assert opener.open == ["a"]
        watching.cancel()

    run(scene())


def test_a_request_while_its_model_is_closed_waits_and_is_answered(opener):
    async def scene() -> None:
        hosts = made(idle_unload=1)
        watching = asyncio.create_task(hosts.watch())
        async with hosts.use("a"):
            pass
        hosts.find("a").used -= 5
        await until(lambda: hosts.find("a").served is None)
        assert opener.open == ["a"]  # it takes its time to end, and its memory is not given to the next before
        async with hosts.use("a"):
            assert opener.open == ["a"] and opener.tries == 2
        watching.cancel()

    run(scene())


def test_without_a_time_to_unload_after_models_stay(opener):
    async def scene() -> None:
        hosts = made(idle_unload=0)
        watching = asyncio.create_task(hosts.watch())
        async with hosts.use("a"):
            pass
        hosts.find("a").used -= 10**6
        await asyncio.sleep(0.03)
        assert opener.open == ["a"]
        watching.cancel()

    run(scene())


def test_an_idle_model_is_opened_anew_when_there_is_other_power(opener):
    async def scene() -> None:
        power = "balanced"
        hosts = made(lambda: power)
        watching = asyncio.create_task(hosts.watch())
        async with hosts.use("a"):
            power = "eco"
            await asyncio.sleep(0.03)
            assert opener.open == ["a"]
        await until(lambda: opener.open == [])
        async with hosts.use("a"):
            assert opener.opened[-1].settings.power == "eco"
        watching.cancel()

    run(scene())


def test_who_only_looks_keeps_a_model_open_while_looking_and_not_longer(opener):
    async def scene() -> None:
        hosts = made(idle_unload=1)
        watching = asyncio.create_task(hosts.watch())
        async with hosts.use("a"):
            pass
        with hosts.held(hosts.find("a")) as served:
            assert served
            hosts.find("a").used -= 5
            await asyncio.sleep(0.03)
            assert opener.open == ["a"]
        await until(lambda: opener.open == [])
        with hosts.held(hosts.find("a")) as served:
            assert served is None
        watching.cancel()

    run(scene())


def test_at_the_end_all_are_closed_and_what_is_being_opened_is_given_up(opener):
    async def scene() -> None:
        hosts = made()
        async with hosts.use("a"):
            pass
        opener.go.clear()
        waiting = [asyncio.create_task(hosts.use(name).__aenter__()) for name in "bc"]
        await until(lambda: hosts.find("b").progress == 0.5)
        await hosts.close_all()
        await asyncio.wait(waiting)
        assert all(isinstance(task.exception(), Ending) for task in waiting)
        assert opener.open == [] and opener.tries == 2

    run(scene())


def test_a_closed_models_process_has_ended():
    async def scene() -> None:
        hosts = a_daemon(models={"fake": Model()}).hosts
        async with hosts.use("fake") as served:
            processes = psutil.Process().children()
            assert served.opened.worker.pid in {each.pid for each in processes}
        await hosts.close_all()
        assert not [each for each in processes if each.is_running()]

    run(scene())
