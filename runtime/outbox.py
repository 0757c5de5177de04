"""What a worker has to say, from the thread that computes to the thread that sends."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from typing import Protocol, TypeAlias, TypeGuard

import msgspec

from .messages import Drafting, Event, Failed, Finished, Loading, Prefilled, Started, Text

_SOON = 128  # tokens to be read, during which whoever is woken to hear of it takes a core from those that compute


class Speaker(Protocol):
    """Makes messages when it is time to send them."""

    def speak(self) -> list[Event]:
        """What there is to say since the last time."""
        ...

    @property
    def goes_on(self) -> bool:
        """Whether there will be more without another `put`: it is then asked again at every beat."""
        ...


Saying: TypeAlias = Event | Speaker


def said(saying: Saying) -> list[Event]:
    return [saying] if isinstance(saying, msgspec.Struct) else saying.speak()


class Outbox:
    """`put` from one thread, `take` from another.

    The first word of every answer is said at once, and a token where none was said for a beat; those that follow faster
    travel together, so that what one token costs does not grow with the number of messages a link can carry.
    """

    def __init__(self, wake: Callable[[], None]) -> None:
        self._wake = wake
        self._sayings: deque[Saying] = deque()
        self.beating = False  # whether the sender is expected to look again after a beat
        self._speakers: list[Speaker] = []  # who go on
        self._awaited: set[int] = set()  # answers whose prompt is read and whose first word has not been said

    def put(self, saying: Saying) -> None:
        self._sayings.append(saying)
        if _is_soon_read(saying):
            self._awaited.add(saying.id)  # its first word follows at once, or its end, and takes it along
        elif self._awaited or not self.beating or not _can_wait(saying):
            self._wake()

    def take(self) -> list[Event]:
        """All that is there. The sender is expected to look again after a beat where texts are among it or somebody
        goes on; otherwise the next `put` wakes it, so that the first word of an answer is said at once."""
        if not self._sayings and not self._speakers:
            self.beating = False
        if not self._sayings and not self._speakers:  # looked at after the beat was ended: what comes now wakes
            return []
        news = merged(self._said())
        for message in news:
            if isinstance(message, Text | Finished | Failed):
                self._awaited.discard(message.id)
        # What was put meanwhile woke nobody if a beat was expected: then there is one.
        self.beating = False
        self.beating = bool(self._speakers or self._sayings) or any(isinstance(message, Text) for message in news)
        return news

    def _said(self) -> Iterator[Event]:
        going_on, self._speakers = self._speakers, []
        for saying in (*going_on, *(self._sayings.popleft() for _ in range(len(self._sayings)))):
            yield from said(saying)
            if not isinstance(saying, msgspec.Struct) and saying.goes_on and saying not in self._speakers:
                self._speakers.append(saying)


def _is_soon_read(saying: Saying) -> TypeGuard[Started | Prefilled]:
    if isinstance(saying, Started):
        return saying.prompt - saying.reused <= _SOON
    return isinstance(saying, Prefilled) and saying.done == saying.total


def _can_wait(saying: Saying) -> bool:
    """For the beat."""
    return isinstance(saying, Text | Drafting) or not isinstance(saying, msgspec.Struct)


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
                found[at or 0] = _joined(last, message)
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


def _joined(first: Text, then: Text) -> Text:
    return Text(first.id, first.text + then.text, first.thought, then.tokens, first.chances + then.chances)
