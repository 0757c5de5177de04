"""Phrasings as patterns: `[a|b]` is one of several, `{name}` a slot. The same pattern writes and recognises."""

import re
from collections.abc import Sequence
from functools import cache
from itertools import accumulate
from random import Random

from .everyday import EVERYDAY

Part = str | tuple["Part", ...]

SLOT = re.compile(r"\\\{([a-z_0-9]+)\\\}")
NUMBER = r"(?:\d+|zero|one|two|three|four|five|six|seven|eight|nine|ten|\w+teen|eleven|twelve|twenty)"
# What a recogniser lets stand in a slot; in any other slot one to three words.
SLOTS = {
    "a": NUMBER,
    "b": NUMBER,
    "sign": "[-+x]",
    "text": ".+",
    "letter": r"\w",
    "many": ".+",
    "alternative": ".+",
    "noun": ".+",
    "animal": r"\w+",
    "owner": r"(?:an?|the) \w+(?: \w+)?",
    "kind": r"an? \w+(?: \w+)*",
}
WORDS = r"[\w'.:/-]+(?: [\w'.:/-]+){0,2}"

# Words that seldom decide what is meant: slips put them in, leave them out and change their places.
IDLE = (
    "the a an of to in on at by for with from about it that this these those there here then now just really very "
    "quite maybe perhaps also too even only still once always often we they our their us them some any all each "
    "every is are was were be been being has have had do does did can could will would shall should may might "
    "must get take make see look go come say said tell think like want need use put right good well please so and "
    "or but if while thing things way time people person someone something world kind sort exactly actually today"
)
FILLERS = IDLE.split()

WRAPS = (
    "{q}",
    "{q}",
    "{q}",
    "{q}",
    "{q}",
    "{q}",
    "{q}",
    "{q}",
    "[hi|hello|hey|okay|ok|so|well|please|right|good|great|thanks|alright|now|um|hmm]{comma} {q}",
    "[quick|small|easy|simple|another|next|one more|my next|here is a] question: {q}",
    "[I have a question|let me ask you something|tell me something|answer me this|here is one for you]: {q}",
    "{q} [please|thanks|thank you|pls]",
    "{q} [I forgot|I can't remember|I have no idea|I need it for school|I am curious|just curious|if you know|if "
    "you can|"
    "in short|as far as you know|do you know|any idea|I really want to know|could you say|tell me]",
    "[my friend|my teacher|my son|my daughter|my mother|my father|someone|a child|my boss|a friend of mine] "
    "[asked me|wants to know|asks|asked|would like to know|wonders][:|,] {q}",
    "[I was wondering|I have been wondering|I am thinking about this|here is something|my question is|what I want "
    "to know is|"
    "help me please|I need your help|let us see|let's see|let's try this|try this one|this should be easy|I bet you "
    "know this]"
    "[:|,|.] {q}",
    "[please|kindly|just|quickly] [answer|help me with] [this|this one]: {q}",
)


@cache
def parse(pattern: str) -> tuple:
    """The tree of a pattern: a tuple of texts and of tuples of alternatives, each a tree again."""
    stack: list[list[list]] = [[[]]]
    for piece in re.split(r"([\[\]|])", pattern):
        if piece == "[":
            stack.append([[]])
        elif piece == "|" and len(stack) > 1:
            stack[-1].append([])
        elif piece == "]":
            choices = stack.pop()
            stack[-1][-1].append(tuple(tuple(choice) for choice in choices))
        elif piece:
            stack[-1][-1].append(piece)
    if len(stack) != 1:
        raise ValueError(f"unbalanced pattern: {pattern}")
    return tuple(stack[0][0])


def expand(rng: Random, pattern: str) -> str:
    """One of the texts that a pattern stands for, its slots still open."""
    return _expand(rng, parse(pattern))


def _expand(rng: Random, tree: tuple) -> str:
    return "".join(part if isinstance(part, str) else _expand(rng, rng.choice(part)) for part in tree)


