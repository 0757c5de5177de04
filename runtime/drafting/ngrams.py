"""n-grams learned across sessions: which tokens followed the last two to four tokens, in whatever was said here.

A table of fixed size maps a hash of such a context to its three commonest next tokens, with counts. Who comes to a
place that is taken halves the counts there, and takes it once nothing stands above 1: what is said often stays, what
was said once goes. 5 MB in memory and on disk.
"""

from array import array
from bisect import bisect_right
from collections import deque
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from .confidence import Odds
from .draft import Context, Draft
from .immediate import DOUBT, Guess, Immediate
from .kept import load_kept, save_kept

_ORDERS = (4, 3, 2)  # tokens of a context, the best first
_PLACES = 2**18  # contexts
_KEPT = 3  # next tokens of one
_MOST = 255  # that is counted
_PROMPT = 8192  # tokens of a prompt that are learned, the last ones
_TEXTS = 32  # of which it is known that they were learned
_BITS = 21  # of a token
_PRIME = 2**61 - 1
_FACTOR = 0x1B873593CC9E2D51
_MASKS = {order: 2 ** (_BITS * order) - 1 for order in _ORDERS}
_COUNTS = (1, 2, 4, 8)  # a kind for each at least so many, of each order, unanimous or not
_LEVELS = [max(0, bisect_right(_COUNTS, count) - 1) for count in range(_MOST + 1)]  # of a count among these
_NAME = "ngrams"


