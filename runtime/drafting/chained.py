"""Drafters in a row: copy first, then recycle, then ask a model. The first who has a guess wins; where it is a chain
that ends early, the next ones who can go on from its end."""

from collections.abc import Sequence
from dataclasses import dataclass

from ..engines.base import Rows
from .draft import NOTHING, Context, Draft, Drafter, Verdict
from .immediate import Follower, Witness, chosen


@dataclass(slots=True, eq=False)
class _Text:
    """What is drafted for one text, by whom."""

    context: Context
    limit: int
    root: int  # the last token that stands
    winner: Drafter | None = None
    own: Draft = NOTHING  # of the drafter who won
    whole: Draft = NOTHING  # with what others added at its end


class Chained:
    """A `Drafter` of several, all but the last of which draft at once. Each is asked for the texts that those before it
    had no guess for, and hears what became of its own guesses; one that is a `Witness` learns from the rows of all.
    What a text has grown by when a drafter is asked again may be more than the last verdict it heard of."""

    def __init__(self, drafters: Sequence[Drafter]) -> None:
        self._drafters = tuple(drafters)
        self._texts: list[_Text] = []
        self._turns: list[tuple[Drafter, list[_Text]]] = []  # who was asked for what
        self._late = False  # whether the last one has not been heard yet

    def start(self, contexts: Sequence[Context], limits: Sequence[int]) -> None:
        self._texts = [
            _Text(context, limit, context.tokens[-1]) for context, limit in zip(contexts, limits, strict=True)
        ]
        self._turns, self._late = [], False
        left = [text for text in self._texts if text.limit > 0]
        for drafter in self._drafters:
            if not left:
                break
            drafter.start([text.context for text in left], [text.limit for text in left])
            self._turns.append((drafter, left))
            self._late = drafter is self._drafters[-1]
            if not self._late:
                self._settle(drafter.take())
                left = [text for text in left if not text.own]

    def take(self, deadline: float | None = None) -> list[Draft]:
        if self._late:
            self._late = False
            self._settle(self._turns[-1][0].take(deadline))
        for text in self._texts:
            self._extend(text)
        return [text.whole for text in self._texts]

    def winner(self, number: int) -> Drafter | None:
        """Who made the draft just taken for a text, or its beginning; None where nobody did."""
        return next((text.winner for text in self._texts if text.context.number == number), None)

    def observe(self, verdicts: Sequence[Verdict], rows: Rows) -> None:
        """One verdict for every draft taken, in that order."""
        found = dict(zip(map(id, self._texts), verdicts, strict=True))
        for drafter, texts in self._turns:
            drafter.observe([_heard(drafter, text, found[id(text)]) for text in texts], rows)
        for drafter in self._drafters:
            if isinstance(drafter, Witness):
                for text in self._texts:
                    if text.winner is not drafter or text.whole is not text.own:
                        drafter.witness(text.root, text.whole, found[id(text)].row, rows)

    def forget(self, number: int) -> None:
        for drafter in self._drafters:
            drafter.forget(number)

    def _settle(self, drafts: Sequence[Draft]) -> None:
        drafter, texts = self._turns[-1]
        for text, draft in zip(texts, drafts, strict=True):
            if draft:
                text.winner, text.own, text.whole = drafter, draft, draft

    def _extend(self, text: _Text) -> None:
        if text.winner is None or text.own.leaves > 1:
            return
        for follower in self._drafters[self._drafters.index(text.winner) + 1 :]:
            room = text.limit - len(text.whole)
            if room > 0 and text.whole.leaves == 1 and isinstance(follower, Follower):
                text.whole = _joined(text.whole, follower.follow(text.context, text.whole.tokens, room))


def _joined(chain: Draft, more: Draft) -> Draft:
    """A draft that hangs on the end of a chain."""
    if not more:
        return chain
    end = len(chain)
    known = chain.probabilities is not None and more.probabilities is not None
    return Draft(
        chain.tokens + more.tokens,
        chain.parents + tuple(parent + end for parent in more.parents),
        (chain.probabilities or ()) + (more.probabilities or ()) if known else None,
    )


def _heard(drafter: Drafter, text: _Text, verdict: Verdict) -> Verdict:
    """What became of a drafter's own part, which comes first in the whole draft; of no guess, where another won."""
    size = len(text.own) if text.winner is drafter else 0
    path = tuple(node for node in verdict.path if node < size)
    return Verdict(path, chosen(text.whole, verdict)[len(path)], verdict.row)
