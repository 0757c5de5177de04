"""Answers over HTTP: whole as JSON, or as events while they are made (server-sent events)."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Coroutine
from contextlib import suppress
from typing import Any, TypeVar

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from ...errors import AccelError, Busy, Cancelled, status

_ALIVE = 10.0  # seconds without an event after which a comment is sent: it keeps proxies and clients from giving up
_SLOW = 30.0  # seconds that a client may take to read what is sent
_PATIENCE = 2.0  # seconds in which what is wrong with a request should show; after them it is told as an event
_encode = msgspec.json.Encoder().encode

Show = Callable[[AccelError, int], Any]
T = TypeVar("T")


def json(value: Any, code: int = 200, headers: dict[str, str] | None = None) -> Response:
    return Response(_encode(value), code, headers, "application/json")


def refused(error: AccelError, show: Show) -> Response:
    """An error in the form of the API that was asked."""
    code = status(error).http
    headers = {"retry-after": str(error.seconds)} if isinstance(error, Busy) else None
    return json(show(error, code), code, headers)


async def unless_gone(request: Request, work: Coroutine[Any, Any, T]) -> T:
    """What the work comes to; it is cancelled where the client goes away meanwhile. Raises Cancelled then."""
    working, gone = asyncio.ensure_future(work), asyncio.ensure_future(_gone(request.receive))
    try:
        await asyncio.wait({working, gone}, return_when=asyncio.FIRST_COMPLETED)
        if not working.done():
            raise Cancelled("the client has gone")
        return working.result()
    finally:
        await _ended(working, gone)


async def streamed(
    events: AsyncGenerator[Any], show: Show, named: bool = False, done: bytes = b""
) -> "Response | EventStream":
    """An error that shows at once decides the status as any other. `named`: each event is sent under the name in its
    "type"; `done`: what is sent at the end."""
    first = asyncio.ensure_future(anext(events, None))
    try:
        await asyncio.wait({first}, timeout=_PATIENCE)
        if first.done() and isinstance(error := first.exception(), AccelError):
            return refused(error, show)
    except asyncio.CancelledError:
        await _ended(first)
        await events.aclose()
        raise
    return EventStream(events, first, show, named, done)


class EventStream:
    """An ASGI response. Whatever ends it, the generator is closed, and what makes its events ends."""

    def __init__(
        self,
        events: AsyncGenerator[Any],
        first: "asyncio.Future[Any]",
        show: Show,
        named: bool,
        done: bytes,
    ) -> None:
        self._events, self._first, self._show, self._named, self._done = events, first, show, named, done

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = [(b"content-type", b"text/event-stream; charset=utf-8"), (b"cache-control", b"no-store")]
        headers.append((b"x-accel-buffering", b"no"))  # nginx would hold events back
        sending, gone = asyncio.ensure_future(self._send(send, headers)), asyncio.ensure_future(_gone(receive))
        try:
            await asyncio.wait({sending, gone}, return_when=asyncio.FIRST_COMPLETED)
            if sending.done():
                sending.result()
        finally:
            await _ended(sending, gone, self._first)
            del self._first  # see `_texts`
            with suppress(AccelError):
                await self._events.aclose()

    async def _send(self, send: Send, headers: list[tuple[bytes, bytes]]) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        try:
            async for text in self._texts():
                async with asyncio.timeout(_SLOW):
                    await send({"type": "http.response.body", "body": text, "more_body": True})
        except TimeoutError:
            return  # who does not read is left alone
        await send({"type": "http.response.body", "body": b"", "more_body": False})

    async def _texts(self) -> AsyncIterator[bytes]:
        coming = self._first
        try:
            while True:
                while not (await asyncio.wait({coming}, timeout=_ALIVE))[0]:
                    yield b":\n\n"
                if (event := coming.result()) is None:
                    break
                yield self._text(event)
                coming = asyncio.ensure_future(anext(self._events, None))
            if self._done:
                yield b"data: " + self._done + b"\n\n"
        except AccelError as error:
            yield self._text(self._show(error, status(error).http))
        finally:
            await _ended(coming)
            del coming  # an error in it would hold this frame and the frame the error, with all that was asked

    def _text(self, event: Any) -> bytes:
        data = b"data: " + _encode(event) + b"\n\n"
        return b"event: " + str(event.get("type", "")).encode() + b"\n" + data if self._named else data


async def _gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


async def _ended(*tasks: "asyncio.Future[Any]") -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
