"""What a stream of events is to the server that sends it."""

import asyncio
from collections.abc import AsyncGenerator
from typing import Any

import pytest

from accel.errors import EngineError
from accel.runtime.serve import streams
from accel.runtime.serve.openai.errors import shown
from accel.runtime.serve.streams import streamed


async def counting(most: int, error: Exception | None = None) -> AsyncGenerator[Any]:
    for number in range(most):
        yield {"type": "count", "number": number}
    if error:
        raise error


def sent(events: AsyncGenerator[Any], seconds: float = 0.0) -> list[dict[str, Any]]:
    """What is sent to a client that takes so long for each word, and goes away only once it has all."""

    async def main() -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = []
        over = asyncio.Event()

        async def send(message: Any) -> None:
            await asyncio.sleep(seconds)
            found.append(message)

        async def receive() -> dict[str, str]:
            await over.wait()
            return {"type": "http.disconnect"}

        await (await streamed(events, shown, named=True, done=b"[DONE]"))({"type": "http"}, receive, send)
        return found

    return asyncio.run(main())


@pytest.mark.parametrize("seconds", [0.0, 0.001])
def test_events_come_whole_and_in_order_and_those_that_are_there_travel_together(seconds):
    start, *bodies = sent(counting(500), seconds)
    assert start["status"] == 200 and len(bodies) < 10
    assert [body["more_body"] for body in bodies] == [*(True for _ in bodies[1:]), False]
    told = b"".join(body["body"] for body in bodies).decode()
    assert told == "".join(f'event: count\ndata: {{"type":"count","number":{number}}}\n\n' for number in range(500)) + (
        "data: [DONE]\n\n"
    )


def test_where_nothing_comes_for_long_a_comment_keeps_the_client_and_nothing_is_lost(monkeypatch):
    monkeypatch.setattr(streams, "_ALIVE", 0.005)
    monkeypatch.setattr(streams, "_PATIENCE", 0.0)

    async def slow() -> AsyncGenerator[Any]:
        for number in range(20):
            await asyncio.sleep(0.005)
            yield {"type": "count", "number": number}

    bodies = [body["body"] for body in sent(slow())[1:]]
    assert b":\n\n" in bodies and bodies[-1] != b":\n\n"
    assert b"".join(bodies).count(b'"number"') == 20 and bodies[-1].endswith(b"[DONE]\n\n")


def test_an_error_is_the_last_event():
    *_, last = sent(counting(3, EngineError("the disk failed")))
    assert b"the disk failed" in last["body"].split(b"\n\n")[-2] and b"[DONE]" not in last["body"]


def test_a_fault_of_our_own_is_the_servers_to_tell():
    with pytest.raises(ZeroDivisionError):
        sent(counting(3, ZeroDivisionError()))
