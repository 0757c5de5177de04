"""HTTP/1.1 as uvicorn speaks it, to clients that may mean no good: a request's head arrives in time, and connections on
which nothing is asked make room for others."""

import asyncio

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

HEAD_SECONDS = 15.0  # until a head is there, from its first byte, or from the connection's start
MOST_CONNECTIONS = 512  # well below the files that a process may usually have open


class Protocol(H11Protocol):
    """One connection."""

    quiet_since = 0.0  # by the loop's clock
    _late: asyncio.TimerHandle | None = None

    @property
    def is_quiet(self) -> bool:
        """Whether it waits for the head of a request."""
        return self.conn.our_state is h11.IDLE and self.conn.their_state is h11.IDLE

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self.quiet_since = self.loop.time()
        self._watch_head()
        if len(self.connections) > MOST_CONNECTIONS:
            self._make_room()

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        self._watch_head()

    def on_response_complete(self) -> None:
        self.quiet_since = self.loop.time()
        super().on_response_complete()

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_watching()
        super().connection_lost(exc)

    def _watch_head(self) -> None:
        if not self.is_quiet:
            self._stop_watching()
        elif not self._late and not self.transport.is_closing():
            self._late = self.loop.call_later(HEAD_SECONDS, self.timeout_keep_alive_handler)

    def _stop_watching(self) -> None:
        if self._late:
            self._late.cancel()
            self._late = None

    def _make_room(self) -> None:
        """Of those on which nothing is asked, the one that was asked last longest ago goes; or else this new one."""
        open = [each for each in self.connections if isinstance(each, Protocol) and not each.transport.is_closing()]
        if len(open) > MOST_CONNECTIONS:
            quiet = [each for each in open if each.is_quiet]
            min(quiet, key=lambda each: each.quiet_since, default=self).transport.abort()
