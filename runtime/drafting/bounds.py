"""What of the drafts of one step there is room for: in rows, and in branches of the engine's cache. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass

from .draft import Draft

_ANY = 2**31


@dataclass(frozen=True, slots=True)
class Bounds:
    """Of all texts together: `nodes` of their drafts, and `branches`, which are leaves beyond the first of each."""

    nodes: int = _ANY
    branches: int = _ANY

    def hold(self, drafts: Sequence[Draft]) -> bool:
        """Whether there is room for all of them."""
        if sum(map(len, drafts)) > self.nodes:
            return False
        return sum(draft.leaves - 1 for draft in drafts if draft) <= self.branches

    def within(self, drafts: Sequence[Draft], values: Sequence[Sequence[float]]) -> list[list[int]]:
        """The nodes of each that stay, ascending: of all drafts those of most value, never one without those above it,
        than which it counts no more. Of equals the first stay. Whoever takes the last ones away has room as well."""
        worth = [_below_parents(draft, each) for draft, each in zip(drafts, values, strict=True)]
        order = sorted((-value, text, node) for text, each in enumerate(worth) for node, value in enumerate(each))
        kept: list[list[int]] = [[] for _ in drafts]
        branched: list[set[int]] = [set() for _ in drafts]  # nodes of each that have a child
        standing: list[set[int]] = [{-1} for _ in drafts]
        count = branches = 0
        for _, text, node in order:
            parent = drafts[text].parents[node]
            opens = parent in branched[text]
            if count == self.nodes or parent not in standing[text] or (opens and branches == self.branches):
                continue
            kept[text].append(node)
            standing[text].add(node)
            branched[text].add(parent)
            count += 1
            branches += opens
        return [sorted(nodes) for nodes in kept]


def _below_parents(draft: Draft, values: Sequence[float]) -> list[float]:
    worth: list[float] = []
    for value, parent in zip(values, draft.parents, strict=True):
        worth.append(value if parent < 0 else min(value, worth[parent]))
    return worth
