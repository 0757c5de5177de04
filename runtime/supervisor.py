"""The front's side of a worker: starts it, asks it, and starts another where it died."""

import itertools
import threading
from collections.abc import Callable, Sequence
from queue import Empty, SimpleQueue
from types import TracebackType
from typing import Any, Self, TypeAlias, TypeVar

import msgspec

from ..errors import AccelError, LinkError, UsageError
from . import messages
from .drafting.options import DraftingOptions
from .law import Law
from .life import Deliver, Life
from .opening import PromptStore
from .text import Markers

_LOOK = 0.5  # seconds after which a waiting thread lets a signal through, on systems that need it

Step = messages.Started | messages.Prefilled | messages.Text | messages.Drafting | messages.Finished
Steps: TypeAlias = SimpleQueue[messages.Event | AccelError]
A = TypeVar("A")


class Answer:
    """What comes of a prompt, step by step; the last step is `Finished`. Iterating raises what it failed with, and
    WorkerDied. Leaving the `with` block cancels what has not ended."""

    def __init__(self, life: Life, id: int, steps: Steps) -> None:
        self.id = id
        self._life = life
        self._steps = steps
        self._ended = False

    def cancel(self) -> None:
        """It ends with its next step, reason "cancelled". From any thread, or a signal handler."""
        if not self._ended:
            self._life.tell(messages.Cancel(self.id))

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> Step:
        if self._ended:
            raise StopIteration
        step = _next(self._steps)
        if isinstance(step, AccelError):
            self._ended = True
            raise step
        self._ended = isinstance(step, messages.Finished)
        if not isinstance(step, Step):
            raise LinkError(f"the worker answered a prompt with {type(step).__name__}")
        return step

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        self.cancel()


