"""Drafting at work: drafters guess, the controller chooses among their guesses, and both hear what came of it."""

import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from ...errors import AccelError
from ..engines.base import Rows
from .control import Controller, Guess
from .draft import NOTHING, Context, Draft, Drafter, Verdict
from .immediate import Witness

_SHARE = 0.004  # of the time, that looking for guesses between plain tokens may take
_KINDS = 8  # of a drafter's own probabilities
_MEMORY = 0.9  # of how long a look takes, when another is seen


@dataclass(slots=True)
class Turn:
    """One step of some texts: what was guessed for each of them, by whom, and what of it is drafted."""

    contexts: Sequence[Context]
    roots: list[int]  # the last token that stood, of each
    asked: dict[str, list[int]] = field(default_factory=dict)  # places of the texts that each drafter guessed for
    guesses: list[Guess | None] = field(default_factory=list)
    decided: list[Guess | None] = field(default_factory=list)

    @property
    def drafts(self) -> bool:
        return any(self.decided)

    def draft(self, place: int) -> Draft:
        decided = self.decided[place]
        return decided.draft if decided else NOTHING


class Conductor:
    """Of one worker. All drafters are asked that guess at once, and of each text's guesses the one that promises most
    is kept; others, in their order, for texts that nobody had a guess for."""

    def __init__(self, drafters: Mapping[str, Drafter], controller: Controller) -> None:
        self.controller = controller
        self.drafters = dict(drafters)
        self.troubles: dict[str, AccelError] = {}  # why a drafter is asked no longer
        self.drafted = self.stood = 0  # nodes
        self._last: Turn | None = None
        self._left_at = 0.0  # when a run of plain tokens ended that the next turn follows at once; 0: none
        self._look = 0.0  # seconds between two runs of plain tokens

    def turn(self, contexts: Sequence[Context], limits: Sequence[int]) -> Turn:
        """What to draft for these texts, of so many nodes each at most."""
        turn = Turn(contexts, [context.tokens[-1] for context in contexts])
        turn.guesses = [None] * len(contexts)
        worth = [0.0] * len(contexts)
        for name, drafter in list(self.drafters.items()):
            quick = self.controller.is_quick(name, max(limits))
            places = [at for at, limit in enumerate(limits) if limit and (quick or turn.guesses[at] is None)]
            limit = self.controller.limit(name, len(places), max((limits[at] for at in places), default=0))
            if not limit:
                continue
            turn.asked[name] = places
            drafts = self._drafts(
                name, drafter, [contexts[at] for at in places], [min(limit, limits[at]) for at in places]
            )
            for at, draft in zip(places, drafts, strict=True):
                guess = Guess(name, draft, _kinds(draft))
                if len(draft) and (expected := sum(self.controller.values(guess))) > worth[at]:
                    turn.guesses[at], worth[at] = guess, expected
        turn.decided = self.controller.decide(turn.guesses)
        self._last = turn
        return turn

    def _drafts(self, name: str, drafter: Drafter, contexts: Sequence[Context], limits: Sequence[int]) -> list[Draft]:
        start = time.perf_counter()
        try:
            drafter.start(contexts, limits)
            drafts = drafter.take()
        except AccelError as error:
            self._give_up(name, error)
            return [NOTHING] * len(contexts)
        self.controller.drafted(name, sum(map(len, drafts)), time.perf_counter() - start)
        return drafts

    def stepped(self, turn: Turn, verdicts: Sequence[Verdict], rows: Rows, count: int, seconds: float) -> None:
        """What became of a turn in one forward of so many rows that did nothing else."""
        self._left_at = 0.0
        self.drafted += sum(len(verdict.draft) for verdict in verdicts)
        self.stood += sum(len(verdict.path) for verdict in verdicts)
        self.controller.stepped(turn.guesses, [verdict.tokens for verdict in verdicts], seconds, count)
        for name, drafter in list(self.drafters.items()):
            asked = turn.asked.get(name, [])
            try:
                if asked:
                    drafter.observe([verdicts[at] for at in asked], rows)
                if isinstance(drafter, Witness):
                    for at in set(range(len(verdicts))) - set(asked):
                        drafter.witness(turn.roots[at], verdicts[at], rows)
            except AccelError as error:
                self._give_up(name, error)

    def pace(self) -> int:
        """How many tokens one text may go on plainly before somebody looks for guesses again."""
        now = time.perf_counter()
        if self._left_at:
            self._look = _MEMORY * self._look + (1 - _MEMORY) * (now - self._left_at)
        plain = self.controller.plain()
        return max(1, math.ceil(self._look / (_SHARE * plain))) if plain else 1

    def decoded(self, turn: Turn, tokens: Sequence[int], seconds: float) -> None:
        """One text alone went on plainly by these tokens."""
        self.controller.decoded(turn.guesses[0], tokens, seconds)
        self._left_at = time.perf_counter()

    def _give_up(self, name: str, error: AccelError) -> None:
        """It costs guesses, never an answer."""
        del self.drafters[name]
        self.troubles[name] = error

    @property
    def why(self) -> str:
        """What was decided last, and for what reason; why drafters are asked no longer."""
        last = self._last
        words = [self.controller.reason(last.guesses[0], last.decided[0])] if last and last.guesses else []
        return "; ".join([*words, *(f"{name}: {error}" for name, error in self.troubles.items())])

    def forget(self, number: int) -> None:
        self._left_at = 0.0  # the next text may begin much later
        for drafter in self.drafters.values():
            drafter.forget(number)


def _kinds(draft: Draft) -> tuple[int, ...]:
    """Guesses that their drafter thinks equally likely are of one kind."""
    if draft.probabilities is None:
        return (0,) * len(draft)
    return tuple(min(_KINDS - 1, int(_KINDS * share)) for share in draft.probabilities)
