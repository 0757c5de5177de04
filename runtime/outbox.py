"""What a worker has to say, from the thread that computes to the thread that sends."""

from collections import deque
from collections.abc import Callable, Iterable
from itertools import chain
from typing import TypeAlias

from .messages import Event, Failed, Finished, Loading, Prefilled, Text

Saying: TypeAlias = Event | Callable[[], list[Event]]  # a message, or what makes some when it is time to send them


class Outbox:
    """`put` from one thread, `take` from another.

    The first word of every answer is said at once, and a token where none was said for a beat; those that follow faster
    travel together, so that what one token costs does not grow with the number of messages a link can carry.
    """

    def __init__(self, wake: Callable[[], None]) -> None:
        self._wake = wake
        self._sayings: deque[Saying] = deque()
        self._beating = False  # whether the sender comes back soon by itself
        self._awaited: set[int] = set()  # answers whose prompt is read and whose first word has not been said

    def put(self, saying: Saying) -> None:
        if isinstance(saying, Prefilled) and saying.done == saying.total:
            self._awaited.add(saying.id)
        self._sayings.append(saying)
        if self._awaited or not self._beating or not (isinstance(saying, Text) or callable(saying)):
            self._wake()

    def take(self) -> list[Event]:
        """All that is there. Where texts are among it the sender is expected to look again soon; otherwise the next
        `put` wakes it, so that the first word of an answer is said at once."""
        if not self._sayings:
            self._beating = False
        if not self._sayings:  # looked at after the beat was ended: what came before now is seen, what comes wakes
            return []
        sayings = [self._sayings.popleft() for _ in range(len(self._sayings))]
        news = merged(chain.from_iterable(saying() if callable(saying) else (saying,) for saying in sayings))
        for message in news:
            if isinstance(message, Text | Finished | Failed):
                self._awaited.discard(message.id)
        self._beating = any(isinstance(message, Text) for message in news)
        return news


def merged(messages: Iterable[Event]) -> list[Event]:
    """The same, in fewer: texts of one answer that follow one another become one, of loading only the last is kept."""
    found: list[Event] = []
    texts: dict[int, int] = {}  # of an answer, the place of its text that can still grow
    loading: int | None = None
    for message in messages:
        if isinstance(message, Text):
            at = texts.get(message.id)
            last = found[at] if at is not None else None
            if isinstance(last, Text) and last.thought == message.thought:
                found[at or 0] = Text(message.id, last.text + message.text, message.thought, message.tokens)
                continue
            texts[message.id] = len(found)
        elif isinstance(message, Loading):
            if loading is not None:
                found[loading] = message
                continue
            loading = len(found)
        else:
            texts.pop(getattr(message, "id", -1), None)
        found.append(message)
    return found
