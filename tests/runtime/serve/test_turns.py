"""Waiting for one's turn in an event loop."""

import asyncio
from contextlib import suppress

import pytest

from accel.errors import Busy, Cancelled
from accel.runtime.serve.line import Limits
from accel.runtime.serve.running import Running
from accel.runtime.serve.turns import Turns


def turns(running: int = 1, waiting: int = 100, a_client: int = 100) -> Turns:
    return Turns(Limits(running, waiting, a_client))


async def served(turns: Turns, name: str, log: list[str], until: asyncio.Event, client: str = "") -> None:
    async with turns.turn(Running(name, client or name)):
        log.append(name)
        await until.wait()


async def settle() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


def test_turns_come_as_places_are_left():
    async def scene() -> list[str]:
        line, log, go = turns(running=2), [], asyncio.Event()
        tasks = [asyncio.create_task(served(line, name, log, go)) for name in "abcd"]
        await settle()
        assert log == ["a", "b"]
        go.set()
        await asyncio.gather(*tasks)
        return log

    assert asyncio.run(scene()) == ["a", "b", "c", "d"]


def test_who_finds_the_line_full_is_told_when_to_come_again():
    async def scene() -> None:
        line, log, go = turns(waiting=1), [], asyncio.Event()
        tasks = [asyncio.create_task(served(line, name, log, go)) for name in "a"]
        await settle()
        tasks += [asyncio.create_task(served(line, "b", log, go))]
        await settle()
        with pytest.raises(Busy) as refusal:
            await served(line, "c", log, go)
        assert refusal.value.seconds == line.retry_after >= 1
        go.set()
        await asyncio.gather(*tasks)
        await served(line, "c", log, go)
        assert log == ["a", "b", "c"]

    asyncio.run(scene())


def test_who_is_cancelled_while_it_waits_or_whose_task_is_leaves_its_place():
    async def scene() -> list[str]:
        line, log, go = turns(), [], asyncio.Event()
        first = asyncio.create_task(served(line, "a", log, go))
        await settle()
        told = Running("b", "b")

        async def waits() -> None:
            async with line.turn(told):
                log.append("b")

        second, third = asyncio.create_task(waits()), asyncio.create_task(served(line, "c", log, go))
        fourth = asyncio.create_task(served(line, "d", log, go))
        await settle()
        told.cancel()
        third.cancel()
        await asyncio.wait([second, third])
        assert isinstance(second.exception(), Cancelled) and third.cancelled()
        go.set()
        await asyncio.gather(first, fourth)
        assert not line.line.running and not line.line.waiting
        return log

    assert asyncio.run(scene()) == ["a", "d"]


def test_a_request_that_was_cancelled_before_it_came_takes_no_turn():
    async def scene() -> None:
        line, log, go = turns(), [], asyncio.Event()
        first = asyncio.create_task(served(line, "a", log, go))
        await settle()
        gone = Running("b", "b")
        gone.cancel()
        with pytest.raises(Cancelled):
            async with line.turn(gone):
                log.append("b")
        go.set()
        await first
        assert log == ["a"]

    asyncio.run(scene())


def test_an_answer_that_fails_leaves_its_place_too():
    async def scene() -> None:
        line = turns()
        for _ in range(3):
            with suppress(ZeroDivisionError):
                async with line.turn(Running("a", "a")):
                    raise ZeroDivisionError
        assert not line.line.running

    asyncio.run(scene())


def test_the_wait_that_is_told_follows_how_long_answers_take():
    async def scene() -> None:
        line = turns()
        usual = line.retry_after
        for number in range(20):
            async with line.turn(Running(str(number))):
                pass
        assert line.retry_after < usual

    asyncio.run(scene())
