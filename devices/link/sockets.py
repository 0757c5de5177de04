"""Two ends of a link that carries frames: bytes of limited size, one per message, in bounded queues.

A `Listener` serves any number of peers, a `Dialer` speaks to one listener. Neither may be used by two threads, save
for `wake`. A peer that breaks the rules (a message in parts, a frame too large) is heard no more.
"""

import errno
import math
import socket
import weakref
from typing import TYPE_CHECKING, Self

import zmq

from ...errors import LinkError
from .keys import KeyPair
from .place import needs_keys

if TYPE_CHECKING:
    from zmq.auth.thread import ThreadAuthenticator

FRAME = 8 * 2**20  # bytes of one frame at most
_WAITING = 64  # frames that wait in each direction
_ENDED = 1024  # peers remembered as ended
_HANDSHAKE = 5000  # milliseconds
_NOW = int(zmq.NOBLOCK)
_NOW_AND_MORE = int(zmq.NOBLOCK | zmq.SNDMORE)


class _End:
    """What both ends share: limits, waiting and being woken."""

    def __init__(self, kind: int) -> None:
        self._context = zmq.Context()
        self._socket = self._context.socket(kind)
        # A context that the collector finds beside its open socket would wait for that socket for ever.
        self._shut = weakref.finalize(self, _shut, self._socket, self._context)
        self._shut.atexit = False  # a thread may still be using it then
        self._socket.setsockopt(zmq.MAXMSGSIZE, FRAME)
        self._socket.setsockopt(zmq.RCVHWM, _WAITING)
        self._socket.setsockopt(zmq.SNDHWM, _WAITING)
        self._socket.setsockopt(zmq.LINGER, 0)
        self._socket.setsockopt(zmq.HANDSHAKE_IVL, _HANDSHAKE)
        self._wake_end, self._waker = socket.socketpair()
        self._wake_end.setblocking(False)
        self._waker.setblocking(False)
        self._woken = False
        self._poller = zmq.Poller()
        self._poller.register(self._socket, zmq.POLLIN)
        self._poller.register(self._wake_end, zmq.POLLIN)

    def wait(self, seconds: float | None = None) -> None:
        """Returns when a frame is there, `wake` was called, or the time is over."""
        ready = self._poller.poll(None if seconds is None else max(0, math.ceil(seconds * 1000)))
        if any(end is not self._socket for end, _ in ready):
            self._wake_end.recv(64)
            self._woken = False  # before the caller looks at its queues: what comes later wakes it again

    def wake(self) -> None:
        """Ends a `wait`, now or the next; from any thread."""
        if not self._woken:
            self._woken = True
            self._waker.send(b"!")

    def close(self) -> None:
        """Frames that nobody has taken yet go."""
        self._shut()
        self._wake_end.close()
        self._waker.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _set_keys(self, keys: KeyPair) -> None:
        self._socket.setsockopt(zmq.CURVE_SECRETKEY, keys.secret.encode())
        self._socket.setsockopt(zmq.CURVE_PUBLICKEY, keys.public.encode())

    def _receive(self) -> tuple[bytes, bool] | None:
        """One part, and whether more of its message follow."""
        if not int(self._socket.get(zmq.EVENTS)) & zmq.POLLIN:  # an exception would cost more
            return None
        part = self._socket.recv(_NOW)
        return part, bool(self._socket.get(zmq.RCVMORE))

    def _skip(self) -> None:
        """The rest of a message, part by part, so that no more than one is held."""
        while self._socket.get(zmq.RCVMORE):
            self._socket.recv(_NOW)


def _shut(end: "zmq.Socket[bytes]", context: "zmq.Context[zmq.Socket[bytes]]") -> None:
    end.close(0)
    context.term()


