"""Token Recycling (arXiv 2408.08696): the candidates that the target weighed after a token are guesses for the next
time it stands there.

A matrix holds the likeliest next tokens of every token, as the last row of logits after it had them: rows of guesses
that fell count too, so that nothing the target computed is lost. A draft is a tree of them. Its shape says which
ranks it tries at which depth; it is grown from how often each rank at each depth stood, the likeliest paths first.
"""

import heapq
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ...errors import EngineError
from ..engines.base import Rows
from ..sampling import Largest
from .confidence import Odds
from .draft import Context, Draft, Verdict
from .immediate import Guess, Immediate
from .kept import load_kept, save_kept

_LARGEST = 8_000_000  # bytes of a matrix
_RANKS = 8  # candidates of a token at most; a chain has use for one
_DEPTHS = 8  # that are told apart
_SPARE = 2  # times the nodes that are wanted: some have no candidate
_STEADY = 16  # verdicts for which a shape is kept
_ASSUMED = (0.45, 0.15, 0.08, 0.05, 0.035, 0.025, 0.02, 0.015)  # that the candidate of a rank stands
_PARTS = 64  # that a matrix is looked through in, to take little memory
_NAME = "recycling"


@dataclass(frozen=True, slots=True)
class _Place:
    """A node of a shape."""

    parent: int
    rank: int
    kind: int
    share: float  # of its rank, if its parent stands


class Recycling(Immediate):
    """`vocabulary`: how many tokens there are. `leaves`: of each tree at most; 1 makes it a chain. All texts share what
    is learned."""

    def __init__(self, vocabulary: int, leaves: int, doubt: float = 1.0) -> None:
        self._most = max(1, min(_RANKS, vocabulary, _LARGEST // (4 * vocabulary)))
        self._ranks = self._most if leaves > 1 else 1
        super().__init__(Odds(_ASSUMED[: self._ranks] * _DEPTHS), doubt)
        self._leaves = leaves
        self._next = np.full((vocabulary, self._ranks), -1, np.int32)  # likeliest first; -1: none
        self._largest = Largest(vocabulary, self._ranks)
        self._levels = self._ranked()
        self._shape: list[_Place] = []  # of the largest draft that was asked for since the levels were looked at
        self._judged = 0

    def guess(self, context: Context, limit: int) -> Guess:
        return self._tree(context.tokens[-1], limit)

    def observe(self, verdicts: Sequence[Verdict], rows: Rows) -> None:
        super().observe(verdicts, rows)
        self._judged += len(verdicts)
        if self._judged >= _STEADY:
            self._judged = 0
            self._levels, self._shape = self._ranked(), []
        for (root, _), verdict in zip(self._begun, verdicts, strict=True):
            self.witness(root, verdict, rows)

    def witness(self, root: int, verdict: Verdict, rows: Rows) -> None:
        """See `Witness`. Rows that nobody asked for, or that hold no numbers, teach nothing."""
        for row, token in enumerate((root, *verdict.draft.tokens), verdict.row):
            try:
                found, _ = self._largest(rows.row(row))
            except (IndexError, EngineError):
                continue
            self._next[token, : len(found)] = found
            self._next[token, len(found) :] = -1

    def forget(self, number: int) -> None:
        """Nothing is kept of one text alone."""

    def load(self, folder: Path, model: str) -> bool:
        """Takes up what `save` left there for the model of this fingerprint, of chains or of trees; whether that was
        there and sound."""
        size = len(self._next)
        for ranks in dict.fromkeys((self._ranks, 1, self._most)):
            payload = load_kept(folder, _NAME, model, 4 * size * ranks)
            if payload is None:
                continue
            found = np.frombuffer(payload, "<i4").reshape(size, ranks)
            if found.min() < -1 or found.max() >= size or any(map(_repeats, np.array_split(found, _PARTS))):
                return False
            shared = min(ranks, self._ranks)
            self._next[:, :shared] = found[:, :shared]
            return True
        return False

    def save(self, folder: Path, model: str) -> None:
        """Raises DiskFull, AccelError; what was there stays then."""
        save_kept(folder, _NAME, model, np.asarray(self._next, "<i4").data)

    def _tree(self, root: int, limit: int) -> Guess:
        if len(self._shape) < _SPARE * limit:
            self._shape = self._grow(_SPARE * limit)
        numbers, rows = {-1: -1}, {-1: self._next[root].tolist()}  # of the shape's nodes that have a candidate
        nodes: list[_Place] = []
        tokens: list[int] = []
        for number, node in enumerate(self._shape[: _SPARE * limit]):
            if node.parent not in numbers:
                continue
            if node.parent not in rows:
                rows[node.parent] = self._next[tokens[numbers[node.parent]]].tolist()
            token = rows[node.parent][node.rank]
            if token < 0:
                continue
            numbers[number] = len(nodes)
            nodes.append(node)
            tokens.append(token)
            if len(nodes) == limit:
                break
        parents = tuple(numbers[node.parent] for node in nodes)
        draft = Draft(tuple(tokens), parents, tuple(node.share for node in nodes))
        return Guess(draft, tuple(node.kind for node in nodes))

    def _grow(self, size: int) -> list[_Place]:
        """The likeliest paths of ranks, as far as `leaves` lets them branch, likeliest first."""
        ranks = self._levels
        shape: list[_Place] = []
        branched = {-1: False}  # of every node: whether it has a child
        leaves = 0
        heap = [(-1.0 * ranks[0][0][0], 0, -1, 0, 0, 1.0)]  # worth, to break ties, parent, place of rank, depth, above
        pushed = 1
        while heap and len(shape) < size:
            worth, _, parent, place, depth, above = heapq.heappop(heap)
            adds = branched[parent] or parent < 0
            if adds and leaves == self._leaves:
                continue
            leaves += adds
            branched[parent] = True
            level = ranks[min(depth, _DEPTHS - 1)]
            share, rank = level[place]
            shape.append(_Place(parent, rank, min(depth, _DEPTHS - 1) * self._ranks + rank, share))
            number = len(shape) - 1
            branched[number] = False
            below = ranks[min(depth + 1, _DEPTHS - 1)]
            heapq.heappush(heap, (worth * below[0][0], pushed, number, 0, depth + 1, -worth))
            pushed += 1
            if place + 1 < len(level):
                heapq.heappush(heap, (-above * level[place + 1][0], pushed, parent, place + 1, depth, above))
                pushed += 1
        return shape

    def _ranked(self) -> list[list[tuple[float, int]]]:
        """For every depth: (share that stands, rank) of the candidates, likeliest first."""
        n = self._ranks
        shares = [[(self.odds.of(depth * n + rank), rank) for rank in range(n)] for depth in range(_DEPTHS)]
        return [sorted(level, key=lambda at: (-at[0], at[1])) for level in shares]


def _repeats(rows: np.ndarray) -> bool:
    """Whether some row holds a token twice."""
    ordered = np.sort(rows, axis=1)
    return bool(((ordered[:, 1:] == ordered[:, :-1]) & (ordered[:, 1:] >= 0)).any())
