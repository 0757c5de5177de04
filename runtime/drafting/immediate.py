"""What drafters that need no model have in common: they guess at once, know on what each guess rests, and count how
often such guesses stand."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from ..engines.base import Rows
from .confidence import Odds, confident
from .draft import NOTHING, Context, Draft, Verdict

DOUBT = 0.7  # SpecDec++'s threshold


@dataclass(frozen=True, slots=True)
class Guess:
    """A draft, and of what kind each of its nodes is; more kinds than nodes where it was cut short."""

    draft: Draft = NOTHING
    kinds: tuple[int, ...] = ()


@runtime_checkable
class Follower(Protocol):
    """Who can also say what may follow another's guess."""

    def follow(self, context: Context, path: Sequence[int], limit: int) -> Draft:
        """What may come after `path` if all of it stands, of so many nodes at most."""
        ...


@runtime_checkable
class Witness(Protocol):
    """Who learns from every row, whoever guessed."""

    def witness(self, root: int, draft: Draft, row: int, rows: Rows) -> None:
        """A draft was verified: `root` is the token it hangs on, whose logits are in row `row`, those of node i in row
        `row + 1 + i`."""
        ...


class Immediate:
    """A `Drafter` around `guess`. Nodes come with the drafter's own probabilities and in the order of those of their
    paths, the likeliest first; those whose paths fail with a probability above `doubt` are left out."""

    def __init__(self, odds: Odds, doubt: float) -> None:
        self.odds = odds
        self._doubt = doubt
        self._begun: list[tuple[int, Guess]] = []  # the last token that stood, and what was guessed after it

    def guess(self, context: Context, limit: int) -> Guess:
        """Of `limit` nodes at most; `limit` is 1 at least."""
        raise NotImplementedError

    def start(self, contexts: Sequence[Context], limits: Sequence[int]) -> None:
        self._begun = [
            (context.tokens[-1], self._sure(self.guess(context, limit) if limit > 0 else Guess()))
            for context, limit in zip(contexts, limits, strict=True)
        ]

    def _sure(self, guess: Guess) -> Guess:
        return Guess(confident(guess.draft, self._doubt), guess.kinds)

    def take(self, deadline: float | None = None) -> list[Draft]:
        return [guess.draft for _, guess in self._begun]

    def observe(self, verdicts: Sequence[Verdict], rows: Rows) -> None:
        """One verdict for every draft taken, in that order."""
        for (_, guess), verdict in zip(self._begun, verdicts, strict=True):
            self.odds.judge(guess.draft, guess.kinds, chosen(guess.draft, verdict))

    def forget(self, number: int) -> None:
        raise NotImplementedError


def chosen(draft: Draft, verdict: Verdict) -> list[int]:
    """The tokens that stand in the place of a draft."""
    return [draft.tokens[node] for node in verdict.path] + [verdict.next_token]
