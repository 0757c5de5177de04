"""Which guesses are worth verifying: the most valuable tree within a budget of nodes (DySpec, arXiv 2410.11744).

A node's value is how probable the drafter finds its whole path: the product of its probabilities. No child is worth
more than its parent, nor more than a sibling of greater probability, so taking the candidate of greatest value again
and again gives the tree of the greatest sum, and a smaller budget's tree is part of a larger one's. Every node that
has siblings adds a leaf; once there are as many leaves as allowed, only nodes without siblings are taken.

A drafter must be asked before a node's children can be compared. `wanted` says for which nodes that could still change
the tree: whether they are asked one by one or all at once, which is a layer of the tree, the tree is the same.
"""

import heapq
from collections.abc import Callable, Sequence

import numpy as np

from .draft import Draft

ROOT = -1  # the last token that stands
_Key = tuple[float, int, tuple[int, ...]]  # (-value, depth, the rank among siblings of every node on the path): no two


class _Node:
    __slots__ = ("children", "key", "parent", "probability", "token")

    def __init__(self, token: int, parent: int, probability: float, key: _Key) -> None:
        self.token, self.parent, self.probability, self.key = token, parent, probability, key
        self.children: list[int] | None = None  # most probable first; None while the drafter was not asked


class Growth:
    """A tree that grows as a drafter is asked. Nodes are numbered as they become known."""

    def __init__(self, budget: int, leaves: int, least: float = 0.0) -> None:
        """At most so many nodes, and so many leaves; nodes of less than the least value are left out."""
        self._budget, self._leaves, self._least = budget, leaves, least
        self._root = _Node(-1, ROOT, 1.0, (-1.0, 0, ()))
        self._nodes: list[_Node] = []
        self._chosen: list[int] = []  # best first

    def wanted(self) -> list[int]:
        """Nodes whose children could still be part of the tree, best first; `ROOT` alone at the beginning."""
        if self._budget <= 0 or self._leaves <= 0:
            return []
        if self._root.children is None:
            return [ROOT]
        nodes, chosen = self._nodes, self._chosen
        full = len(chosen) == self._budget
        last = nodes[chosen[-1]].key if full else None
        return [
            n for n in chosen if nodes[n].children is None and (last is None or _child_key(nodes[n], 0, 1.0) < last)
        ]

    def learn(self, node: int, tokens: Sequence[int] | np.ndarray, probabilities: Sequence[float] | np.ndarray) -> None:
        """What may follow a node: no token twice, each with its probability. No more is needed of it than the most
        probable ones, as many as there may be leaves."""
        known = np.asarray(probabilities, float)
        order = np.lexsort((np.asarray(tokens), -known))[: min(self._budget, self._leaves)].tolist()
        above = self._root if node == ROOT else self._nodes[node]
        above.children = []
        for rank, place in enumerate(order):
            probability = min(float(known[place]), 1.0)
            key = _child_key(above, rank, probability)
            if probability <= 0 or -key[0] < self._least:
                break
            above.children.append(len(self._nodes))
            self._nodes.append(_Node(int(tokens[place]), node, probability, key))
        self._chosen = self._choose()

    def path(self, node: int) -> tuple[int, ...]:
        """The tokens from the root to a node; none for `ROOT`."""
        tokens: list[int] = []
        while node != ROOT:
            tokens.append(self._nodes[node].token)
            node = self._nodes[node].parent
        return tuple(reversed(tokens))

    def token(self, node: int) -> int:
        return self._nodes[node].token

    def parent(self, node: int) -> int:
        return self._nodes[node].parent

    def draft(self) -> Draft:
        """The tree of what is known, most valuable node first."""
        nodes, places = [self._nodes[n] for n in self._chosen], {n: i for i, n in enumerate(self._chosen)}
        return Draft(
            tuple(node.token for node in nodes),
            tuple(places.get(node.parent, ROOT) for node in nodes),
            tuple(node.probability for node in nodes),
        )

    def _choose(self) -> list[int]:
        nodes, chosen, leaves = self._nodes, list[int](), 0
        heap: list[tuple[_Key, int, int]] = []  # of every node known or chosen, its next child

        def offer(parent: _Node, rank: int) -> None:
            if parent.children and rank < len(parent.children):
                heapq.heappush(heap, (nodes[parent.children[rank]].key, parent.children[rank], rank))

        offer(self._root, 0)
        while heap and len(chosen) < self._budget:
            _, number, rank = heapq.heappop(heap)
            node = nodes[number]
            parent = self._root if node.parent == ROOT else nodes[node.parent]
            if rank or parent is self._root:
                if leaves == self._leaves:
                    continue  # nor do its siblings find room from now on
                leaves += 1
            chosen.append(number)
            offer(node, 0)
            offer(parent, rank + 1)
        return chosen


def expand(
    laws_of: Callable[[list[tuple[int, ...]]], Sequence[np.ndarray]],
    budget: int,
    leaves: int,
    least: float = 0.0,
    at_once: int | None = None,
) -> Draft:
    """The best tree by a drafter that, for paths of tokens, gives the probabilities of what follows each: one array of
    shape (vocabulary,) for each path. `at_once`: how many paths it is asked at most; None: a whole layer."""
    growth = Growth(budget, leaves, least)
    while nodes := growth.wanted()[:at_once]:
        for node, law in zip(nodes, laws_of([growth.path(node) for node in nodes]), strict=True):
            tokens = largest(law, min(budget, leaves))
            growth.learn(node, tokens, law[tokens])
    return growth.draft()


def largest(values: np.ndarray, k: int) -> np.ndarray:
    """The places of the k greatest, greatest first, of equals the lowest place first."""
    if not 0 < k < len(values):
        return (-values).argsort(kind="stable")[: max(k, 0)]
    bound = np.partition(values, len(values) - k)[len(values) - k]
    near = np.flatnonzero(values >= bound)
    return near[(-values[near]).argsort(kind="stable")[:k]]


def _child_key(above: _Node, rank: int, probability: float) -> _Key:
    return above.key[0] * probability, above.key[1] + 1, (*above.key[2], rank)