class Ngrams(Immediate):
    """Chains. It learns from texts as they grow, prompts and answers alike, and from no guess. All texts share what is
    learned; a conversation that comes again with a longer prompt is learned on from where it was."""

    def __init__(self, vocabulary: int, doubt: float = DOUBT) -> None:
        super().__init__(Odds(_assumed()), doubt)
        self._vocabulary = vocabulary
        self._marks = array("I", [0]) * _PLACES  # which context has a place
        self._tokens = array("i", [0]) * (_PLACES * _KEPT)  # the commonest first, of equals the latest
        self._counts = array("B", [0]) * (_PLACES * _KEPT)  # 0: none
        self._texts: dict[int, tuple[Context, int]] = {}  # and how many of its tokens were learned
        self._learned: deque[tuple[int, int]] = deque(maxlen=_TEXTS)  # lengths and hashes of texts that are over

    def guess(self, context: Context, limit: int) -> Guess:
        self._read(context)
        return self._chain(context.tokens[-_ORDERS[0] :], limit)

    def forget(self, number: int) -> None:
        if number in self._texts:
            context, _ = self._texts[number]
            self._read(context)
            self._learned.append((len(context.tokens), hash(tuple(context.tokens))))
            del self._texts[number]

    def load(self, folder: Path, model: str) -> bool:
        """Takes up what `save` left there for the model of this fingerprint; whether that was there and sound."""
        sizes = [4 * _PLACES, 4 * _PLACES * _KEPT, _PLACES * _KEPT]
        payload = load_kept(folder, _NAME, model, sum(sizes))
        if payload is None:
            return False
        marks = np.frombuffer(payload, "<u4", _PLACES)
        tokens = np.frombuffer(payload, "<i4", _PLACES * _KEPT, sizes[0])
        if tokens.min() < 0 or tokens.max() >= self._vocabulary:
            return False
        np.asarray(self._marks)[:], np.asarray(self._tokens)[:] = marks, tokens
        np.asarray(self._counts)[:] = np.frombuffer(payload, np.uint8, offset=sizes[0] + sizes[1])
        return True

    def save(self, folder: Path, model: str) -> None:
        """Raises DiskFull, AccelError; what was there stays then."""
        marks, tokens = np.asarray(self._marks, "<u4"), np.asarray(self._tokens, "<i4")
        save_kept(folder, _NAME, model, marks.data, tokens.data, memoryview(self._counts))

    def _read(self, context: Context) -> None:
        """Learns what a text has more than the last time."""
        tokens = context.tokens
        _, known = self._texts.get(context.number) or (context, self._known(context))
        run = _run(tokens[max(0, known - _ORDERS[0]) : known])
        for at in range(known, len(tokens)):
            token = tokens[at]
            for order in _ORDERS:
                if at >= order:
                    self._learn(*_place(run, order), token)
            run = (run << _BITS | token) & _MASKS[_ORDERS[0]]
        self._texts[context.number] = context, len(tokens)

    def _known(self, context: Context) -> int:
        """How many tokens of a new text need not be learned."""
        known = max(0, context.prompt - _PROMPT)
        for length, digest in self._learned:
            if known < length <= context.prompt and hash(tuple(context.tokens[:length])) == digest:
                known = length
        return known

    def _learn(self, place: int, mark: int, token: int) -> None:
        tokens, counts, first = self._tokens, self._counts, place * _KEPT
        if self._marks[place] != mark:
            if counts[first] > 1:
                self._age(first)
                return
            self._marks[place] = mark
            counts[first : first + _KEPT] = _EMPTY
        at = first
        while at < first + _KEPT - 1 and counts[at] and tokens[at] != token:
            at += 1
        if counts[at] and tokens[at] != token:  # it is none of them: the rarest yields
            counts[at] -= 1
            if counts[at]:
                return
        if counts[at] == _MOST:
            self._age(first)
        tokens[at] = token
        counts[at] += 1
        while at > first and counts[at] >= counts[at - 1]:
            tokens[at], tokens[at - 1] = tokens[at - 1], tokens[at]
            counts[at], counts[at - 1] = counts[at - 1], counts[at]
            at -= 1

    def _age(self, first: int) -> None:
        for at in range(first, first + _KEPT):
            self._counts[at] >>= 1

    def _chain(self, tail: Sequence[int], limit: int) -> Guess:
        """Goes on from the last tokens of a text, four of them or all there are."""
        run, there = _run(tail), len(tail)
        tokens, kinds = list[int](), list[int]()
        while len(tokens) < limit and (found := self._likeliest(run, there + len(tokens))):
            tokens.append(found[0])
            kinds.append(found[1])
            run = (run << _BITS | found[0]) & _MASKS[_ORDERS[0]]
        return Guess(Draft.chain(tokens, [self.odds.of(kind) for kind in kinds]), tuple(kinds))

    def _likeliest(self, run: int, there: int) -> tuple[int, int] | None:
        """The commonest token after the longest context that is known, and its kind; `there` tokens stand before it."""
        for order in _ORDERS:
            if there >= order:
                place, mark = _place(run, order)
                first = place * _KEPT
                if self._marks[place] == mark and (count := self._counts[first]):
                    return self._tokens[first], _kind(order, count, not self._counts[first + 1])
        return None


_EMPTY = array("B", bytes(_KEPT))


def _run(tokens: Sequence[int]) -> int:
    """The last tokens of a text as one number."""
    run = 0
    for token in tokens:
        run = run << _BITS | token
    return run


def _place(run: int, order: int) -> tuple[int, int]:
    """Of the context of so many tokens at the end of a run: in the table, and the mark that tells it from others."""
    mask = _MASKS[order]
    mixed = (run & mask | mask + 1) * _FACTOR % _PRIME  # contexts of different lengths differ
    return mixed % _PLACES, mixed >> 29


def _kind(order: int, count: int, unanimous: bool) -> int:
    return ((order - _ORDERS[-1]) * len(_COUNTS) + _LEVELS[count]) * 2 + unanimous


def _assumed() -> list[float]:
    found = [0.0] * (2 * len(_ORDERS) * len(_COUNTS))
    for order in _ORDERS:
        for count in _COUNTS:
            for unanimous in (False, True):
                share = count / (count + 1) if unanimous else 0.5
                found[_kind(order, count, unanimous)] = share * (0.7 + 0.05 * order)
    return found
