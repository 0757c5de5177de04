"""One life of one worker process, as its front sees it: started, spoken with, watched, ended."""

import atexit
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Callable
from contextlib import ExitStack, suppress
from copy import copy
from typing import Any, TypeAlias

import msgspec

from ..devices.link.keys import new_keys
from ..devices.link.place import meeting_place, needs_keys
from ..devices.link.sockets import FRAME, Dialer
from ..errors import AccelError, EngineError, UsageError, WorkerDied
from ..units import Bytes, to_json
from . import messages
from .drafting.options import DraftingOptions
from .obituary import Obituary, died
from .opening import Listening, Opening, PromptStore

_TICK = 0.2  # seconds between two looks at a worker that is asked something
_IDLE_TICK = 2.0
_START = 60.0  # seconds until a worker listens, on a machine under load
_PATIENCE = 30.0  # seconds of ours without a sign of life
_GRACE = 2.0  # seconds to end in, before it is killed
_KEEPING = 20.0  # seconds more, where it keeps what is cached
Deliver: TypeAlias = Callable[[messages.Event | AccelError], object]

# All other answers end their request.
_GOES_ON = (messages.Started, messages.Prefilled, messages.Text, messages.Drafting, messages.Routing)


class Life:
    """Starts at once, in a thread of its own; over once `error` is set. Everything here may be called by any thread.

    The thread lives as long as the worker: the kernel kills a worker whose starting thread has gone.
    """

    def __init__(
        self,
        engine: str,
        options: Any,
        drafting: DraftingOptions | None = None,
        prompts: PromptStore | None = None,
    ) -> None:
        self.ready: messages.Ready | None = None
        self.error: AccelError | None = None
        self.pid: int | None = None
        self.loaded = 0.0
        self._engine = engine
        self._options = options
        self._drafting = drafting
        self._prompts = prompts
        self._changed = threading.Condition()
        self._answers: dict[int, Deliver] = {}
        self._outgoing: deque[bytes] = deque()
        self._dialer: Dialer | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self._ending = False
        self._thread = threading.Thread(target=self._live, name="worker's life", daemon=True)
        atexit.register(self.end)  # a thread must not speak while the interpreter is taken down
        self._thread.start()

    @property
    def alive(self) -> bool:
        """Whether it can be asked."""
        return self.error is None and (self._process is None or self._process.poll() is None)

    def wait(self, progress: Callable[[float], object] | None = None) -> messages.Ready:
        """Until it is ready. Raises what it failed with, WorkerDied."""
        told = -1.0
        while True:
            with self._changed:
                while not self.ready and not self.error and self.loaded == told:
                    self._changed.wait(_TICK)
                ready, error, told = self.ready, self.error, self.loaded
            if error:
                raise copy(error)
            if ready:
                return ready
            if progress:
                progress(told)

    def ask(self, request: Any, deliver: Deliver) -> None:
        """Sends a request that has an id; `deliver` is called with each of its answers, by another thread, and must not
        block. Raises UsageError for what no worker would take, WorkerDied."""
        try:
            frame = messages.encode(request)
        except UnicodeEncodeError as error:
            raise UsageError("a text holds what is no character", "write it in UTF-8") from error
        except OverflowError as error:
            raise UsageError("a number is too large to be sent", "take a smaller one") from error
        if len(frame) > FRAME:  # the worker would not hear it, nor anything after it
            raise UsageError(f"{Bytes(len(frame))} are too much to ask a worker at once", "shorten the text")
        messages.check_request(frame)  # the worker would part with us, and with everybody we ask it for
        with self._changed:
            if self.error:
                raise copy(self.error)
            self._answers[request.id] = deliver
        self._send(frame)

    def tell(self, request: messages.Request) -> None:
        """Sends what has no answer; takes no lock, so that a signal handler may call it."""
        self._send(messages.encode(request))

    def end(self) -> None:
        """Returns when the process is gone."""
        self._ending = True
        self._wake()
        self._thread.join()

    def _send(self, frame: bytes) -> None:
        self._outgoing.append(frame)
        self._wake()

    def _wake(self) -> None:
        dialer = self._dialer
        if dialer:
            dialer.wake()

    def _live(self) -> None:
        error: AccelError = EngineError("the front lost its worker by a fault of its own", "report what it printed")
        obituary = Obituary()
        try:
            with ExitStack() as meeting:
                self._serve(self._meet(meeting, obituary), meeting)
            error = WorkerDied("the worker was stopped", "ask again: a new one starts")
        except _Dead:
            error = obituary.read(self._process, bool(self.ready))
        except AccelError as failure:
            error = failure
        except OSError as failure:
            error = EngineError(f"cannot start a worker: {failure.strerror or failure}", "free memory or processes")
        finally:
            self._bury()
            self._say_over(error)
            atexit.unregister(self.end)  # or every worker that died would be kept, and all that its error holds

    def _meet(self, meeting: ExitStack, obituary: Obituary) -> Dialer:
        """Starts the process and connects to it."""
        address = meeting.enter_context(meeting_place())
        keys = new_keys() if needs_keys(address) else None
        options = msgspec.Raw(to_json(self._options))
        let_in = keys.public if keys else ""
        opening = Opening(self._engine, options, address, let_in, self._drafting, self._prompts)
        process = self._process = subprocess.Popen(
            [sys.executable, "-P", "-m", f"{__package__}.worker"],  # -P: the current folder holds no modules of ours
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,  # Ctrl-C in the terminal is not for it
        )
        self.pid = process.pid
        obituary.listen(process)
        if not process.stdin or not process.stdout:
            raise EngineError("the worker has no pipes")
        with suppress(BrokenPipeError):
            process.stdin.write(msgspec.json.encode(opening) + b"\n")
            process.stdin.flush()
        start = time.monotonic()
        watch = threading.Timer(_START, process.kill)
        watch.daemon = True
        watch.start()
        try:
            listening = msgspec.json.decode(process.stdout.readline(), type=Listening)
        except msgspec.DecodeError:
            raise _silent(_START, ready=False) if time.monotonic() - start >= _START else _Dead from None
        finally:
            watch.cancel()
        self._dialer = Dialer(listening.address, keys, listening.key)
        self._dialer.send(messages.encode(messages.Hello()))
        return self._dialer

    def _serve(self, dialer: Dialer, meeting: ExitStack) -> None:
        """Until the end: raises _Dead, or what the worker failed with; returns where we end it."""
        silent = 0.0  # seconds that we waited and heard nothing; not those that this process was stopped
        while not self._ending:
            while self._outgoing and dialer.send(self._outgoing[0]):
                self._outgoing.popleft()
            tick = _TICK if self._answers or not self.ready else _IDLE_TICK
            start = time.monotonic()
            dialer.wait(tick)
            silent += min(tick, time.monotonic() - start)
            dead = not self.alive
            while frame := dialer.receive():
                silent = 0.0
                meeting.close()  # connected: nobody else needs to find the worker
                self._take(messages.decode_event(frame))
            if dead:
                raise _Dead
            if silent > _PATIENCE:
                raise _silent(_PATIENCE, bool(self.ready))
            if silent > _TICK:
                dialer.send(messages.encode(messages.Ping(0)))

    def _take(self, message: messages.Event) -> None:
        if isinstance(message, messages.Loading | messages.Ready):
            with self._changed:
                self.loaded = message.fraction if isinstance(message, messages.Loading) else 1.0
                self.ready = message if isinstance(message, messages.Ready) else None
                self._changed.notify_all()
        elif isinstance(message, messages.Failed) and not message.id:
            raise messages.error_of(message)
        elif not (isinstance(message, messages.Pong) and not message.id):
            deliver = (
                self._answers.get(message.id) if isinstance(message, _GOES_ON) else self._answers.pop(message.id, None)
            )
            if deliver:
                deliver(messages.error_of(message) if isinstance(message, messages.Failed) else message)

    def _bury(self) -> None:
        """Ends the process, the link and the pipes, in whatever state they are."""
        process, dialer = self._process, self._dialer
        if process:
            if dialer and process.poll() is None:
                dialer.send(messages.encode(messages.Shutdown()))
            if process.stdin:
                with suppress(OSError):
                    process.stdin.close()  # the end of it is a sign too
            try:
                process.wait(_GRACE + (_KEEPING if self._prompts or self._drafting else 0.0))
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
            if process.stdout:
                process.stdout.close()
        if dialer:
            self._dialer = None
            dialer.close()

    def _say_over(self, error: AccelError) -> None:
        with self._changed:
            self.error = error
            waiting, self._answers = self._answers, {}
            self._changed.notify_all()
        for deliver in waiting.values():
            deliver(copy(error))  # one that many raise would hold what all of them asked, as long as this is held


def _silent(seconds: float, ready: bool) -> WorkerDied:
    return died(f"gave no sign of life for {seconds:.0f} s", ready)


class _Dead(Exception):
    """The process has ended by itself."""
