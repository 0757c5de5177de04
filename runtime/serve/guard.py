"""Who may ask, and how: every request passes here before anything looks at it.

What a web page from elsewhere could make a browser send is refused, whoever is logged in: a request names this host
(or else a name was bound to it: DNS rebinding) and comes from no other origin, or from no page at all. Where others
than this machine can reach the daemon, it has a key. Bodies have a length and arrive in time.
"""

import asyncio
import ipaddress
import re
import secrets
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ...devices.resident import give_back_scattered_memory
from ...errors import AccelError, Busy, Cancelled, Misdirected, NotAllowed, TooLarge, TooSlow
from .keys import Keys
from .streams import Show, refused

MOST_BODY = 32 * 2**20  # bytes
_MOST_HELD = 128 * 2**20  # bytes of all bodies at once
_SMALL_BODY, _REST_SECONDS = 2**20, 1.0  # bytes, and how long they are waited for where nobody needs them
_BODY_SECONDS = 60.0  # until a body is there
_MUCH = 2**20  # bytes of bodies: what they took is given back to the system then, or it would be held for good
_ID = re.compile(r"[\w.-]{1,64}")
_LOCAL = ("localhost", "127.0.0.1", "::1")
_SECURITY = {
    "content-security-policy": "default-src 'self'; img-src 'self' data:; style-src 'self'; frame-ancestors 'none'; "
    "base-uri 'none'; form-action 'self'; object-src 'none'",
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cross-origin-resource-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
}


@dataclass(frozen=True, slots=True)
class Door:
    """`hosts`: names under which the daemon is asked beside this machine's own; None for any: who has a key is no page
    that a name was bound for. `open_paths`: for which nobody needs a key; `token`: which the page has, and the user's
    other commands, and lets their requests in, as a key does."""

    keys: Keys
    token: str
    hosts: frozenset[str] | None = frozenset()
    open_paths: frozenset[str] = frozenset()
    cookie: str = "accel-token"

    def check(self, method: str, path: str, headers: Headers) -> None:
        """Raises Misdirected, NotAllowed."""
        host = _host_of(headers.get("host", ""))
        if self.hosts is not None and host not in self.hosts and host not in _LOCAL:
            raise Misdirected(f"nothing here is called '{host[:100]}'", "ask under this machine's own name")
        origin = headers.get("origin")
        if origin is not None and origin.partition("://")[2].lower() != headers.get("host", "").lower():
            raise Misdirected("a page from elsewhere may not ask here", "open the daemon's own page")
        if headers.get("sec-fetch-site", "none") not in ("none", "same-origin") and method != "GET":
            raise Misdirected("a page from elsewhere may not ask here", "open the daemon's own page")
        if self.keys and path not in self.open_paths and not self._knows(headers):
            raise NotAllowed("a key is needed here, and this is none of it", "send it as `Authorization: Bearer KEY`")

    def has_token(self, headers: Headers) -> bool:
        """Whether the page asks."""
        return secrets.compare_digest(headers.get("x-accel-token", "").encode(), self.token.encode())

    def _knows(self, headers: Headers) -> bool:
        kind, _, key = headers.get("authorization", "").partition(" ")
        given = key.strip() if kind.lower() == "bearer" else headers.get("x-api-key", "")
        return self.keys.lets_in(given) or (not given and self.has_token(headers))


class Guard:
    """ASGI middleware. `show_for`: how an error is told to who asks for a path; `told`: hears of every request's scope
    and status. Every answer carries `x-request-id`, its request's own where it has one."""

    def __init__(
        self,
        app: ASGIApp,
        door: Door,
        show_for: Callable[[str], Show],
        told: Callable[[Scope, int], object] = lambda scope, status: None,
        most_body: int = MOST_BODY,
    ) -> None:
        self._app, self._door, self._show_for, self._told, self._most_body = app, door, show_for, told, most_body
        self._held = 0  # bytes of bodies, of all requests that are being answered
        self._read = 0  # bytes of bodies since memory was given back

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            if scope["type"] == "lifespan":
                await self._app(scope, receive, send)
            return
        exchange = _Exchange(scope, receive, send, self._take)
        scope["accel.id"] = exchange.id
        try:
            self._door.check(scope["method"], scope["path"], exchange.headers)
            exchange.check_length(self._most_body)
            await self._app(scope, exchange.receive, exchange.send)
        except AccelError as error:
            if exchange.status:
                raise
            await refused(error, self._show_for(scope["path"]))(scope, receive, exchange.send)
        finally:
            self._held -= exchange.size
            self._read += exchange.size
            self._told(scope, exchange.status)
            if self._read >= _MUCH and not self._held:
                self._read = 0
                give_back_scattered_memory()

    def _take(self, size: int) -> None:
        if self._held + size > _MOST_HELD:
            raise Busy("too much is being sent at once", "ask again later")
        self._held += size


class _Exchange:
    """A request and its answer, on their way through the guard."""

    def __init__(self, scope: Scope, receive: Receive, send: Send, take: Callable[[int], None]) -> None:
        self.headers = Headers(scope=scope)
        given = self.headers.get("x-request-id", "")
        self.id = given if _ID.fullmatch(given) else f"req_{secrets.token_hex(12)}"
        self.status = 0  # of the answer, once it has begun
        self.size = 0  # of the body, so far
        self._length = self.headers.get("content-length", "")
        self._more = self._length not in ("", "0") or "transfer-encoding" in self.headers  # of the body is to come
        self._most = MOST_BODY
        self._deadline = asyncio.get_running_loop().time() + _BODY_SECONDS
        self._receive, self._send, self._take = receive, send, take

    def check_length(self, most: int) -> None:
        """Raises TooLarge for what is announced to be longer."""
        self._most = most
        if self._length and (not self._length.isdecimal() or int(self._length[:20]) > most):
            raise TooLarge(f"a body of {self._length[:20]} bytes is more than {most}", "ask for less at once")

    async def receive(self) -> Message:
        """Raises TooLarge, TooSlow, Busy; Cancelled where the client goes away before all is there."""
        if not self._more:
            return await self._receive()
        try:
            async with asyncio.timeout_at(self._deadline):
                message = await self._receive()
        except TimeoutError:
            raise TooSlow(f"the body was not there after {_BODY_SECONDS:.0f} s", "send it sooner") from None
        if message["type"] == "http.disconnect":
            raise Cancelled("the client has gone")
        size = len(message.get("body", b""))
        if self.size + size > self._most:
            raise TooLarge(f"the body is longer than {self._most} bytes", "ask for less at once")
        self._take(size)
        self.size += size
        self._more = message.get("more_body", False)
        return message

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            await self._read_rest()
            self.status = message["status"]
            found = MutableHeaders(scope=message)
            found["x-request-id"] = self.id
            if self._more:  # who is answered before all was read would be listened to for ever
                found["connection"] = "close"
            for name, value in _SECURITY.items():
                found.setdefault(name, value)
        await self._send(message)

    async def _read_rest(self) -> None:
        """Of a small body, where the answer does not wait for it: a connection that is closed with something unread is
        reset, and the client may never see what it was answered."""
        small = self._length.isdecimal() and int(self._length[:20]) <= min(_SMALL_BODY, self._most)
        with suppress(AccelError, TimeoutError):
            async with asyncio.timeout(_REST_SECONDS):
                while self._more and small:
                    await self.receive()


def is_local(host: str) -> bool:
    """Whether an address to listen at is out of others' reach."""
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host == "localhost"


def _host_of(header: str) -> str:
    """A name without its port, small."""
    try:
        return (urlsplit(f"//{header}").hostname or "").lower()
    except ValueError:
        return ""
