"""How often guesses turned out right: running shares by who guessed, of what kind and how deep. Pure."""

import math
from bisect import bisect
from collections.abc import Sequence
from dataclasses import dataclass, field

_MEMORY = 0.98  # of what was seen, when one more of a kind is: about fifty count
_FADING = 0.99  # of what was seen, every time that nobody was asked to guess
_PRIOR = 4.0  # guesses that what is known of the wider class is worth
DEEPEST = 8  # depths from here on count as one
_LEVELS = (0.3, 0.5, 0.65, 0.8, 0.9, 0.95, 0.98)
KINDS = 1 + len(_LEVELS)  # that guesses are told apart by
_PLACES = [(kind, depth) for kind in range(KINDS) for depth in range(DEEPEST + 1)]
SHARES = 1 + KINDS + len(_PLACES)
_MOST = 1 / (1 - _MEMORY) + 1  # guesses that are remembered


def kind_of(probability: float) -> int:
    """Of a guess that its drafter gives this probability: those that are thought equally likely are of one kind."""
    return bisect(_LEVELS, probability)


@dataclass(slots=True)
class _Share:
    right: float = 0.0
    seen: float = 0.0

    def add(self, right: bool) -> None:
        self.right = _MEMORY * self.right + right
        self.seen = _MEMORY * self.seen + 1

    def fade(self, times: int) -> None:
        self.right *= _FADING**times
        self.seen *= _FADING**times

    def within(self, prior: float) -> float:
        return (self.right + _PRIOR * prior) / (self.seen + _PRIOR)


@dataclass(slots=True)
class Acceptance:
    """Of one drafter. A guess counts where the one above it stood; `kind` is what the drafter itself thinks of it, say
    how long the match was or how likely the token."""

    first_guess: float = 0.6  # what is thought before anything was seen
    _all: _Share = field(default_factory=_Share)
    _kinds: dict[int, _Share] = field(default_factory=dict)
    _depths: dict[tuple[int, int], _Share] = field(default_factory=dict)

    def learn(self, kind: int, depth: int, right: bool) -> None:
        """`depth`: 0 for the first guess."""
        key = kind, min(depth, DEEPEST)
        for share in (
            self._all,
            self._kinds.setdefault(kind, _Share()),
            self._depths.setdefault(key, _Share()),
        ):
            share.add(right)

    def fade(self, times: int = 1) -> None:
        """It was not asked so many times: what was seen of it grows old."""
        for share in (self._all, *self._kinds.values(), *self._depths.values()):
            share.fade(times)

    def of(self, kind: int, depth: int, hope: float = 0.0, own: float | None = None) -> float:
        """The share of such guesses that stand, where the one above them does; with `hope`, so many standard deviations
        more, as far as little is known. `own`: what the drafter itself thinks, if it says so."""
        key = kind, min(depth, DEEPEST)
        share = self._all.within(self.first_guess) if own is None else own
        seen = 0.0
        for narrower in (self._kinds.get(kind), self._depths.get(key)):
            if narrower:
                share, seen = narrower.within(share), narrower.seen
        return _hoped(share, seen, hope)

    def any(self, hope: float = 0.0) -> float:
        """Of all its guesses together."""
        return _hoped(self.overall, self._all.seen, hope)

    @property
    def seen(self) -> float:
        """How many of its guesses count, older ones for less."""
        return self._all.seen

    @property
    def overall(self) -> float:
        return self._all.within(self.first_guess)

    def table(self) -> list[float]:
        """What was seen of all, of each of the first kinds and of each of these and depth: `SHARES` pairs of numbers,
        how many were right and how many there were, as far as they are remembered."""
        shares = [self._all, *(self._kinds.get(kind) for kind in range(KINDS)), *map(self._depths.get, _PLACES)]
        return [number for share in shares for number in ((share.right, share.seen) if share else (0.0, 0.0))]

    @classmethod
    def of_table(cls, table: Sequence[float]) -> "Acceptance | None":
        """The same back; None for what no acceptance has as a table."""
        shares = [_Share(*pair) for pair in zip(table[::2], table[1::2], strict=False)]
        if len(table) != 2 * SHARES or not all(0 <= share.right <= share.seen <= _MOST for share in shares):
            return None
        kinds, depths = shares[1 : 1 + KINDS], shares[1 + KINDS :]
        return cls(
            _all=shares[0],
            _kinds={kind: share for kind, share in enumerate(kinds) if share.seen},
            _depths={place: share for place, share in zip(_PLACES, depths, strict=True) if share.seen},
        )


def _hoped(share: float, seen: float, hope: float) -> float:
    return min(1.0, share + hope * math.sqrt(share * (1 - share) / (seen + _PRIOR + 1)))
