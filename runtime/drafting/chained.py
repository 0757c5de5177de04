"""Drafters in a row: copy first, then recycle, then ask a model. The first who has a guess wins; where it is a chain
that ends early, the next ones who can go on from its end do."""

from collections.abc import Sequence
from dataclasses import dataclass

from ..engines.base import Rows
from .draft import NOTHING, Context, Draft, Drafter, Verdict
from .immediate import Follower, Witness


@dataclass(slots=True, eq=False)
class _Text:
    """What is drafted for one text, by whom."""

    context: Context
    limit: int
    root: int  # the last token that stands
    place: int  # among the texts
    winner: Drafter | None = None
    draft: Draft = NOTHING


class Chained:
    """A `Drafter` of several, all but the last of which draft at once. Each is asked for the texts that those before it
    had no guess for, and hears what became of these texts, whoever guessed in the end; one that is a `Witness` learns
    from the rows of the others too. When a drafter is asked again, a text may have grown by more than it heard of."""

    def __init__(self, drafters: Sequence[Drafter]) -> None:
        self._drafters = tuple(drafters)
        self._texts: list[_Text] = []
        self._turns: list[tuple[Drafter, list[_Text]]] = []  # who was asked for what
        self._late = False  # whether the last one has not been heard yet

    def start(self, contexts: Sequence[Context], limits: Sequence[int]) -> None:
        wishes = enumerate(zip(contexts, limits, strict=True))
        self._texts = [_Text(context, limit, context.tokens[-1], place) for place, (context, limit) in wishes]
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
                left = [text for text in left if not text.draft]

    def take(self, deadline: float | None = None) -> list[Draft]:
        if self._late:
            self._late = False
            self._settle(self._turns[-1][0].take(deadline))
        for text in self._texts:
            self._extend(text)
        return [text.draft for text in self._texts]

    def observe(self, verdicts: Sequence[Verdict], rows: Rows) -> None:
        for drafter, texts in self._turns:
            drafter.observe([verdicts[text.place] for text in texts], rows)
        for drafter in self._drafters:
            if isinstance(drafter, Witness):
                asked = {text.place for heard, texts in self._turns if heard is drafter for text in texts}
                for text, verdict in zip(self._texts, verdicts, strict=True):
                    if text.place not in asked:
                        drafter.witness(text.root, verdict, rows)

    def forget(self, number: int) -> None:
        for drafter in self._drafters:
            drafter.forget(number)

    def _settle(self, drafts: Sequence[Draft]) -> None:
        drafter, texts = self._turns[-1]
        for text, draft in zip(texts, drafts, strict=True):
            if draft:
                text.winner, text.draft = drafter, draft

    def _extend(self, text: _Text) -> None:
        if text.winner is None:
            return
        for drafter in self._drafters[self._drafters.index(text.winner) + 1 :]:
            room = text.limit - len(text.draft)
            if room > 0 and text.draft.leaves == 1 and isinstance(drafter, Follower):
                text.draft = _joined(text.draft, drafter.follow(text.context, text.draft.tokens, room))


def _joined(chain: Draft, more: Draft) -> Draft:
    """A draft that hangs on the end of a chain."""
    if not more:
        return chain
    known = chain.probabilities is not None and more.probabilities is not None
    return Draft(
        chain.tokens + more.tokens,
        chain.parents + tuple(parent + len(chain) for parent in more.parents),
        (chain.probabilities or ()) + (more.probabilities or ()) if known else None,
    )
