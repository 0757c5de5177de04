"""A conversation and its file: messages, how many of them still fit, and what the front must know to go on with them
after a restart.

`state_dir()/sessions/NAME.json` is the conversation; beside it, `NAME.state` is the worker's key-value cache of it.
"""

import re
import time
from bisect import bisect_left
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Literal

import msgspec

from ..devices.files import write_atomic
from ..devices.paths import state_dir
from ..errors import AccelError, ContextFull, StateError, UsageError

MOST_BYTES = 64 * 2**20  # of a conversation's file
KEPT = 100  # conversations without a name of their own
_AROUND = 256  # tokens that a template may put around one message
_NAME = re.compile(r"[\w][\w. -]{0,63}")
_UNNAMED = re.compile(r"\d{4}-\d\d-\d\d-\d{6}-\d{3}")


class Message(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One turn's part. An answer carries the tokens it was made of, so that its cache is hit exactly."""

    role: Literal["system", "user", "assistant"]
    content: str
    tokens: tuple[int, ...] = ()


class Conversation(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What was said, oldest first; `forgotten` messages at the start (after the system prompt) no longer fit the
    context and are not shown to the model. `model` is the fingerprint of the model whose tokens the answers carry."""

    model: str = ""
    system: str = ""
    messages: tuple[Message, ...] = ()
    forgotten: int = 0
    version: Literal[1] = 1

    def prompt(self) -> tuple[Message, ...]:
        """What the model is shown."""
        system = (Message("system", self.system),) if self.system else ()
        return system + self.messages[self.forgotten :]

    def add(self, *messages: Message) -> "Conversation":
        return msgspec.structs.replace(self, messages=self.messages + messages)

    def with_system(self, text: str) -> "Conversation":
        return msgspec.structs.replace(self, system=text)

    def until(self, count: int) -> "Conversation":
        """The first `count` messages alone."""
        return msgspec.structs.replace(self, messages=self.messages[:count], forgotten=min(self.forgotten, count))

    def forget(self, count: int) -> "Conversation":
        """`count` more of the oldest messages are no longer shown."""
        return msgspec.structs.replace(self, forgotten=self.forgotten + count)

    def of_model(self, fingerprint: str) -> "Conversation":
        """The same words for another model: tokens of the former mean nothing to it."""
        if self.model == fingerprint:
            return self
        plain = tuple(msgspec.structs.replace(message, tokens=()) for message in self.messages)
        return msgspec.structs.replace(self, model=fingerprint, messages=plain, forgotten=0)


def most_tokens(messages: Iterable[Message]) -> int:
    """That these can be, as a template shows them: a token has at least one byte."""
    return sum(len(message.content.encode(errors="replace")) + _AROUND for message in messages)


def fitted(
    asked: Conversation,
    context: int,
    most: int | None,
    count: Callable[[Conversation], int],
    longest: int | None = None,
) -> Conversation:
    """With as many of the oldest turns forgotten as must be, so that an answer of `most` tokens, or a usual one, has
    room. `count`: tokens of what the model would be shown; `longest`: what that is at most for all of it, where it is
    known: then nothing is counted that surely fits. Raises ContextFull where the last message alone is too long."""
    room = context - min(context // 4, most or context)
    if (longest is not None and longest <= room) or count(asked) <= room:
        return asked
    # What is forgotten has all the rest read anew: forget enough at once that the next turns need not.
    shorter = [asked.forget(gone) for gone in range(0, len(asked.messages) - asked.forgotten, 2)]
    first = bisect_left(shorter, -(context // 2), key=lambda conversation: -count(conversation))
    if first < len(shorter):
        return shorter[first]
    if (tokens := count(shorter[-1])) >= context:
        what = "it, the system prompt" if asked.system else "it"
        do = f"shorten {what}, or ask for more with --context"
        raise ContextFull(f"the message takes {tokens} of {context} tokens of context", do)
    return shorter[-1]


class History:
    """The conversations on disk."""

    def __init__(self, folder: Path | None = None) -> None:
        self.folder = folder or state_dir() / "sessions"
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)

    def names(self) -> list[str]:
        """Saved conversations, the newest first."""
        files = [path for path in self.folder.glob("*.json") if _NAME.fullmatch(path.stem)]
        return [path.stem for path in sorted(files, key=lambda path: path.stat().st_mtime_ns, reverse=True)]

    def new_name(self) -> str:
        """A name for a conversation that has none: the time."""
        names = set(self.names())
        while (name := f"{time.strftime('%Y-%m-%d-%H%M%S')}-{time.time_ns() // 10**6 % 1000:03d}") in names:
            time.sleep(0.001)
        return name

    def state(self, name: str) -> Path:
        """Where the worker keeps the key-value cache of a conversation."""
        return self._file(name, "state")

    def _file(self, name: str, ending: str) -> Path:
        if not _NAME.fullmatch(name) or name.endswith((" ", ".")):
            raise UsageError(f"'{name}' cannot be the name of a chat", "use letters, digits, spaces, dots and dashes")
        return self.folder / f"{name}.{ending}"

    def save(self, name: str, conversation: Conversation) -> None:
        """Raises UsageError for a name that cannot be one, DiskFull, AccelError."""
        write_atomic(self._file(name, "json"), msgspec.json.encode(conversation))

    def load(self, name: str) -> Conversation:
        """Raises UsageError where there is none; StateError for a damaged one, which is set aside; AccelError."""
        path = self._file(name, "json")
        try:
            if path.stat().st_size > MOST_BYTES:
                raise msgspec.DecodeError("too long")
            found = msgspec.json.decode(path.read_bytes(), type=Conversation)
            _check_turns(found)
        except FileNotFoundError:
            raise UsageError(f"there is no saved chat '{name}'", self._there_are()) from None
        except OSError as error:
            why = error.strerror or str(error)
            raise AccelError(f"the saved chat '{name}' cannot be read: {why}", f"check {path}") from error
        except (msgspec.DecodeError, RecursionError) as error:
            aside = path.with_name(path.name + ".damaged")
            path.replace(aside)
            self.state(name).unlink(missing_ok=True)
            raise StateError(f"the saved chat '{name}' is damaged ({error})", f"it was set aside as {aside}") from error
        return found

    def _there_are(self) -> str:
        names = self.names()
        return f"there are: {', '.join(names[:10])}" if names else "none was saved yet"

    def tidy(self, current: str) -> None:
        """Of conversations without a name of their own, only the current one keeps its cache, and the oldest go."""
        unnamed = [name for name in self.names() if _UNNAMED.fullmatch(name) and name != current]
        for number, name in enumerate(unnamed):
            self._file(name, "state").unlink(missing_ok=True)
            if number >= KEPT - 1:
                self._file(name, "json").unlink(missing_ok=True)


def _check_turns(conversation: Conversation) -> None:
    expected = ("user", "assistant")
    for number, message in enumerate(conversation.messages):
        if message.role != expected[number % 2]:
            raise msgspec.ValidationError(f"message {number} is of the wrong role")
        if any(token < 0 for token in message.tokens):
            raise msgspec.ValidationError(f"message {number} holds what is no token")
    if not 0 <= conversation.forgotten <= len(conversation.messages) or conversation.forgotten % 2:
        raise msgspec.ValidationError("more is forgotten than was said")
