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