@cache
def count(pattern: str) -> int:
    """How many texts a pattern stands for, slots not counted."""

    def of(tree: tuple) -> int:
        total = 1
        for part in tree:
            total *= 1 if isinstance(part, str) else sum(of(choice) for choice in part)
        return total

    return of(parse(pattern))


def tidy(text: str) -> str:
    return re.sub(r" ([?.!,])", r"\1", " ".join(text.split()))


@cache
def _shares(patterns: tuple[str, ...]) -> tuple[float, ...]:
    return tuple(accumulate(min(count(pattern), 60) ** 0.5 for pattern in patterns))


def phrase(rng: Random, patterns: Sequence[str]) -> str:
    """A text from one of the patterns (those with more phrasings more often), its slots still open."""
    return tidy(expand(rng, rng.choices(patterns, cum_weights=_shares(tuple(patterns)))[0]))


def slip(rng: Random, phrasing: str) -> str:
    """A phrasing whose slots are still open, as someone else would put it: words left out, put in, changed over.

    A model that only ever reads whole patterns learns patterns; with slips it learns which words matter.
    """
    words = phrasing.split()
    for _ in range(rng.choice((1, 2, 2, 3, 4))):
        at = rng.randrange(len(words))
        fate = rng.random()
        if fate < 0.4:
            # Where a slot follows, a telling word could be taken for what is in it.
            telling = rng.random() < 0.3 and "{" not in words[at]
            words.insert(at, rng.choice(EVERYDAY if telling else FILLERS))
        elif words[at].lower() not in FILLERS or len(words) < 4:
            continue
        elif fate < 0.65:
            del words[at]
        elif fate < 0.85:
            words.insert(rng.randrange(len(words)), words.pop(at))
        else:
            words[at] = rng.choice(FILLERS)
    return " ".join(words)


def dress(rng: Random, question: str) -> str:
    """The question as people type it: politely, in lower case, without its full stop."""
    wrap = expand(rng, rng.choice(WRAPS)).format(q="{q}", comma=rng.choice((",", ",", "", "!")))
    if not wrap.startswith("{q}") and not question.startswith(("I ", "I'")) and rng.random() < 0.7:
        question = question[:1].lower() + question[1:]
    if wrap.startswith("{q} "):
        question = question.rstrip("?.") + rng.choice((",", "", "?"))
    text = wrap.format(q=question)
    fate = rng.random()
    if fate < 0.2:
        text = text.lower()
    elif fate < 0.6:
        text = text[:1].upper() + text[1:]
    if rng.random() < 0.3:
        text = text.rstrip("?.!")
    if rng.random() < 0.05:
        text = text.replace("'", "")
    return text


def plain(text: str) -> str:
    """A text without case, punctuation at its end and double spaces: what two phrasings are compared by."""
    return " ".join(text.lower().split()).rstrip("?.!, ")


def fixed(phrasing: str) -> list[str]:
    """Runs of letters that every text of a phrasing holds, whatever is in its slots."""
    return re.findall(r"[a-z]{3,}", re.sub(r"\{[a-z_0-9]+\}", " ", phrasing.lower()))


def recogniser(pattern: str) -> re.Pattern[str]:
    """Matches every `plain` text that `phrase` can write from a pattern, whatever is in the slots."""

    def literal(text: str) -> str:
        text = re.escape(text.lower()).replace(r"\ ", " *").replace("'", "'?")
        for mark in (r"\?", r"\.", "!"):  # `plain` takes them off an end
            text = text.replace(mark, f"{mark}?")
        return SLOT.sub(lambda slot: SLOTS.get(slot[1], WORDS), text)

    def of(tree: tuple) -> str:
        return "".join(
            literal(part) if isinstance(part, str) else "(?:" + "|".join(of(choice) for choice in part) + ")"
            for part in tree
        )

    return re.compile(of(parse(pattern)) + r"[?.!, ]*")
