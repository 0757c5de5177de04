"""Tokens -> text as it streams: whole characters, stop strings, thoughts told apart.

What is given depends on the bytes alone, never on how tokens split them:

- a character is given once its last byte is there; only bytes that are no UTF-8 become U+FFFD;
- a *stop* ends the text when its last character arrives; the text before it is given, it and what follows are not. Of
  two that end together the longer counts. Stops count in the answer only, not in thoughts;
- a *thought* is what stands between the markers of a model's reasoning. It can begin only before the first word of the
  answer: a later marker is text, so that an answer may speak of markers. White space before the opening marker and
  line breaks right after a marker go.

Text is held back only while it may still become a stop or a marker. Which tokens it is of is told beside it.
"""

import codecs
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, NamedTuple

import msgspec

from ..errors import UsageError
from .shares import Shares

if TYPE_CHECKING:
    from .engines.base import Vocabulary

MOST_STOPS = 64
LONGEST_STOP = 256  # characters


class Chunk(NamedTuple):
    """A piece of text that can be shown; `thought` where it is no part of the answer."""

    text: str
    thought: bool = False


class Given(NamedTuple):
    """A token of which something is given: its number among those pushed, whether that is of a thought, and how many
    characters of the text are its."""

    token: int
    thought: bool
    length: int


class Markers(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What opens and what closes a model's thoughts."""

    open: str
    close: str

    def opened_by(self, prompt: str) -> bool:
        """Whether a prompt ends in an open thought, so that the answer begins inside it."""
        return prompt.rstrip().endswith(self.open)


def pieces(vocabulary: "Vocabulary", thoughts: Markers | None) -> Callable[[int], bytes]:
    """Tokens' bytes, with markers spelled out that are control tokens, which have none of their own."""
    marks: dict[int, bytes] = {}
    for mark in (thoughts.open, thoughts.close) if thoughts else ():
        tokens = vocabulary.encode(mark, special=True)
        if len(tokens) == 1 and not vocabulary.piece(tokens[0]):
            marks[tokens[0]] = mark.encode()
    return (lambda token: marks.get(token) or vocabulary.piece(token)) if marks else vocabulary.piece


class TextStream:
    """`push` every token of an answer, then `finish`; `stop` is the stop string that ended it, "" until then.

    `piece` gives a token's bytes; `thinking` says that the prompt has opened a thought already; `shares`, that it is
    wanted of the answer, too, which tokens it is of, not of thoughts alone. Raises UsageError for stop strings that are
    empty, too long or too many.
    """

    def __init__(
        self,
        piece: Callable[[int], bytes],
        stops: Sequence[str] = (),
        thoughts: Markers | None = None,
        thinking: bool = False,
        shares: bool = False,
    ) -> None:
        if len(stops) > MOST_STOPS or not all(0 < len(stop) <= LONGEST_STOP for stop in stops):
            raise UsageError(
                "a stop string is empty or too long, or there are too many",
                f"give at most {MOST_STOPS}, each of 1 to {LONGEST_STOP} characters",
            )
        self.stop = ""
        self._piece = piece
        self._decode = codecs.getincrementaldecoder("utf-8")("replace").decode
        self._stops = tuple(stops)
        self._markers = thoughts
        self._thinking = thinking and thoughts is not None
        self._may_think = thoughts is not None  # until the first word of the answer
        self._after_marker = self._thinking
        self._plain = not stops and thoughts is None  # nothing to look for, ever again
        self._held = ""
        self._shares = Shares[int]()
        self._sharing, self._shares_answer = shares or thoughts is not None, shares
        self._pushed = 0  # tokens, as long as they share
        self._given: list[Given] = []

    @property
    def stopped(self) -> bool:
        """Whether a stop string was met."""
        return bool(self.stop)

    def push(self, *tokens: int) -> list[Chunk]:
        """What these tokens add to the text."""
        text = self._decode_each(tokens) if self._sharing else self._decode(b"".join(map(self._piece, tokens)))
        if not text or self.stopped:
            return []
        if self._plain:
            self._own(len(text))
            return [Chunk(text)]
        return self._read(text)

    def finish(self) -> list[Chunk]:
        """What was held back: nothing can complete it any more."""
        text = self._decode(b"", True)
        if self.stopped:
            return []
        chunks = self._read(text)
        self._give(chunks, len(self._held))
        return chunks

    def given(self) -> list[Given]:
        """The tokens of which something was given, and nothing the last time that this was asked."""
        given, self._given = self._given, []
        return given

    def _decode_each(self, tokens: Sequence[int]) -> str:
        whole = ""
        for number, token in enumerate(tokens, self._pushed):
            data = self._piece(token)
            whole += (text := self._decode(data))
            if data:
                self._shares.add(number, len(text))
        self._pushed += len(tokens)
        return whole

    def _read(self, text: str) -> list[Chunk]:
        chunks: list[Chunk] = []
        self._held += text
        more = True
        while more and not self.stopped:
            if self._after_marker:
                self._leave_out(len(self._held) - len(self._held.lstrip("\r\n")))
                self._after_marker = not self._held
            more = self._read_thought(chunks) if self._thinking else self._read_answer(chunks)
        return chunks

    def _read_thought(self, chunks: list[Chunk]) -> bool:
        """Gives what is certain; whether the thought has closed and there may be more to read."""
        close = self._markers.close if self._markers else ""
        at = self._held.find(close)
        if at < 0:
            self._give(chunks, len(self._held) - _unfinished(self._held, (close,)))
            return False
        self._give(chunks, at)
        self._leave_out(len(close))
        self._thinking, self._after_marker = False, True
        return True

    def _read_answer(self, chunks: list[Chunk]) -> bool:
        """Gives what is certain; whether a thought has opened and there may be more to read."""
        held = self._held
        found = [(at + len(stop), at, stop) for stop in self._stops if (at := held.find(stop)) >= 0]
        end, at, stop = min(found, default=(len(held) + 1, 0, ""))
        if self._may_think and self._markers:
            start = held.lstrip()
            before = len(held) - len(start)
            if start.startswith(self._markers.open) and before + len(self._markers.open) < end:
                self._leave_out(before + len(self._markers.open))
                self._thinking = self._after_marker = True
                return True
            if not found and self._markers.open.startswith(start):
                return False
            self._may_think = False
            self._plain = not self._stops
            self._sharing = self._shares_answer
        if found:
            self.stop = stop
            self._give(chunks, at)
        else:
            self._give(chunks, len(held) - _unfinished(held, self._stops))
        return False

    def _give(self, chunks: list[Chunk], length: int) -> None:
        if length:
            chunks.append(Chunk(self._held[:length], self._thinking))
            self._own(length)
            self._held = self._held[length:]

    def _own(self, length: int) -> None:
        if self._sharing:
            self._given += [Given(token, self._thinking, left) for token, left in self._shares.take(length)]

    def _leave_out(self, length: int) -> None:
        self._held = self._held[length:]
        if self._sharing:
            self._shares.drop(length)


def _unfinished(text: str, words: Sequence[str]) -> int:
    """Length of the longest end of a text that begins one of the words."""
    longest = 0
    for word in words:
        for length in range(min(len(text), len(word) - 1), longest, -1):
            if text.endswith(word[:length]):
                longest = length
                break
    return longest
