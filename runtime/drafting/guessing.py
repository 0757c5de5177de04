"""One text on its way through a draft model: which rows it wants forwarded next, and what it makes of their logits."""

from collections.abc import Callable, Container, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from ...errors import GrammarError, UsageError
from .draft import Draft
from .seats import Seat
from .trees import ROOT, Growth

Ask = list[tuple[int, int]]  # (token, parent) of rows
Logits = Callable[[int], np.ndarray]  # of one of the rows asked for


class Guesser(Protocol):
    """Who chooses among the draft model's tokens; see `sampling.Sampler`."""

    def fork(self) -> "Guesser": ...

    def accept(self, token: int) -> None: ...

    def choose_surely(self, logits: np.ndarray, position: int) -> tuple[int, float]: ...

    def likeliest(self, logits: np.ndarray, position: int, most: int) -> tuple[np.ndarray, np.ndarray]: ...


@dataclass(frozen=True, slots=True)
class Wish:
    """One text to draft for: all of it, in the draft model's tokens. `guesser` has accepted it, and is the wish's own;
    a guess whose path is less probable than `least` is left out, and so is one that `ends` the turn."""

    number: int
    tokens: list[int]
    guesser: Guesser
    limit: int
    least: float = 0.0
    ends: Container[int] = ()


class Work(Protocol):
    seat: Seat
    most_nodes: int  # that lie in the cache beside the text

    @property
    def missing(self) -> int:
        """Tokens of the text that are not cached."""
        ...

    @property
    def done(self) -> bool: ...

    def ask(self, rows: int, outputs: int) -> tuple[Ask, int]:
        """At most so many rows for the next forward, and how many of them, the last ones, want logits; none where there
        is no room."""
        ...

    def hear(self, logits: Logits) -> Sequence[int]:
        """What came of the rows just asked for; those that are to be committed."""
        ...

    def draft(self) -> Draft:
        """As far as it came."""
        ...


class Chain:
    """Token after token, each committed as soon as it was forwarded: the next text mostly begins with them."""

    def __init__(self, seat: Seat, wish: Wish) -> None:
        self.seat = seat
        self._wish = wish
        self._most = wish.limit
        self.most_nodes = 2 * wish.limit + 1
        self._asked = 0
        self._value = 1.0
        self._worth = 0  # of the guesses, the first so many are worth a place in the draft
        self._ahead = self._stuck = False
        prepared, seat.guesses = seat.guesses, []
        for token, sure in prepared:
            self._add(token, sure)

    @property
    def missing(self) -> int:
        return len(self._wish.tokens) - len(self.seat.tokens)

    @property
    def done(self) -> bool:
        guesses = len(self.seat.guesses)
        return self._stuck or guesses >= self._most or (self._worth < guesses and not self._ahead)

    def ask(self, rows: int, outputs: int) -> tuple[Ask, int]:
        pending = self._pending()
        self._asked = min(rows, len(pending) if outputs else len(pending) - 1)
        return chained(pending[: self._asked]), int(self._asked == len(pending))

    def hear(self, logits: Logits) -> Sequence[int]:
        pending = self._pending()
        self.seat.tokens += pending[: self._asked]
        if self._asked == len(pending):
            try:
                self._add(*self._wish.guesser.choose_surely(logits(self._asked - 1), len(self.seat.tokens)))
            except (GrammarError, UsageError):  # the target will say so if it comes to this
                self._stuck = True
        return range(self._asked)

    def draft(self) -> Draft:
        guesses = self.seat.guesses[: min(self._worth, self._wish.limit)]
        return Draft.chain([token for token, _ in guesses], [sure for _, sure in guesses])

    def go_on(self) -> None:
        """To what would come if all of the draft stood: the token after it, and the next draft."""
        self._ahead = True
        self._most = min(self._worth, self._wish.limit) + 1 + self._wish.limit

    def _pending(self) -> list[int]:
        text, there = self._wish.tokens, len(self.seat.tokens)
        guesses = [token for token, _ in self.seat.guesses[max(there - len(text), 0) :]]
        return text[there:] + guesses if there < len(text) else guesses

    def _add(self, token: int, sure: float) -> None:
        if token in self._wish.ends:
            self._stuck = True
        if self._stuck:
            return
        self._wish.guesser.accept(token)
        self._value *= sure
        self._worth += self._worth == len(self.seat.guesses) and self._value >= self._wish.least
        self.seat.guesses.append((token, sure))


