"""Drafting at work: drafters guess, the controller chooses among their guesses, and both hear what came of it."""

import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from ...errors import AccelError
from ..engines.base import Rows
from .control import Controller, Guess
from .draft import Context, Draft, Drafter, Verdict

_SHARE = 0.004  # of the time, that looking for guesses between plain tokens may take
_KINDS = 8  # of a drafter's own probabilities
_MEMORY = 0.9  # of how long a look takes, when another is seen


@dataclass(slots=True)
class Turn:
    """One step of some texts: what was guessed for each of them, by whom, and what of it is drafted."""

    contexts: Sequence[Context]
    guesses: list[Guess | None]
    decided: list[Guess | None]
    asked: dict[str, list[int]] = field(default_factory=dict)  # places of the texts that each drafter guessed for

    @property
    def drafts(self) -> bool:
        return any(self.decided)

    def draft(self, place: int) -> Draft:
        decided = self.decided[place]
        return decided.draft if decided else _NOTHING

    def reason(self, controller: Controller, place: int) -> str:
        return controller.reason(self.guesses[place], self.decided[place])


_NOTHING = Draft()


class Conductor:
    """Of one worker. Drafters are asked in their order: the next one for texts that those before had no guess for."""

    def __init__(self, drafters: Mapping[str, Drafter], controller: Controller) -> None:
        self.controller = controller
        self._drafters = dict(drafters)
        self.troubles: dict[str, AccelError] = {}  # why a drafter is asked no longer
        self._left_at = 0.0
        self._look = 0.0  # seconds between two runs of plain tokens

    def turn(self, contexts: Sequence[Context], limits: Sequence[int]) -> Turn:
        """What to draft for these texts, of so many nodes each at most."""
        guesses: list[Guess | None] = [None] * len(contexts)
        asked: dict[str, list[int]] = {}
        for name, drafter in list(self._drafters.items()):
            left = [place for place, guess in enumerate(guesses) if guess is None and limits[place]]
            limit = self.controller.limit(name, len(left), max((limits[place] for place in left), default=0))
            if not limit:
                continue
            asked[name] = left
            start = time.perf_counter()
            try:
                drafter.start([contexts[place] for place in left], [min(limit, limits[place]) for place in left])
                drafts = drafter.take()
            except AccelError as error:
                self._give_up(name, error)
                continue
            self.controller.drafted(name, sum(map(len, drafts)), time.perf_counter() - start)
            for place, draft in zip(left, drafts, strict=True):
                guesses[place] = Guess(name, draft, _kinds(draft)) if len(draft) else None
        return Turn(contexts, guesses, self.controller.decide(guesses), asked)

    def stepped(self, turn: Turn, verdicts: Sequence[Verdict], rows: Rows, count: int, seconds: float) -> None:
        """What became of a turn in one forward of so many rows that did nothing else."""
        self.controller.stepped(turn.guesses, [verdict.tokens for verdict in verdicts], seconds, count)
        for name, places in turn.asked.items():
            try:
                self._drafters[name].observe([verdicts[place] for place in places], rows)
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
        del self._drafters[name]
        self.troubles[name] = error

    def forget(self, number: int) -> None:
        for drafter in self._drafters.values():
            drafter.forget(number)


def _kinds(draft: Draft) -> tuple[int, ...]:
    """Guesses that their drafter thinks equally likely are of one kind."""
    if draft.probabilities is None:
        return (0,) * len(draft)
    return tuple(min(_KINDS - 1, int(_KINDS * share)) for share in draft.probabilities)
