"""Whether to draft, with whom and how far: what pays on this machine, by what was seen. Pure.

A forward of n rows costs what it costs here (`RowCosts`), a guess stands as often as its like did (`Acceptance`), and a
text that nobody drafts for goes on at a known pace. From these follow the tokens a second of every choice, plain
decoding included. What is not known is tried, as long as all that was lost by trying stays below a small share of the
time; so drafting never costs more than that.
"""

import math
from bisect import bisect
from collections.abc import Sequence
from dataclasses import dataclass, field

from .acceptance import Acceptance
from .draft import Draft
from .row_costs import RowCosts

LOSS = 0.003  # of all time, that trying may cost
_START = 4.0  # plain tokens' time that trying may cost before any time has passed
_KEPT = 32.0  # plain tokens' time of gains that count against later losses: who was good once may be so no longer
_MARGIN = 1.02  # by which a choice must be ahead of plain decoding: below that it is noise
_HOPE = 1.0  # standard deviations that a choice is given the benefit of, when it is tried
_QUICK = 0.005  # of a plain token's time
_DECIDING = 3e-5  # seconds that it takes to decide whether to ask: who answers sooner is asked
_REFUSED = 8  # times that it is not decided anew whether to ask who was not worth it
_HELD_UP = 3.0  # times what it should take, that a guess counts as at most
_MEMORY = 0.9  # of what drafting costs, when it is seen once more
_LENGTHS = (1, 2, 3, 4, 5, 7, 9, 11, 15, 19, 23, 31, 47, 63)  # of drafts, among which the best is looked for


@dataclass(frozen=True, slots=True)
class Guess:
    """A draft, by whom, and what kind of guess each of its nodes is (see `Acceptance`)."""

    drafter: str
    draft: Draft
    kinds: tuple[int, ...]


@dataclass(slots=True)
class _Work:
    """What guessing takes a drafter, the latest counting most. Asked in vain is time for no node."""

    seconds: float = 0.0
    nodes: float = 0.0
    asked: float = 0.0  # times

    def add(self, nodes: int, seconds: float) -> None:
        self.seconds = _MEMORY * self.seconds + seconds
        self.nodes = _MEMORY * self.nodes + nodes
        self.asked = _MEMORY * self.asked + 1

    @property
    def a_node(self) -> float:
        return self.seconds / max(1.0, self.nodes)

    @property
    def at_once(self) -> float:
        return self.seconds / max(1.0, self.asked)