class Tree:
    """The most valuable tree within the limit, layer after layer; nothing of it is committed."""

    def __init__(self, seat: Seat, wish: Wish, leaves: int) -> None:
        self.seat = seat
        self._wish = wish
        self._leaves = leaves
        self.most_nodes = 2 * wish.limit  # that are forwarded: some turn out to be no part of the best tree
        self._growth = Growth(wish.limit, leaves, wish.least)
        self._guessers: dict[int, Guesser] = {ROOT: wish.guesser}
        self._places = {ROOT: ROOT}  # of nodes that were forwarded, their numbers in the engine
        self._asked: list[int] = []  # nodes; ROOT for what is left of the text
        self._chunk: list[int] = []

    @property
    def missing(self) -> int:
        return len(self._wish.tokens) - len(self.seat.tokens)

    @property
    def done(self) -> bool:
        return not self._growth.wanted()

    def ask(self, rows: int, outputs: int) -> tuple[Ask, int]:
        if self._growth.wanted() == [ROOT]:
            pending = self._wish.tokens[len(self.seat.tokens) :]
            self._chunk = pending[: rows if outputs else min(rows, len(pending) - 1)]
            self._asked = [ROOT] if len(self._chunk) == len(pending) else []
            return chained(self._chunk), len(self._asked)
        asked: Ask = []
        self._asked, self._chunk = [], []
        for node in self._growth.wanted():
            if len(asked) == min(rows, outputs):
                break
            row = self._growth.token(node), self._places[self._growth.parent(node)]
            if self._place(node, row):
                asked.append(row)
        return asked, len(asked)

    def hear(self, logits: Logits) -> Sequence[int]:
        self.seat.tokens += self._chunk
        first = len(self._chunk) - 1 if self._asked == [ROOT] else 0
        for row, node in enumerate(self._asked, first):
            self._learn(node, logits(row))
        return range(len(self._chunk))

    def draft(self) -> Draft:
        return self._growth.draft()

    def _place(self, node: int, row: tuple[int, int]) -> bool:
        """Notes a node as one of the engine's; whether there is a branch for it and the grammar allows it."""
        parents = [parent for _, parent in self.seat.nodes]
        leaves = len(parents) - len({*parents} - {ROOT})
        room = len(parents) < self.most_nodes and (leaves < self._leaves or row[1] not in parents)
        guesser = self._guessers[self._growth.parent(node)].fork()
        if not room or not _accepts(guesser, row[0]):
            self._growth.learn(node, [], [])
            return False
        self._guessers[node] = guesser
        self._places[node] = len(parents)
        self.seat.nodes.append(row)
        self._asked.append(node)
        return True

    def _learn(self, node: int, logits: np.ndarray) -> None:
        position = len(self._wish.tokens) + len(self._growth.path(node))
        try:
            tokens, probable = self._guessers[node].likeliest(logits, position, self._leaves)
        except (GrammarError, UsageError):
            tokens, probable = np.empty(0, np.int64), np.empty(0)
        keep = [token not in self._wish.ends for token in tokens.tolist()]
        self._growth.learn(node, tokens[keep], probable[keep])


def chained(tokens: Sequence[int]) -> Ask:
    return [(token, place - 1) for place, token in enumerate(tokens)]


def _accepts(guesser: Guesser, token: int) -> bool:
    try:
        guesser.accept(token)
    except GrammarError:
        return False
    return True