class Listener(_End):
    """Binds to an address. Away from a private folder it takes `keys`, and speaks to the owner of `allowed` alone.

    Raises LinkError where the address cannot be had.
    """

    def __init__(self, address: str, keys: KeyPair | None = None, allowed: str = "") -> None:
        _check_keys(address, keys, allowed)
        super().__init__(zmq.ROUTER)
        self._ended: dict[bytes, None] = {}
        self._gate: ThreadAuthenticator | None = None
        self._socket.setsockopt(zmq.ROUTER_MANDATORY, 1)
        try:
            if keys:
                self._guard(keys, allowed)
            self._socket.bind(address)
        except zmq.ZMQError as error:
            self.close()
            raise LinkError(f"cannot listen at {address}: {error}") from error

    @property
    def address(self) -> str:
        """Where a dialer finds it, the port told."""
        return self._socket.getsockopt_string(zmq.LAST_ENDPOINT)

    def receive(self) -> tuple[bytes, bytes | None] | None:
        """(peer, frame), or None where there is none yet. The frame is None where the peer broke the rules: it is
        ended, and whatever it sends from now on is dropped."""
        while (found := self._receive()) is not None:
            peer, more = found
            frame, further = (self._receive() if more else None) or (b"", False)
            self._skip()
            if peer in self._ended:
                continue
            if further:
                self.end(peer)
                return peer, None
            return peer, frame
        return None

    def send(self, peer: bytes, frame: bytes) -> bool:
        """False where the peer's queue is full. Raises LinkError where the peer has gone."""
        try:
            self._socket.send(peer, _NOW_AND_MORE)
            self._socket.send(frame, _NOW)
        except zmq.Again:
            return False
        except zmq.ZMQError as error:
            if error.errno != errno.EHOSTUNREACH:
                raise
            raise LinkError("the other end of the link has gone") from error
        return True

    def end(self, peer: bytes) -> None:
        """Hear this peer no more."""
        if len(self._ended) >= _ENDED:
            del self._ended[next(iter(self._ended))]
        self._ended[peer] = None

    def close(self) -> None:
        if self._gate:
            self._gate.stop()
        super().close()

    def _guard(self, keys: KeyPair, allowed: str) -> None:
        from zmq.auth.thread import ThreadAuthenticator

        self._gate = ThreadAuthenticator(self._context)
        self._gate.start()
        self._gate.configure_curve_callback("*", credentials_provider=_Allowed(allowed))
        self._socket.setsockopt(zmq.CURVE_SERVER, 1)
        self._set_keys(keys)


class _Allowed:
    """Lets one key in."""

    def __init__(self, key: str) -> None:
        self._key = key.encode()

    def callback(self, domain: str, key: bytes) -> bool:
        return key == self._key


class Dialer(_End):
    """Connects to a listener's address; away from a private folder with `keys` of its own and the listener's public
    one. What is sent before the listener is there waits for it."""

    def __init__(self, address: str, keys: KeyPair | None = None, listener_key: str = "") -> None:
        _check_keys(address, keys, listener_key)
        super().__init__(zmq.DEALER)
        self._socket.setsockopt(zmq.RECONNECT_IVL, 10)
        self._socket.setsockopt(zmq.RECONNECT_IVL_MAX, 500)
        try:
            if keys:
                self._set_keys(keys)
                self._socket.setsockopt(zmq.CURVE_SERVERKEY, listener_key.encode())
            self._socket.connect(address)
        except zmq.ZMQError as error:
            self.close()
            raise LinkError(f"cannot connect to {address}: {error}") from error

    def receive(self) -> bytes | None:
        """A frame, or None where there is none yet. Raises LinkError where the listener broke the rules."""
        found = self._receive()
        if found is None:
            return None
        frame, more = found
        if more:
            self._skip()
            raise LinkError("the other end of the link sent a message in parts")
        return frame

    def send(self, frame: bytes) -> bool:
        """False where the queue is full."""
        try:
            self._socket.send(frame, _NOW)
        except zmq.Again:
            return False
        return True


def _check_keys(address: str, keys: KeyPair | None, theirs: str) -> None:
    if needs_keys(address) and not (keys and theirs):
        raise LinkError("an address that others can reach needs keys", "give the keys of both ends")
