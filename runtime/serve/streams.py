"""Answers over HTTP: whole as JSON, or as events while they are made (server-sent events)."""

import asyncio
from collections.abc import AsyncGenerator, Callable, Coroutine
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
    """An ASGI response. Whatever ends it, the generator is closed, and what makes its events ends. Events that come
    while others are sent travel together: each word to a client costs more than what is in it."""

    def __init__(
        self,
        events: AsyncGenerator[Any],
        first: "asyncio.Future[Any]",
        show: Show,
        named: bool,
        done: bytes,
    ) -> None:
        self._events, self._first, self._show, self._named, self._done = events, first, show, named, done
        self._told: list[bytes] = []  # that are not sent yet
        self._woken = asyncio.Event()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = [(b"content-type", b"text/event-stream; charset=utf-8"), (b"cache-control", b"no-store")]
        headers.append((b"x-accel-buffering", b"no"))  # nginx would hold events back
        hearing = asyncio.ensure_future(self._hear())
        hearing.add_done_callback(lambda _: self._woken.set())
        sending = asyncio.ensure_future(self._send(send, headers, hearing))
        gone = asyncio.ensure_future(_gone(receive))
        try:
            await asyncio.wait({sending, gone}, return_when=asyncio.FIRST_COMPLETED)
            if sending.done():
                sending.result()
        finally:
            await _ended(sending, gone, hearing, self._first)
            del self._first  # an error in it would hold frames that hold this, with all that was asked
            with suppress(AccelError):
                await self._events.aclose()

    async def _send(self, send: Send, headers: list[tuple[bytes, bytes]], hearing: "asyncio.Future[None]") -> None:
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        more = True
        with suppress(TimeoutError):  # who does not read is left alone
            while more:
                text = await self._text()
                if not (more := not hearing.done()):
                    hearing.result()
                async with asyncio.timeout(_SLOW):
                    await send({"type": "http.response.body", "body": text or b":\n\n" * more, "more_body": more})

    async def _text(self) -> bytes:
        """What there is to send; empty where nothing came for long, or all has."""
        with suppress(TimeoutError):
            async with asyncio.timeout(_ALIVE):
                await self._woken.wait()
        self._woken.clear()
        told, self._told = self._told, []
        return b"".join(told)

    async def _hear(self) -> None:
        try:
            event = await self._first
            while event is not None:
                self._tell(event)
                event = await anext(self._events, None)
            if self._done:
                self._told.append(b"data: " + self._done + b"\n\n")
        except AccelError as error:
            self._tell(self._show(error, status(error).http))

    def _tell(self, event: Any) -> None:
        name = b"event: " + str(event.get("type", "")).encode() + b"\n" if self._named else b""
        self._told.append(name + b"data: " + _encode(event) + b"\n\n")
        self._woken.set()


async def _gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


async def _ended(*tasks: "asyncio.Future[Any]") -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
