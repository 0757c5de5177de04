"""What drafting is worth in memory: the curve of generation memory against speed-up, and the place on it. Pure.

A budget of nodes takes memory whether it is used or not, and makes a text faster by as many tokens as stand in a step,
as far as more rows cost less than more steps. How many stand depends on the text: one that repeats itself is copied,
and nearly all of it stands; of others fewer do. A draft is as long as pays, up to the budget, so a larger budget is
never slower, and after a few nodes hardly faster. The smallest one that still has most of the speed-up on both kinds of
text is chosen (SpecMemo, arXiv 2506.01986).
"""

import heapq
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate

from ..units import Bytes

BUDGETS = (1, 2, 3, 5, 7, 11, 15, 23, 31)  # nodes: those and the row they hang on are what is timed, or between
LEAVES = (1, 2, 4, 8)
ENOUGH = 0.96  # of the best speed-up
WORTH = 1.02  # a speed-up below it is none: see drafting/control.py
COPIED, OTHERS, MODEL = 0.95, 0.45, 0.7  # shares that stand, where nothing was seen
_RANKS = (0.15, 0.08, 0.05, 0.035, 0.025, 0.02, 0.015)  # of candidates after the first, where that has OTHERS
BRANCH_SECONDS = 1e-7  # for a position, to give it to one leaf more and take it back (llama.cpp, seen on 2 cores)


@dataclass(frozen=True, slots=True)
class Shares:
    """Of guesses that stand where the one above them does."""

    copied: float = COPIED  # out of a text that repeats itself
    others: float = OTHERS
    model: float = MODEL
    seen: bool = False  # whether they rest on what was seen

    @classmethod
    def of(cls, seen: Mapping[str, float]) -> "Shares":
        """By drafter, as far as they were seen. The next text may be another: that one may repeat itself is expected
        whatever was seen, and of the others half of what is expected is what was seen."""
        quick = max((seen[name] for name in ("ngrams", "recycling") if name in seen), default=OTHERS)
        model = seen.get("model", MODEL)
        return cls(max(COPIED, seen.get("copying", 0.0)), (OTHERS + quick) / 2, (MODEL + model) / 2, seen=bool(seen))

    def __str__(self) -> str:
        rests_on = "by what was seen here" if self.seen else "assumed"
        return f"{self.copied:.2f} of copies and {self.others:.2f} of other guesses stand, {rests_on}"


@dataclass(frozen=True, slots=True)
class Pace:
    """What steps take, in seconds."""

    rows: Callable[[int], float]  # one forward of so many rows
    branch: float = 0.0  # every leaf of a tree beyond its first
    model: float = 0.0  # a node that the draft model guesses

    @property
    def can_pay(self) -> bool:
        """Whether any draft would, if all of it stood."""
        return self.speed_up([(n + 1.0, 1) for n in range(BUDGETS[-1] + 1)]) >= WORTH

    def speed_up(self, expected: Sequence[tuple[float, int]], node: float = 0.0) -> float:
        """Of the best draft of up to so many nodes; at least 1. `expected`: by the number of nodes, from 0, tokens of a
        step and leaves; `node`: what it takes to guess one."""
        plain = self.rows(1)
        return max(
            tokens * plain / (self.rows(1 + n) + n * node + max(0, leaves - 1) * self.branch)
            for n, (tokens, leaves) in enumerate(expected)
        )


@dataclass(frozen=True, slots=True)
class Point:
    """One budget."""

    nodes: int
    leaves: int
    model: bool  # whether a draft model guesses, too
    memory: Bytes  # beside what plain decoding takes, in all tiers
    repeating: float  # speed-up against plain decoding, where text repeats itself
    other: float  # elsewhere
    fits: bool

    @property
    def speed_up(self) -> float:
        """Where half of the tokens are of each kind."""
        return 2 / (1 / self.repeating + 1 / self.other)


def expected_tokens(share: float, nodes: int, leaves: int = 1) -> list[tuple[float, int]]:
    """(tokens of a step, leaves) of the best tree of each number of nodes from 0 on: a node's first candidate stands
    with this share, the others share what is left as they usually do."""
    left = [rank * (1 - share) / (1 - OTHERS) for rank in _RANKS]
    shares = sorted((share, *left), reverse=True)
    heap = [(-shares[0], 0, 1.0)]  # of every node that may come next: -worth, its rank, the worth of the one above
    found = [(1.0, 0)]
    while heap and len(found) <= nodes:
        worth, rank, above = heapq.heappop(heap)
        tokens, opened = found[-1]
        opens = rank > 0 or not opened
        if opens and opened == leaves:
            continue
        found.append((tokens - worth, opened + opens))
        heapq.heappush(heap, (worth * shares[0], 0, -worth))
        if rank + 1 < len(shares):
            heapq.heappush(heap, (-above * shares[rank + 1], rank + 1, above))
    return found


def chain_tokens(share: float, nodes: int) -> list[tuple[float, int]]:
    """The same of chains."""
    return [(tokens, 1) for tokens in accumulate(share**n for n in range(nodes + 1))]


def speed_ups(pace: Pace, shares: Shares, nodes: int, leaves: int, model: bool) -> tuple[float, float]:
    """(where text repeats itself, elsewhere) of a budget."""
    repeating = pace.speed_up(chain_tokens(shares.copied, nodes))
    other = pace.speed_up(expected_tokens(shares.others, nodes, leaves))
    if not model:
        return repeating, other
    guessed = pace.speed_up(expected_tokens(shares.model, nodes, leaves), pace.model)
    return max(repeating, guessed), max(other, guessed)


def best_leaves(pace: Pace, shares: Shares, model: bool) -> int:
    """The fewest with which the largest tree is nearly as fast as with many."""
    gains = {leaves: speed_ups(pace, shares, BUDGETS[-1], leaves, model)[1] for leaves in LEAVES}
    return next(leaves for leaves, gain in gains.items() if gain >= ENOUGH * max(gains.values()))


def choose(points: Sequence[Point], timed: bool = True) -> Point | None:
    """Of those that fit the smallest budget that keeps enough of the best speed-up of each kind of text; with a draft
    model where that is faster, if need be with fewer nodes. None where nothing fits, or is worth it. `timed`: whether
    it is known what that many rows take; otherwise as many are taken as fit, so that they can be timed."""
    models = (False, True) if model_pays(points) else (False,)
    families = [[point for point in points if point.fits and point.model is model] for model in models]
    found = [_smallest(family) if timed else family[-1] if family else None for family in families]
    return max(filter(None, found), key=lambda point: point.speed_up, default=None)


def _smallest(fitting: Sequence[Point]) -> Point | None:
    repeating, other = (max((getattr(p, kind) for p in fitting), default=1.0) for kind in ("repeating", "other"))
    if max(repeating, other) < WORTH:
        return None
    enough = (p for p in fitting if p.repeating >= ENOUGH * repeating and p.other >= ENOUGH * other)
    return min(enough, key=lambda point: point.nodes)


def model_pays(points: Sequence[Point]) -> bool:
    """Whether the draft model makes the largest tree faster."""
    with_it, without = (max((p.speed_up for p in points if p.model is model), default=1.0) for model in (True, False))
    return with_it >= WORTH * without
