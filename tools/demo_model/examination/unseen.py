"""Whether the corpus could hold a question of the examination."""

import re
from collections.abc import Iterator
from functools import cache

from ..corpus import INTENTS
from ..corpus.grammar import WRAPS, plain, recogniser
from ..corpus.sums import held_out
from ..corpus.words import HELD_OUT_NAMES
from .question import Question


@cache
def recognisers() -> tuple[tuple[str, re.Pattern[str]], ...]:
    """Every pattern of the corpus with what recognises its texts; a bare slot, which would match all, left out."""
    patterns = {pattern for intent in INTENTS for pattern in intent.patterns if pattern != "{c}"}
    return tuple((pattern, recogniser(pattern)) for pattern in sorted(patterns))


def check_unseen(question: Question) -> None:
    """Raises ValueError if the corpus could hold this question: its phrasing, its operands or its name."""
    for turn in question.turns:
        for bare in unwrapped(plain(turn)):
            known = [text for text, shape in recognisers() if shape.fullmatch(bare)]
            if known:
                raise ValueError(f"the corpus has this phrasing: {turn!r} as {known[0]!r}")
    if question.operands and not held_out(*question.operands):
        raise ValueError(f"the corpus computes {question.operands}")
    if question.name and question.name not in HELD_OUT_NAMES:
        raise ValueError(f"the corpus may use the name {question.name}")


@cache
def frames() -> tuple[re.Pattern[str], ...]:
    """What recognises the polite frames that the corpus puts around questions; the question is the first group."""
    wraps = [wrap.replace("{q}", "\0").replace("{comma}", "[,|!|]") for wrap in dict.fromkeys(WRAPS) if wrap != "{q}"]
    return tuple(re.compile(recogniser(wrap).pattern.replace("\0", "(.+)")) for wrap in wraps)


def unwrapped(text: str) -> Iterator[str]:
    """The text, and what is left of it without each frame that fits."""
    yield text
    for frame in frames():
        match = frame.fullmatch(text)
        if match:
            yield plain(match[1])
