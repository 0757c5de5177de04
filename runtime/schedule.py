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

    @property
    def passed(self) -> int:
        """Rows of others' prompts that were put before its own."""
        ...


S = TypeVar("S", bound=Waiting)

_BESIDE = 0.3  # seconds that those who decode may wait for the next token because others' prompts are read: for few
_MOST_BESIDE = 1.0  # seconds, however many prompts wait for one who decodes
_LEAST = 32  # rows, with fewer of which a prompt takes longer as a whole
_MEMORY = 0.8  # of what a row takes, when another forward is seen


class Pace:
    """How many rows a forward may have while somebody waits for every single token: a prompt is then read in chunks
    (Sarathi-Serve, section 4.2, with a time for its token budget). Small ones keep those waiting whose prompts are
    read, as the whole then takes longer; so a chunk may take the longer, the more of these there are."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._seconds = 0.0  # of a row among many

    def rows(self, decoding: int, prefilling: int) -> int:
        """With so many who decode, and so many prompts that are read."""
        if not decoding:
            return self._most
        seconds = min(_MOST_BESIDE, _BESIDE * (1 + prefilling / decoding))
        wanted = int(seconds / self._seconds) if self._seconds else _LEAST
        return min(self._most, max(_LEAST, wanted))

    def seen(self, rows: int, seconds: float) -> None:
        """A forward of so many rows took so long."""
        if rows >= min(_LEAST, self._most):
            before = self._seconds or seconds / rows
            self._seconds = _MEMORY * before + (1 - _MEMORY) * seconds / rows


def next_rows(queue: Sequence[S], rows: int) -> list[tuple[S, int]]:
    """(stream, how many of its pending rows) for one forward of at most `rows` rows.

    Streams that decode come first, in the queue's order, then those that prefill, the shortest first by what is left of
    them: so the first tokens come soonest on the average, and prompts of one length one after another, each while the
    cache is as short as it can be. A prompt counts as shorter by what was put before it, so that it waits for none that
    comes once as many rows were read as it has itself. Only the last one can get less than all its pending rows. Nobody
    starves as long as there are at most `rows` streams.
    """
    decoding = [stream for stream in queue if stream.decoding]
    prefilling = [stream for stream in queue if not stream.decoding]
    prefilling.sort(key=lambda stream: stream.pending - stream.passed)
    shares: list[tuple[S, int]] = []
    for stream in (*decoding, *prefilling):
        if rows:
            taken = min(stream.pending, rows)
            shares.append((stream, taken))
            rows -= taken
    return shares


def passed_over(queue: Sequence[S], shares: Sequence[tuple[S, int]]) -> list[tuple[S, int]]:
    """(stream, how many more rows are put before its prompt) for those whose prompt is not all among `shares`."""
    given = {id(stream): taken for stream, taken in shares if not stream.decoding}
    before = sum(given.values())
    waiting = [stream for stream in queue if not stream.decoding and given.get(id(stream), 0) < stream.pending]
    return [(stream, before - given.get(id(stream), 0)) for stream in waiting]
