"""Shares of rows as an engine's batch, in arrays that are made once."""

from collections.abc import Sequence

import numpy as np

from .drafting.draft import Draft
from .engines.base import Batch
from .stream import Stream


class RowBuffer:
    """`batch` is the present one, of up to so many rows; it changes with the next call."""

    def __init__(self, rows: int) -> None:
        self._tokens = np.zeros(rows, np.int32)
        self._sequences = np.zeros(rows, np.int32)
        self._parents = np.zeros(rows, np.int32)
        self._wants = np.zeros(rows, np.int32)
        self._chain = np.arange(-1, rows - 1, dtype=np.int32)
        self.batch = self._first(0)

    def fill(self, shares: Sequence[tuple[Stream, int]]) -> None:
        """A chain for every stream; logits where its last pending row is among them."""
        end = 0
        for stream, taken in shares:
            start, end = end, end + taken
            self._tokens[start:end] = stream.tokens[stream.done : stream.done + taken]
            self._parents[start:end] = self._chain[:taken]
            self._sequences[start:end] = stream.number
            self._wants[start:end] = 0
            self._wants[end - 1] = taken == stream.pending
        self.batch = self._first(end)

    def fill_drafts(self, streams: Sequence[Stream], drafts: Sequence[Draft]) -> None:
        """The one pending row of every stream and what is drafted after it; logits of all."""
        end = 0
        for stream, draft in zip(streams, drafts, strict=True):
            start, end = end, end + 1 + len(draft)
            self._tokens[start:end] = (stream.tokens[-1], *draft.tokens)
            self._parents[start:end] = (-1, *(parent + 1 for parent in draft.parents))
            self._sequences[start:end] = stream.number
        self._wants[:end] = 1
        self.batch = self._first(end)

    def next_tokens(self, shares: Sequence[tuple[Stream, int]]) -> None:
        """The same streams go on by one row each: of the batch only the tokens change."""
        for place, (stream, _) in enumerate(shares):
            self._tokens[place] = stream.tokens[-1]

    def _first(self, rows: int) -> Batch:
        return Batch(self._tokens[:rows], self._sequences[:rows], self._parents[:rows], self._wants[:rows])