class Supervisor:
    """Holds an engine in a process of its own. It starts with `start` or with the first request; a worker that has
    ended is replaced at the next request, the one that it was answering raises WorkerDied.

    Every request raises what the engine could not be opened with. Any thread may ask; several may at once.
    """

    def __init__(
        self,
        engine: str,
        options: Any,
        drafting: DraftingOptions | None = None,
        prompts: PromptStore | None = None,
    ) -> None:
        """`engine` and `options`: see `engines.open_engine`; `drafting`: with what, where it pays; `prompts`: where
        they are kept beyond the engine's sequences."""
        self._engine = engine
        self._options = options
        self._drafting = drafting
        self._prompts = prompts
        self._numbers = itertools.count(1)
        self._lock = threading.Lock()
        self._life: Life | None = None

    def start(self) -> None:
        """Returns at once; nothing happens where a worker runs."""
        self._living()

    def wait(self, progress: Callable[[float], object] | None = None) -> messages.Ready:
        """Until the model is loaded; `progress` is called with 0 to 1 by this thread."""
        return self._living().wait(progress)

    @property
    def pid(self) -> int | None:
        """Of the worker's process, where there is one."""
        life = self._life
        return life.pid if life and life.alive else None

    def generate(
        self,
        conversation: str | None,
        prompt: Sequence[str | Sequence[int]],
        law: Law,
        most: int | None = None,
        stops: Sequence[str] = (),
        thoughts: Markers | None = None,
        thinking: bool = False,
        grammar: messages.GrammarSource | None = None,
        chances: int | None = None,
    ) -> Answer:
        """Answer a prompt: texts whose control tokens count, and tokens of earlier answers; see `messages.Generate`."""
        life, steps = self._ready_life(), Steps()
        id = next(self._numbers)
        request = messages.Generate(
            id, conversation, _parts(prompt), law, most, tuple(stops), thoughts, thinking, grammar, chances
        )
        life.ask(request, steps.put)
        return Answer(life, id, steps)

    def begin(self, request: messages.Generate, deliver: Deliver) -> int:
        """Answer a prompt, and go on at once: `deliver` gets what `generate` gives step by step, or the error that ends
        it, from another thread, and must not block. The number under which the request can be cancelled; its own does
        not count."""
        life, id = self._ready_life(), next(self._numbers)
        life.ask(msgspec.structs.replace(request, id=id), deliver)
        return id

    def begin_at_once(self, request: messages.Generate, deliver: Deliver) -> int | None:
        """The same where it waits for nothing: None where no worker is ready."""
        life = self._life
        if not life or not life.ready or not life.alive:
            return None
        id = next(self._numbers)
        life.ask(msgspec.structs.replace(request, id=id), deliver)
        return id

    def cancel(self, id: int) -> None:
        """The answer ends with its next step, reason "cancelled", if it has not ended."""
        if life := self._life:
            life.tell(messages.Cancel(id))

    def encode(self, prompt: Sequence[str | Sequence[int]]) -> tuple[int, ...]:
        """The tokens of a prompt."""
        return self._ask(messages.Encode(next(self._numbers), _parts(prompt)), messages.Encoded).tokens

    def embed(self, prompt: Sequence[str | Sequence[int]]) -> messages.Embedded:
        """What the model makes of a text, as a vector. Raises ModelUnsupported where it makes none, ContextFull."""
        return self._ask(messages.Embed(next(self._numbers), _parts(prompt)), messages.Embedded)

    def save(self, conversation: str, path: str) -> messages.Saved:
        """What is cached of a conversation, to a file that is there whole or not at all."""
        return self._ask(messages.Save(next(self._numbers), conversation, path), messages.Saved)

    def load(self, conversation: str, path: str) -> messages.Loaded:
        """Raises StateError for a file of another model, or a damaged one."""
        return self._ask(messages.Load(next(self._numbers), conversation, path), messages.Loaded)

    def forget(self, conversation: str | None) -> None:
        """Let go what is cached of it; without one, of everything that is not being answered."""
        self._ask(messages.Forget(next(self._numbers), conversation), messages.Forgotten)

    def measure(self, seconds: float) -> messages.Measured:
        """Times of forwards of several numbers of rows; answered when nothing else runs."""
        return self._ask(messages.Measure(next(self._numbers), seconds), messages.Measured)

    def route(
        self,
        tokens: int,
        seconds: float,
        path: str | None = None,
        progress: Callable[[float], object] = lambda done: None,
    ) -> messages.Routed:
        """Has the model write, and tells which experts it used: see `messages.Route`. The engine must have been opened
        with taps. `progress` is called with 0 to 1 by this thread."""
        steps = Steps()
        self._ready_life().ask(messages.Route(next(self._numbers), tokens, seconds, path), steps.put)
        while isinstance(step := _next(steps), messages.Routing):
            progress(step.done)
        return _expected(step, messages.Routed, "Route")

    def statistics(self) -> messages.Statistics:
        return self._ask(messages.Survey(next(self._numbers)), messages.Statistics)

    def stop(self) -> None:
        """Ends the worker, whatever it does; returns when its process is gone. The next request starts another."""
        with self._lock:
            life, self._life = self._life, None
        if life:
            life.end()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def _living(self) -> Life:
        with self._lock:
            if not self._life or not self._life.alive:
                self._life = Life(self._engine, self._options, self._drafting, self._prompts)
            return self._life

    def _ready_life(self) -> Life:
        life = self._living()
        life.wait()
        return life

    def _ask(self, request: Any, kind: type[A]) -> A:
        steps = Steps()
        self._ready_life().ask(request, steps.put)
        return _expected(_next(steps), kind, type(request).__name__)


def _expected(found: messages.Event | AccelError, kind: type[A], request: str) -> A:
    if isinstance(found, AccelError):
        raise found
    if not isinstance(found, kind):
        raise LinkError(f"the worker answered {request} with {type(found).__name__}")
    return found


def _next(steps: Steps) -> messages.Event | AccelError:
    while True:
        try:
            return steps.get(timeout=_LOOK)
        except Empty:
            continue


def _parts(prompt: Sequence[str | Sequence[int]]) -> tuple[str | tuple[int, ...], ...]:
    if len(prompt) > messages.MOST_PARTS:
        do = "take out what its texts spell of control tokens"
        raise UsageError(f"the prompt has {len(prompt)} parts, and a worker takes {messages.MOST_PARTS}", do)
    return tuple(part if isinstance(part, str) else tuple(part) for part in prompt)
