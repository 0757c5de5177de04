"""The process that an engine lives in: `python -m accel.runtime.worker`, an `Opening` on its standard input.

This thread listens and speaks, so that a cancel or a ping is answered while a long forward runs; another holds the
engine. The process serves one front, and ends with it.
"""

import os
import signal
import sys
import threading
from contextlib import suppress
from pathlib import Path

# Threads of numpy's would wait in a busy loop beside those of the engine. Read once, when numpy is loaded.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import msgspec

from ..devices.link.keys import new_keys
from ..devices.link.place import needs_keys
from ..devices.link.sockets import Listener
from ..devices.resident import give_back_freed_memory
from ..errors import AccelError, LinkError
from . import messages
from .engine_thread import EngineThread
from .opening import Listening, Opening
from .outbox import Outbox, merged
from .parent import end_with_parent
from .stream import Ticket

# Seconds between two messages of one answer, at least: a stream to the eye. Each takes a core from the engine.
_BEAT = 1 / 20
_GRACE = 1.0  # seconds that a running step has to end in
_KEEPING = 15.0  # seconds more, where it writes what the next worker may want
_AT_ONCE = 64  # frames heard before something is said again
_MOST_REQUESTS = 1024  # that are not answered yet


class Worker:
    """Between one front and the engine's thread."""

    def __init__(self, opening: Opening, listener: Listener) -> None:
        self._listener = listener
        self._outbox = Outbox(listener.wake)
        self._engine = EngineThread(opening, self._outbox)
        self._thread = threading.Thread(target=self._engine.run, name="engine", daemon=True)
        self._front: bytes | None = None
        self._state: messages.Loading | messages.Ready | messages.Failed = messages.Loading(0.0)
        self._unsent: list[messages.Event] = []
        self._tickets: dict[int, Ticket] = {}  # of answers that have not ended
        self._ending = False

    def end(self) -> None:
        """From any thread."""
        self._ending = True
        self._listener.wake()

    def run(self) -> None:
        """Until the front says so, or `end`."""
        self._thread.start()
        while not self._ending:
            self._hear()
            self._say()
            self._listener.wait(_BEAT if self._outbox.beating or self._unsent else None)
        for ticket in self._tickets.values():
            ticket.cancel()
        self._engine.end()
        self._thread.join(_GRACE)
        if self._engine.keeping:
            self._thread.join(_KEEPING)

    def _hear(self) -> None:
        for _ in range(_AT_ONCE):
            if not (found := self._listener.receive()):
                return
            peer, frame = found
            try:
                if frame is None:
                    raise LinkError("a message in parts", "send each in one frame")
                self._take(peer, messages.decode_request(frame))
            except LinkError as error:
                self._part_with(peer, error)

    def _take(self, peer: bytes, request: messages.Request) -> None:
        """Raises LinkError for what ends the peer."""
        if isinstance(request, messages.Hello):
            self._greet(peer, request)
        elif peer != self._front:
            raise LinkError("this worker serves another front", "say hello first, and to a worker of your own")
        elif isinstance(request, messages.Ping):
            self._unsent.append(messages.Pong(request.id))
        elif isinstance(request, messages.Shutdown):
            self._ending = True
        elif isinstance(request, messages.Cancel):
            if ticket := self._tickets.get(request.id):
                self._cancel(ticket)
        elif isinstance(request, messages.Generate):
            self._start(request)
        else:
            self._engine.ask(request)

    def _greet(self, peer: bytes, hello: messages.Hello) -> None:
        if hello.version != messages.VERSION:
            versions = f"the front speaks version {hello.version}, this worker {messages.VERSION}"
            raise LinkError(versions, "update the older one")
        if self._front not in (None, peer):
            raise LinkError("this worker serves another front", "start a worker of your own")
        self._front = peer
        self._unsent = [self._state]

    def _start(self, request: messages.Generate) -> None:
        if request.id in self._tickets:
            raise LinkError(f"there are two requests {request.id}", "number each differently")
        if len(self._tickets) >= _MOST_REQUESTS:
            error = LinkError(f"{_MOST_REQUESTS} requests wait already", "wait until some are answered")
            self._unsent.append(messages.failed(request.id, error))
            return
        ticket = self._tickets[request.id] = Ticket(request)
        self._engine.ask(ticket)

    def _part_with(self, peer: bytes, error: LinkError) -> None:
        """It is heard no more; what it asked for is cancelled."""
        with suppress(LinkError):
            self._listener.send(peer, messages.encode(messages.failed(0, error)))
        self._listener.end(peer)
        if peer == self._front:
            self._front = None
            self._unsent = []
            for ticket in self._tickets.values():
                self._cancel(ticket)

    def _cancel(self, ticket: Ticket) -> None:
        ticket.cancel()
        self._engine.ask(messages.Cancel(ticket.request.id))

    def _say(self) -> None:
        """Send what there is."""
        news = self._outbox.take()
        for message in news:
            if isinstance(message, messages.Finished | messages.Failed):
                self._tickets.pop(message.id, None)
            if isinstance(message, messages.Loading | messages.Ready | messages.Failed) and not _id_of(message):
                self._state = message
        if self._front is None:
            return
        waiting = merged([*self._unsent, *news]) if self._unsent else news
        sent = 0
        try:
            while sent < len(waiting) and self._listener.send(self._front, messages.encode(waiting[sent])):
                sent += 1
        except LinkError:
            self._ending = True  # the front has gone
        self._unsent = waiting[sent:]


def _id_of(message: messages.Event) -> int:
    return getattr(message, "id", 0)


def main() -> int:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C in the terminal is for the front
    give_back_freed_memory()
    line = sys.stdin.buffer.readline()
    try:
        opening = msgspec.json.decode(line, type=Opening)
        keys = new_keys() if needs_keys(opening.address) else None
        listener = Listener(opening.address, keys, opening.allowed)
    except (msgspec.DecodeError, AccelError) as error:
        print(f"accel worker: {error}", file=sys.stderr)
        return 2
    with suppress(OSError):  # where memory runs out, the system shall take this process and not the front
        Path("/proc/self/oom_score_adj").write_text("500")
    worker = Worker(opening, listener)
    end_with_parent(sys.stdin.buffer, worker.end)
    listening = Listening(listener.address, keys.public if keys else "")
    sys.stdout.buffer.write(msgspec.json.encode(listening) + b"\n")
    sys.stdout.flush()
    os.dup2(2, 1)  # whatever libraries print is no message
    worker.run()
    return 0


if __name__ == "__main__":
    status = main()
    sys.stderr.flush()
    os._exit(status)  # the engine's thread may still be in a forward; the system takes its memory back
