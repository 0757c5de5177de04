"""Drafting at work: drafters guess, the controller chooses among their guesses, and both hear what came of it."""

import math
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from ...errors import AccelError
from ..costs import RowTimes
from ..engines.base import Rows
from .acceptance import kind_of
from .bounds import Bounds
from .control import Controller, Guess
from .draft import NOTHING, Context, Draft, Drafter, Verdict
from .immediate import Witness
from .model import Reader
from .reading import Reading
from .row_costs import RowCosts

_SHARE = 0.003  # of the time, that looking for guesses between plain tokens may take
_GAINED = 0.05  # of the time, that it may take as long as guessing has gained more than it took
_LARGE = 32  # rows of a forward, as which a prompt is read
_WITH_LEAVING = 2.0  # times what a look takes itself: the engine's own loop is left for it, and entered again
_AT_ONCE = 2  # plain tokens that are no longer than one run of them
_MOST_LOOK = 3.0  # times what a look was thought to take, that one counts as at most
_MEMORY = 0.5  # of how long a look takes, when another is seen
_REST = 2.0  # seconds between two words on what was decided
_TOLD_AGAIN = 4  # times that what was seen of a row count is told to costs that were measured anew

Tell = Callable[[int, str], object]  # of a text: what was decided, and why


@dataclass(slots=True)
class Use:
    """Of one drafter, since the worker is ready."""

    asked: int = 0  # times, for one text each
    guessed: int = 0  # nodes
    drafted: int = 0  # of them that were verified
    stood: int = 0  # of them
    seconds: float = 0.0  # that it took
    reading: float = 0.0  # of them in which texts were read


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
    is kept; others, in their order, for texts that nobody had a guess for, or only such that they should outdo."""

    def __init__(
        self,
        drafters: Mapping[str, Drafter],
        controller: Controller,
        bounds: Bounds | None = None,
        tell: Tell | None = None,
    ) -> None:
        """`bounds`: of the drafts of one step; `tell` hears of decisions that changed."""
        self.controller = controller
        self.drafters = dict(drafters)
        self.uses = {name: Use() for name in drafters}
        self.troubles: dict[str, AccelError] = {}  # why a drafter is asked no longer
        self.heard = 0  # tokens that drafters may have learned from
        self._bounds = bounds or Bounds()
        self._tell = tell
        self._told: dict[int, str] = {}  # of a text: who drafted for it when that was told
        self._told_at = -_REST
        self._readers = {name: drafter for name, drafter in drafters.items() if isinstance(drafter, Reader)}
        self._witnesses = {name: drafter for name, drafter in drafters.items() if isinstance(drafter, Witness)}
        self._rows = Counter[int]()  # how often forwards of so many rows were timed
        self._last: Turn | None = None
        self._reading = Reading()
        self._apart = 0.0  # seconds of a turn that are no part of a look: reading, and guesses that take long
        self._asking = 0.0  # seconds of a turn in which drafters were asked
        self._looks = 0
        self._look = 0.0  # seconds that the rest of a turn takes; the first one warms up, and says nothing
        self._rested = 0.0  # plain steps since somebody looked

    @property
    def drafted(self) -> int:
        """Nodes."""
        return sum(use.drafted for use in self.uses.values())

    @property
    def stood(self) -> int:
        return sum(use.stood for use in self.uses.values())

    def turn(self, contexts: Sequence[Context], limits: Sequence[int]) -> Turn:
        """What to draft for these texts, of so many nodes each at most."""
        began = time.perf_counter()
        turn = Turn(contexts, [context.tokens[-1] for context in contexts])
        turn.guesses = [None] * len(contexts)
        limits = [min(limit, self._bounds.nodes) for limit in limits]
        worth = [0.0] * len(contexts)
        self._apart, self._asking = 0.0, 0.0
        for name, drafter in list(self.drafters.items()):
            quick = self.controller.is_quick(name)
            places = [
                at
                for at, limit in enumerate(limits)
                if limit
                and (quick or self.controller.outdoes(name, turn.guesses[at], limit, len(limits)))
                and self._may_read(name, contexts[at])
            ]
            most = max((limits[at] for at in places), default=0)
            reading = sum(self._reading.cost(name, contexts[at]) for at in places) if name in self._readers else 0.0
            limit = self.controller.limit(name, len(places), most, reading)
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
        turn.decided = self.controller.decide(self._bounded(turn.guesses))
        self._last = turn
        if self._tell:
            self._tell_changes(turn, self._tell)
        took = _WITH_LEAVING * (time.perf_counter() - began - self._apart)
        took = self._see_look(took)
        if self.controller.saved > 0:
            besides = max(0.0, took - (self._asking - self._apart))
            self.controller.spent(besides, besides)
        return turn

    def _see_look(self, took: float) -> float:
        """As how long it counts: of one that was held up, as a machine holds up anything now and then, only so much, or
        nobody would look again for seconds."""
        if self._looks > 1:
            took = min(took, _MOST_LOOK * self._look)
            self._look = _MEMORY * self._look + (1 - _MEMORY) * took
        elif self._looks:
            self._look = took
        self._looks += 1
        return took

    def _may_read(self, name: str, context: Context) -> bool:
        """Who has an engine of its own may where its guesses should pay, which the controller knows."""
        gains = max(0.0, self.controller.saved)
        row = self.controller.costs.of(_LARGE) / _LARGE
        return name in self._readers or self._reading.affords(name, context, row, gains)

    def _drafts(self, name: str, drafter: Drafter, contexts: Sequence[Context], limits: Sequence[int]) -> list[Draft]:
        start = time.perf_counter()
        try:
            drafter.start(contexts, limits)
            drafts = drafter.take()
        except AccelError as error:
            self._give_up(name, error)
            return [NOTHING] * len(contexts)
        seconds = time.perf_counter() - start
        self._asking += seconds
        use, guessed = self.uses[name], sum(map(len, drafts))
        use.asked += len(contexts)
        use.guessed += guessed
        use.seconds += seconds
        reader, known = self._readers.get(name), self._reading.knows(name)
        reading = self._reading.took(name, contexts, seconds, min(seconds, reader.reading) if reader else None)
        use.reading += reading
        if reader:
            self.controller.spent(reading, reading if known else 0.0)  # the first time tells what it takes, and is free
        else:
            gains = max(0.0, self.controller.saved)
            self._reading.paid(name, max(0.0, reading - gains))
            self.controller.spent(reading, min(reading, gains))
        if reader and reader.given_up and reader.trouble:
            self._give_up(name, reader.trouble)
        self.controller.drafted(name, guessed, seconds - reading)
        self._apart += reading if self.controller.is_quick(name) else seconds
        return drafts

    def _bounded(self, guesses: Sequence[Guess | None]) -> list[Guess | None]:
        """What of the guesses there is room for together."""
        drafts = [guess.draft if guess else NOTHING for guess in guesses]
        if self._bounds.hold(drafts):
            return list(guesses)
        kept = self._bounds.within(drafts, [self.controller.values(guess) if guess else () for guess in guesses])
        return [
            Guess(guess.drafter, guess.draft.part(nodes), tuple(guess.kinds[node] for node in nodes))
            if guess and nodes
            else None
            for guess, nodes in zip(guesses, kept, strict=True)
        ]

    def _tell_changes(self, turn: Turn, tell: Tell) -> None:
        """What the front is told travels with the text; so that it does not with every token, only now and then."""
        now = time.monotonic()
        if now < self._told_at + _REST:
            return
        for place, context in enumerate(turn.contexts):
            decided = turn.decided[place]
            name = decided.drafter if decided else ""
            if self._told.get(context.number, "") != name:
                self._told[context.number] = name
                self._told_at = now
                tell(context.number, self.controller.reason(turn.guesses[place], decided))

    def stepped(self, turn: Turn, verdicts: Sequence[Verdict], rows: Rows, count: int, seconds: float) -> None:
        """What became of a turn in one forward of so many rows that did nothing else."""
        self._rested = math.inf if turn.drafts else 1  # after a draft another one is likely to pay
        for decided, verdict in zip(turn.decided, verdicts, strict=True):
            if decided:
                use = self.uses[decided.drafter]
                use.drafted += len(verdict.draft)
                use.stood += len(verdict.path)
            self.heard += len(verdict.tokens)
        self._rows[count] += 1
        self._reading.elapsed(seconds)
        self.controller.stepped(turn.guesses, [verdict.tokens for verdict in verdicts], seconds, count)
        for name, drafter in list(self.drafters.items()):
            asked = turn.asked.get(name, [])
            try:
                if asked:
                    drafter.observe([verdicts[at] for at in asked], rows)
                if witness := self._witnesses.get(name):
                    for at in set(range(len(verdicts))) - set(asked):
                        witness.witness(turn.roots[at], verdicts[at], rows)
            except AccelError as error:
                self._give_up(name, error)

    def rested(self, texts: int, seconds: float) -> None:
        """So many texts went on by a token each in one forward that did nothing else, and nobody looked for guesses."""
        self._rested += 1
        self.heard += texts
        self._rows[texts] += 1
        self._reading.elapsed(seconds)
        self.controller.rested(texts, seconds)

    def pace(self, texts: int = 1) -> int:
        """How many steps so many texts may go on plainly before somebody looks for guesses: looking takes a small share
        of the time at most, and a larger one while there are gains to pay for it."""
        plain, share = self.controller.plain(texts), _GAINED if self.controller.saved > 0 else _SHARE
        return max(1, math.ceil(self._look / (share * plain))) if plain else 1

    def is_due(self, texts: int = 1) -> bool:
        """Whether so many texts went on plainly for so long, or guesses cost next to nothing."""
        pace = self.pace(texts)
        return pace <= _AT_ONCE or self._rested >= pace

    def decoded(self, turn: Turn | None, tokens: Sequence[int], seconds: float) -> None:
        """One text alone went on plainly by these tokens, after a turn that was due or without one."""
        self.heard += len(tokens)
        self._rows[1] += 1
        self._reading.elapsed(seconds)
        self._rested = len(tokens) if turn else self._rested + len(tokens)
        self.controller.decoded(turn.guesses[0] if turn else None, tokens, seconds)

    def measured(self, times: RowTimes) -> None:
        """Forwards were timed anew. What was seen of them at work stays: how it differs from such times."""
        before, after = self.controller.costs, RowCosts(times)
        for rows, count in sorted(self._rows.items()):
            for _ in range(min(count, _TOLD_AGAIN)):
                after.seen(rows, before.of(rows), doubted=False)
        self.controller.costs = after

    def _give_up(self, name: str, error: AccelError) -> None:
        """It costs guesses, never an answer."""
        self.drafters.pop(name, None)
        self.troubles[name] = error

    @property
    def why(self) -> str:
        """What was decided last, and for what reason; why drafters do not guess."""
        last = self._last
        words = [self.controller.reason(last.guesses[0], last.decided[0])] if last and last.guesses else []
        return "; ".join([*words, *(f"{name}: {error}" for name, error in self.trouble().items())])

    def trouble(self) -> dict[str, AccelError]:
        """Why drafters do not guess, for now or at all."""
        now = {name: reader.trouble for name, reader in self._readers.items() if name in self.drafters}
        return {name: error for name, error in now.items() if error} | self.troubles

    def forget(self, number: int) -> None:
        self._reading.forget(number)
        self._told.pop(number, None)
        for drafter in self.drafters.values():
            drafter.forget(number)


def _kinds(draft: Draft) -> tuple[int, ...]:
    """Guesses that their drafter thinks equally likely are of one kind."""
    if draft.probabilities is None:
        return (0,) * len(draft)
    return tuple(map(kind_of, draft.probabilities))
