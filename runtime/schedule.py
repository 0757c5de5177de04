"""Which rows of which streams go into the next forward: decodes first, then chunks of prefill. Pure."""

from collections.abc import Sequence
from typing import Protocol, TypeVar


class Waiting(Protocol):
    """A stream of tokens some of which are still to be forwarded."""

    @property
    def pending(self) -> int:
        """Rows until its next token can be chosen; at least 1."""
        ...

    @property
    def decoding(self) -> bool:
        """Whether its prompt has been forwarded: someone waits for every single token."""
        ...


S = TypeVar("S", bound=Waiting)

_BESIDE = 0.2  # seconds that those who decode may wait for the next token because others' prompts are read
_LEAST = 32  # rows, with fewer of which a prompt takes longer as a whole
_MEMORY = 0.8  # of what a row takes, when another forward is seen


class Pace:
    """How many rows a forward may have while somebody waits for every single token: a prompt is then read in chunks
    that take no longer than a person notices (Sarathi-Serve, section 4.2, with a time for its token budget)."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._seconds = 0.0  # of a row among many

    @property
    def rows(self) -> int:
        wanted = int(_BESIDE / self._seconds) if self._seconds else _LEAST
        return min(self._most, max(_LEAST, wanted))

    def seen(self, rows: int, seconds: float) -> None:
        """A forward of so many rows took so long."""
        if rows >= min(_LEAST, self._most):
            before = self._seconds or seconds / rows
            self._seconds = _MEMORY * before + (1 - _MEMORY) * seconds / rows


def next_rows(queue: Sequence[S], rows: int) -> list[tuple[S, int]]:
    """(stream, how many of its pending rows) for one forward of at most `rows` rows.

    Streams that decode come first, then those that prefill, each kind in the queue's order. Only the last one can get
    less than all its pending rows; the caller moves it to the queue's end (`turned`), so that a long prompt does not
    hold up the short ones behind it. Nobody starves as long as there are at most `rows` streams.
    """
    shares: list[tuple[S, int]] = []
    for decoding in (True, False):
        for stream in queue:
            if stream.decoding is decoding and rows:
                taken = min(stream.pending, rows)
                shares.append((stream, taken))
                rows -= taken
    return shares


def turned(queue: Sequence[S], shares: Sequence[tuple[S, int]]) -> list[S]:
    """The queue once `shares` are about to be forwarded: a stream that gets only a part goes to the end."""
    partly = [stream for stream, taken in shares if taken < stream.pending]
    return [stream for stream in queue if stream not in partly] + partly