@dataclass(slots=True)
class Controller:
    """Of one worker: all its texts share what was learned."""

    costs: RowCosts
    drafters: dict[str, Acceptance] = field(default_factory=dict)
    elapsed: float = 0.0  # seconds of decoding that were accounted for
    saved: float = 0.0  # of them, against plain decoding; below zero: lost
    _work: dict[str, _Work] = field(default_factory=dict)
    _refused: dict[str, int] = field(default_factory=dict)  # how often a drafter is not considered again
    _plain: float = 0.0  # seconds of a token of one text alone, decoded plainly; 0: not seen

    def plain(self, texts: int = 1) -> float:
        """Seconds of one step that gives each of so many texts one token."""
        return self._plain if texts == 1 and self._plain else self.costs.of(texts)

    def limit(self, drafter: str, texts: int, most: int, reading: float = 0.0) -> int:
        """How many nodes a drafter should guess for each of so many texts; 0: it is not worth asking. Who guesses in
        next to no time always is; of others, what their guesses came to so far decides, of whatever kind. `reading`:
        seconds that it would read before it guesses, too long for a mere trial perhaps."""
        if not texts or self.is_quick(drafter):
            return most if texts else 0
        if self._is_refused(drafter):
            return 0
        found = self._longest(drafter, texts, most, 0.0)
        if not found and self.saved - texts * self._a_node(drafter) - reading > self._floor():
            found = self._longest(drafter, texts, most, _HOPE)
        if not found:
            self.drafters[drafter].fade(_REFUSED)
            self._refused[drafter] = _REFUSED - 1
        return found

    def _is_refused(self, drafter: str) -> bool:
        """Deciding anew for every token would take longer than a token of a tiny model is worth."""
        left = self._refused.get(drafter, 0)
        self._refused[drafter] = max(0, left - 1)
        return left > 0

    def outdoes(self, drafter: str, guess: Guess | None, most: int, texts: int) -> bool:
        """Whether a drafter that takes its time should make more tokens a second than the guess at hand, for one of so
        many texts; so should now and then who is passed over for long."""
        if guess is None:
            return True
        if self._is_refused(drafter):
            return False
        seconds = [self.costs.of(texts * (1 + count)) / texts for count in range(most + 1)]
        best, tokens = 1 / seconds[0], 1.0
        for count, value in enumerate(sorted(self.values(guess), reverse=True)[:most], 1):
            tokens += value
            best = max(best, tokens / seconds[count])
        known, a_node, tokens = self.drafters.setdefault(drafter, Acceptance()), self._a_node(drafter), 1.0
        share = known.any()
        for count in range(1, most + 1):
            tokens += share**count
            if tokens / (seconds[count] + count * a_node) > best:
                return True
        known.fade(_REFUSED)
        self._refused[drafter] = _REFUSED - 1
        return False

    def is_quick(self, drafter: str) -> bool:
        """Whether to ask it takes next to no time, as far as is known."""
        work = self._work.get(drafter)
        return not work or work.at_once < max(_QUICK * self.plain(), _DECIDING)

    def _a_node(self, drafter: str) -> float:
        """Seconds."""
        work = self._work.get(drafter)
        return work.a_node if work else 0.0

    def _longest(self, drafter: str, texts: int, most: int, hope: float) -> int:
        share = self.drafters.setdefault(drafter, Acceptance()).any(hope)
        best, rate, a_node = 0, _MARGIN * texts / self.plain(texts), self._a_node(drafter)
        for length in _LENGTHS[: bisect(_LENGTHS, most)]:
            tokens = texts * (1 - share ** (1 + length)) / (1 - share) if share < 1 else texts * (1.0 + length)
            spent = self.costs.of(texts * (1 + length)) + texts * length * a_node
            if tokens / spent > rate:
                best, rate = length, tokens / spent
        return best

    def values(self, guess: Guess, hope: float = 0.0) -> list[float]:
        """How likely each node is to stand: less than the one above it."""
        known = self.drafters.setdefault(guess.drafter, Acceptance())
        own = guess.draft.probabilities or (None,) * len(guess.draft)
        found: list[float] = []
        depths: list[int] = []
        for node, parent in enumerate(guess.draft.parents):
            above, depth = (1.0, 0) if parent < 0 else (found[parent], depths[parent] + 1)
            found.append(above * known.of(guess.kinds[node], depth, hope, own[node]))
            depths.append(depth)
        return found

    def decide(self, guesses: Sequence[Guess | None]) -> list[Guess | None]:
        """For texts that take a step together, each with what was guessed for it: the nodes that are worth their rows;
        None where plain decoding is better."""
        if not any(guesses):
            return [None for _ in guesses]
        kept = self._best(guesses, 0.0, math.inf) or self._best(guesses, _HOPE, self.saved - self._floor())
        if kept is None:
            return [None for _ in guesses]
        return [_pruned(guess, nodes) if guess and nodes else None for guess, nodes in zip(guesses, kept, strict=True)]

    def _best(self, guesses: Sequence[Guess | None], hope: float, loss: float) -> list[list[int]] | None:
        """The nodes of every text that make the most tokens a second together, if none of them stood at a loss of no
        more than so many seconds; None where plain decoding is better."""
        texts = len(guesses)
        nodes = [
            (-value, text, node)
            for text, guess in enumerate(guesses)
            if guess
            for node, value in enumerate(self.values(guess, hope))
        ]
        # A node is worth less than the one above it, and comes after it where they are equal: any first few are trees.
        nodes.sort()
        plain = self.plain(texts)
        best, most, tokens = 0, _MARGIN * texts / plain, float(texts)
        for count, (value, _, _) in enumerate(nodes, 1):
            tokens -= value
            # What guessing took is spent whatever is made of it.
            rate = tokens / self.costs.of(texts + count, hope > 0)
            if rate > most and self.costs.of(texts + count) - plain < loss:
                best, most = count, rate
        if not best:
            return None
        kept: list[list[int]] = [[] for _ in guesses]
        for _, text, node in nodes[:best]:
            kept[text].append(node)
        return [sorted(each) for each in kept]

    def _floor(self) -> float:
        """What may be lost: below zero."""
        return -(LOSS * self.elapsed + _START * self.plain())

    def reason(self, guess: Guess | None, decided: Guess | None) -> str:
        """Why it was decided so."""
        if guess is None:
            return "drafting off: nobody has a guess"
        share = self.drafters[guess.drafter].overall
        if decided is None:
            return f"drafting off: {share:.2f} accepted, needs {self.needs(len(guess.draft)):.2f}"
        return f"{guess.drafter} drafts {len(decided.draft)}: {share:.2f} accepted"

    def needs(self, length: int) -> float:
        """The share of guesses that must stand, each after the one before it, for the best chain of up to so many to
        be as fast as plain decoding; more than 1 where none could."""
        if length < 1:
            return 1.0
        return min(_share_needed(self.costs.of(1 + n) / self.plain() - 1, n) for n in range(1, length + 1))

    def stepped(
        self, guesses: Sequence[Guess | None], tokens: Sequence[Sequence[int]], seconds: float, rows: int
    ) -> None:
        """Texts took a step together and did nothing else, in one forward of so many rows: `tokens` are those that
        every text got. What was guessed for it is judged by them, whether it was drafted or not."""
        counted = self.costs.seen(rows, seconds)
        self._account(seconds, sum(map(len, tokens)) / len(tokens) * self.plain(len(tokens)) + seconds - counted)
        for guess, each in zip(guesses, tokens, strict=True):
            self._judge(guess, each)

    def rested(self, texts: int, seconds: float) -> None:
        """So many texts went on plainly by a token each, and nothing was guessed for them."""
        self.costs.seen(texts, seconds)
        self.elapsed += seconds

    def decoded(self, guess: Guess | None, tokens: Sequence[int], seconds: float) -> None:
        """One text alone went on plainly by these tokens."""
        each = seconds / len(tokens)
        self.costs.seen(1, each)
        self._plain = _MEMORY * self._plain + (1 - _MEMORY) * each if self._plain else each
        self.elapsed += seconds
        self._judge(guess, tokens)

    def _judge(self, guess: Guess | None, tokens: Sequence[int]) -> None:
        """Guesses that hang on one that was wrong say nothing."""
        if not guess:
            return
        known, at = self.drafters.setdefault(guess.drafter, Acceptance()), -1
        children = guess.draft.children()
        for depth, token in enumerate(tokens):
            for said, node in children[at + 1].items():
                known.learn(guess.kinds[node], depth, said == token)
            at = children[at + 1].get(token, -1)
            if at < 0:
                return

    def drafted(self, drafter: str, nodes: int, seconds: float) -> None:
        """What it took to guess, whether it is used or not. Where it was held up, only so much is the guess's; the
        first time warms up, tells what it takes at most, and is free."""
        work = self._work.setdefault(drafter, _Work())
        counted = min(seconds, _HELD_UP * max(work.at_once, work.a_node * nodes)) if work.asked > 1 else seconds
        self._account(seconds, seconds - counted if work.asked else seconds)
        work.add(nodes, counted)

    def spent(self, seconds: float, lost: float) -> None:
        """On reading texts, or on a look besides: that says nothing of what a guess takes. `lost`: so much of it is
        weighed against what guesses gain."""
        self._account(seconds, seconds - lost)

    def _account(self, seconds: float, worth: float) -> None:
        self.elapsed += seconds
        self.saved = min(self.saved + worth - seconds, _KEPT * self.plain())


def _share_needed(extra: float, length: int) -> float:
    """The p at which p + p^2 + ... + p^length is `extra`."""
    if extra >= length:
        return extra / length
    low, high = 0.0, 1.0
    for _ in range(30):
        middle = (low + high) / 2
        low, high = (low, middle) if sum(middle**i for i in range(1, length + 1)) > extra else (middle, high)
    return high


def _pruned(guess: Guess, nodes: Sequence[int]) -> Guess:
    """What is left of it with these nodes, ascending, each with the one above it."""
    place = {-1: -1} | {node: number for number, node in enumerate(nodes)}
    draft = guess.draft
    return Guess(
        guess.drafter,
        Draft(
            tuple(draft.tokens[node] for node in nodes),
            tuple(place[draft.parents[node]] for node in nodes),
            draft.probabilities and tuple(draft.probabilities[node] for node in nodes),
        ),
        tuple(guess.kinds[node] for node in nodes),
    )
