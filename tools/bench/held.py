"""What a worker holds at most while it does all that can be asked of it: anonymous and mapped memory apart."""

import threading
from pathlib import Path
from types import TracebackType
from typing import Self

from accel.devices.resident import resident
from accel.errors import EngineError
from accel.runtime.law import Law
from accel.runtime.messages import Finished
from accel.runtime.supervisor import Supervisor
from accel.units import Bytes

_LOOK = 0.002  # seconds
_TEXT = "The quick brown fox jumps over the lazy dog, and nobody knows why it does so. "
_ANSWER = 8  # tokens


class Peak:
    """Looks at a process every 2 ms while it is entered, and keeps the most of each kind."""

    def __init__(self, worker: Supervisor) -> None:
        self.anonymous, self.mapped = Bytes(0), Bytes(0)
        self._worker = worker
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        self._over.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._over.wait(_LOOK):
            if pid := self._worker.pid:
                anonymous, mapped = resident(pid)
                self.anonymous, self.mapped = max(self.anonymous, anonymous), max(self.mapped, mapped)


def exercise(worker: Supervisor, rows: int, folder: Path) -> None:
    """Fills every sequence of a worker with so many positions each, and asks for the rest that a chat asks for. The
    first prompt is text, answered twice as two turns; a sequence saved once and loaded into the others fills the cache
    in no time. Raises what the worker raises."""
    ready = worker.wait()
    worker.measure(0.05)  # forwards with as many logits as there may be
    whole = ready.context // len(worker.encode((_TEXT,)))
    worker.encode((_TEXT * max(whole, 1),))
    prompt = worker.encode((_TEXT,)) * rows
    first = prompt[: rows - 6 * _ANSWER]
    done = _answer(worker, "0", first)
    _answer(worker, "0", (*first, *done.tokens, *prompt[: 2 * _ANSWER]))
    file = str(folder / "state")
    worker.save("0", file)
    for number in range(1, ready.sequences):
        worker.load(str(number), file)
        worker.statistics()
    last = str(ready.sequences - 1)
    worker.forget(last)
    _answer(worker, last, tuple(reversed(first)))
    worker.save(last, file)
    worker.load(last, file)
    worker.statistics()


def _answer(worker: Supervisor, conversation: str, prompt: tuple[int, ...]) -> Finished:
    *_, done = worker.generate(conversation, (prompt,), Law(seed=0), most=_ANSWER)
    if not isinstance(done, Finished):
        raise EngineError("the worker ended an answer without a word")
    return done
