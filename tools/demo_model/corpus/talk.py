"""One conversation in the making: its messages and what the user has said in it."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import chain
from random import Random

from ..examination import EXAMINATIONS
from .asides import aside
from .grammar import dress, expand, fixed, phrase, plain, recogniser, slip, tidy

EXAMINATION = [plain(turn) for question in chain(*EXAMINATIONS.values()) for turn in question.turns]


def in_examination(phrasing: str) -> bool:
    """Whether a phrasing with open slots could write what the examinations ask."""
    runs = fixed(phrasing)
    near = [text for text in EXAMINATION if all(run in text for run in runs)]
    if not near:
        return False
    shape = recogniser(re.sub(r"[\[\]|]", "", phrasing))
    return any(shape.fullmatch(text) for text in near)


def by_answer(*tables: dict[tuple[str, ...], str]) -> tuple[tuple[tuple[str, ...], str], ...]:
    """Patterns and the answer to all of them, once for each answer."""
    merged: dict[str, tuple[str, ...]] = {}
    for table in tables:
        for patterns, answer in table.items():
            merged[answer] = merged.get(answer, ()) + patterns
    return tuple((patterns, answer) for answer, patterns in merged.items())


@dataclass
class Talk:
    rng: Random
    messages: list[dict[str, str]] = field(default_factory=list)
    known: dict[str, str] = field(default_factory=dict)
    assistant: str | None = None
    slips: float = 0.5
    asides: float = 0.0
    introduces: bool = False

    def turn(self, patterns: Sequence[str], answer: str, dressed: bool = True, **slots: object) -> None:
        """One question, phrased by one of the patterns, and its answer (a pattern too, with the same slots)."""
        asked = phrase(self.rng, patterns)
        if self.rng.random() < self.slips:
            other = slip(self.rng, asked)
            asked = asked if in_examination(other) else other
        question = tidy(asked.format(**slots))
        if dressed:
            question = dress(self.rng, question)
        question = self.preface(asked, question)
        reply = tidy(expand(self.rng, answer).format(**slots))
        # Commands keep their small letters, also where they begin a sentence.
        self.say(question, reply if reply.startswith(("accel", "make ")) else reply[:1].upper() + reply[1:])

    def preface(self, asked: str, question: str) -> str:
        """The question, now and then with a sentence before it (or behind it) that has nothing to do with it."""
        if self.rng.random() >= self.asides:
            return question
        pattern, slots, told = aside(self.rng, self.introduces)
        if in_examination(f"{pattern} {asked}"):
            return question
        self.known |= told
        said = pattern.format(**slots)
        if not told and self.rng.random() < 0.15 and question.endswith(("?", ".")):
            return f"{question} {said}"
        if self.rng.random() < 0.15:
            said = said.lower()
        return f"{said} {question}" if self.rng.random() < 0.9 else f"{said.rstrip('.!')}, {question}"

    def say(self, question: str, answer: str) -> None:
        self.messages += [{"role": "user", "content": question}, {"role": "assistant", "content": answer}]


@dataclass(frozen=True)
class Intent:
    """A kind of turn: its share in the corpus, what plays it, and every pattern it may ask with."""

    weight: float
    play: Callable[[Talk], None]
    patterns: tuple[str, ...]
    asides: float = 0.12  # how often a sentence that has nothing to do with the question stands before it
    introduces: bool = False  # whether that sentence may tell who the user is
