"""Draft trees in llama.cpp's cache.

A cell of the cache carries sequence numbers, and a row sees the cells that carry its own up to its position. So every
leaf of a tree needs a number, here a *branch*, that stands on all cells from the root to it. A node that continues the
last node of a branch joins it; a second child opens a branch: its ancestors in the cache get the new number by a copy,
its ancestors in the same batch by carrying it as well.
"""

from typing import NamedTuple, Protocol

END = -1  # as the end of a range of positions


class Memory(Protocol):
    """The cache: which cells carry which number."""

    def remove(self, number: int, first: int = 0, end: int = END) -> None: ...

    def copy(self, source: int, target: int, first: int, end: int) -> None: ...


class Place(NamedTuple):
    position: int
    branch: int
    sharing: list[int]  # nodes of the same batch that carry the branch too


class Tree:
    """The uncommitted nodes of one sequence."""

    def __init__(self, memory: Memory, free: list[int], main: int, length: int, count: int) -> None:
        """`main` is the sequence's own number, `length` its committed positions, `count` its nodes: so far a chain.
        `free` are the numbers that no sequence uses; a tree takes some and gives them back."""
        self._memory, self._free, self._main, self._length = memory, free, main, length
        self.parents = list(range(-1, count - 1))
        self._positions = list(range(length, length + count))
        self._branches = [main] * count  # of each node, the one it was placed in
        self._tips = {main: count - 1}  # of each branch, its last node

    def grow(self, parent: int, batch: int) -> Place | None:
        """Adds a node; `batch` is the first node of this batch. None where every number is taken."""
        position = self._position(parent) + 1
        branch = self._branch(parent)
        sharing: list[int] = []
        if self._tips[branch] != parent:
            if not self._free:
                return None
            branch = self._free.pop()
            above = parent
            while above >= batch:
                sharing.append(above)
                above = self.parents[above]
            self._memory.copy(self._branch(above), branch, 0, self._position(above) + 1)
        self._tips[branch] = len(self.parents)
        self.parents.append(parent)
        self._positions.append(position)
        self._branches.append(branch)
        return Place(position, branch, sharing)

    def cut(self, count: int) -> None:
        """Takes back all nodes but the first `count`."""
        del self.parents[count:], self._positions[count:], self._branches[count:]
        last = {self._main: -1} | {branch: node for node, branch in enumerate(self._branches)}
        for branch in self._tips.keys() - last.keys():
            self._give_back(branch)
        for branch, node in last.items():
            self._memory.remove(branch, self._position(node) + 1)
        self._tips = last

    def end(self, nodes: list[int]) -> None:
        """The path `nodes` becomes part of the sequence; everything else goes."""
        first, end = self._length, self._length + len(nodes)
        branch = self._branch(nodes[-1]) if nodes else self._main
        if branch == self._main:
            self._memory.remove(self._main, end)
        else:
            self._memory.remove(self._main, first)
            self._memory.copy(branch, self._main, first, end)
        for other in self._tips.keys() - {self._main}:
            self._give_back(other)

    def _give_back(self, branch: int) -> None:
        self._memory.remove(branch)
        self._free.append(branch)

    def _position(self, node: int) -> int:
        return self._positions[node] if node >= 0 else self._length - 1

    def _branch(self, node: int) -> int:
        return self._branches[node] if node >= 0 else self._main
