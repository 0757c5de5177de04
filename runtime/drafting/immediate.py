"""What drafters that need no model have in common: they guess at once, know on what each guess rests, and count how
often such guesses stand."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from ..engines.base import Rows
from .confidence import Odds, confident
from .draft import NOTHING, Context, Draft, Verdict

DOUBT = 0.7  # SpecDec++'s threshold


@dataclass(frozen=True, slots=True)
class Guess:
    """A draft, and of what kind each of its nodes is."""

    draft: Draft = NOTHING
    kinds: tuple[int, ...] = ()


@runtime_checkable
class Witness(Protocol):
    """Who learns from every row, whoever guessed."""

    def witness(self, root: int, verdict: Verdict, rows: Rows) -> None:
        """A draft that hung on the token `root` was verified."""
        ...


class Immediate(ABC):
    """A `Drafter` around `guess`. Drafts come with its own probabilities. Nodes whose paths fail with one above `doubt`
    are left out; where the text came to them they are judged all the same, so that who is doubted can be trusted again.
    """

    def __init__(self, odds: Odds, doubt: float) -> None:
        self.odds = odds
        self._doubt = doubt
        self._begun: list[tuple[int, Guess]] = []  # the last token that stood, and what was guessed after it

    @abstractmethod
    def guess(self, context: Context, limit: int) -> Guess:
        """Of `limit` nodes at most; `limit` is 1 at least."""

    def start(self, contexts: Sequence[Context], limits: Sequence[int]) -> None:
        self._begun = [
            (context.tokens[-1], self.guess(context, limit) if limit > 0 else Guess())
            for context, limit in zip(contexts, limits, strict=True)
        ]

    def take(self, deadline: float | None = None) -> list[Draft]:
        return [confident(guess.draft, self._doubt) for _, guess in self._begun]

    def observe(self, verdicts: Sequence[Verdict], rows: Rows) -> None:
        for (_, guess), verdict in zip(self._begun, verdicts, strict=True):
            self.odds.judge(guess.draft, guess.kinds, verdict.tokens)

    @abstractmethod
    def forget(self, number: int) -> None:
        """See `draft.Drafter`."""
