"""Guesses of what comes next, and who makes them: the records and the protocol that all of `drafting/` shares."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from ...errors import EngineError
from ..engines.base import Rows
from ..sampling import Sampler


@dataclass(frozen=True, slots=True)
class Draft:
    """A tree of guessed tokens, in topological order: node i hangs on node `parents[i]`, which comes before it, or
    with -1 on the last token that stands. Siblings differ. `probabilities` are the drafter's own, each of its token
    after the path above it; None where it has none."""

    tokens: tuple[int, ...] = ()
    parents: tuple[int, ...] = ()
    probabilities: tuple[float, ...] | None = None

    @classmethod
    def chain(cls, tokens: Sequence[int], probabilities: Sequence[float] | None = None) -> "Draft":
        given = None if probabilities is None else tuple(probabilities)
        return cls(tuple(tokens), tuple(range(-1, len(tokens) - 1)), given)

    def __len__(self) -> int:
        return len(self.tokens)

    @property
    def leaves(self) -> int:
        return len(self.tokens) - len({*self.parents} - {-1})

    def part(self, nodes: Sequence[int]) -> "Draft":
        """What is left of it with these nodes, ascending, each with the one above it."""
        place = {-1: -1} | {node: number for number, node in enumerate(nodes)}
        return Draft(
            tuple(self.tokens[node] for node in nodes),
            tuple(place[self.parents[node]] for node in nodes),
            self.probabilities and tuple(self.probabilities[node] for node in nodes),
        )

    def children(self) -> list[dict[int, int]]:
        """Of the last token that stands (first) and of every node: the child that guesses a token. Raises EngineError
        where this is no tree."""
        found: list[dict[int, int]] = [{} for _ in range(len(self.tokens) + 1)]
        for node, (token, parent) in enumerate(zip(self.tokens, self.parents, strict=True)):
            if not -1 <= parent < node or token in found[parent + 1]:
                raise EngineError("a draft is no tree of different guesses", "switch drafting off")
            found[parent + 1][token] = node
        return found


NOTHING = Draft()


@dataclass(frozen=True, slots=True)
class Context:
    """What is drafted for: a text so far, of which the last token has not been forwarded. `tokens` grows as the text
    does; `prompt` of them were given, not chosen. `sampler` is the law that chooses next: whoever draws with it forks
    it first."""

    number: int  # of the text; used again for another one after `forget`
    tokens: Sequence[int]
    prompt: int
    sampler: Sampler


@dataclass(frozen=True, slots=True)
class Verdict:
    """What became of a draft: the nodes that stand, root first, and the target's own token after them. The logits after
    the last token that stood before are in row `row` of the forward, those after node i in row `row + 1 + i`."""

    draft: Draft
    path: tuple[int, ...]
    next_token: int
    row: int

    @property
    def tokens(self) -> tuple[int, ...]:
        """All that stand now, in the place of the draft."""
        return (*(self.draft.tokens[node] for node in self.path), self.next_token)


class Drafter(Protocol):
    """Guesses what the target will choose. One thread calls it."""

    def start(self, contexts: Sequence[Context], limits: Sequence[int]) -> None:
        """Begins to draft for these texts, of so many nodes each at most. Returns at once."""
        ...

    def take(self, deadline: float | None = None) -> list[Draft]:
        """What was begun, in that order; what is not ready at `deadline` (of time.monotonic) may be empty."""
        ...

    def observe(self, verdicts: Sequence[Verdict], rows: Rows) -> None:
        """What became of the drafts just taken, in that order, before the engine's next forward. A verdict's draft may
        be less than was guessed, or nothing: the tokens that stand tell of the rest."""
        ...

    def forget(self, number: int) -> None:
        """A text is over, or not to be drafted for any longer."""
        ...
