"""One conversation in the making: its messages and what the user has said in it."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from random import Random

from .grammar import dress, expand, phrase, plain, recogniser, slip, tidy
from .questions import QUESTIONS

EXAMINATION = [plain(turn) for question in QUESTIONS for turn in question.turns]


def in_examination(phrasing: str) -> bool:
    """Whether a phrasing with open slots could write what the examination asks."""
    shape = recogniser(re.sub(r"[\[\]|]", "", phrasing))
    return any(shape.fullmatch(text) for text in EXAMINATION)


@dataclass
class Talk:
    rng: Random
    messages: list[dict[str, str]] = field(default_factory=list)
    known: dict[str, str] = field(default_factory=dict)
    assistant: str | None = None
    slips: float = 0.5

    def turn(self, patterns: Sequence[str], answer: str, dressed: bool = True, **slots: object) -> None:
        """One question, phrased by one of the patterns, and its answer (a pattern too, with the same slots)."""
        asked = phrase(self.rng, patterns)
        if self.rng.random() < self.slips:
            other = slip(self.rng, asked)
            asked = asked if in_examination(other) else other
        question = tidy(asked.format(**slots))
        if dressed:
            question = dress(self.rng, question)
        reply = tidy(expand(self.rng, answer).format(**slots))
        # Commands keep their small letters, also where they begin a sentence.
        self.say(question, reply if reply.startswith(("accel", "make ")) else reply[:1].upper() + reply[1:])

    def say(self, question: str, answer: str) -> None:
        self.messages += [{"role": "user", "content": question}, {"role": "assistant", "content": answer}]


@dataclass(frozen=True)
class Intent:
    """A kind of turn: its share in the corpus, what plays it, and every pattern it may ask with."""

    weight: float
    play: Callable[[Talk], None]
    patterns: tuple[str, ...]
