"""The corpus: conversations without end, each a function of a seed."""

from random import Random

from . import accel, animals, arithmetic, echo, facts, memory, small_talk, sum_stories
from .talk import Intent, Talk
from .words import name

TOPICS = (arithmetic, sum_stories, facts, animals, memory, echo, small_talk, accel)
INTENTS: tuple[Intent, ...] = tuple(intent for topic in TOPICS for intent in topic.INTENTS)
WEIGHTS = tuple(intent.weight for intent in INTENTS)
# At first more of what is said again: copying is learned late, and all at once, unless it is practised.
COPYING_FIRST = tuple(intent.weight * (4 if intent in (*memory.INTENTS, *echo.INTENTS) else 1) for intent in INTENTS)


def conversation(rng: Random, turns: int | None = None, weights: tuple[float, ...] = WEIGHTS) -> list[dict[str, str]]:
    """Messages of one conversation of one to six turns unless told, a system message first in a quarter of them."""
    talk = Talk(rng)
    if rng.random() < 0.25:
        text = rng.choice(small_talk.SYSTEM)
        if rng.random() < 0.3:
            talk.assistant = name(rng)
            text = rng.choice(
                (
                    "You are {x}.",
                    "Your name is {x}.",
                    "You are {x}, a helpful assistant.",
                    "You are an assistant called {x}.",
                )
            ).format(x=talk.assistant)
        talk.messages.append({"role": "system", "content": text})
    for _ in range(turns or rng.choice((1, 2, 2, 3, 3, 4, 5, 6))):
        intent = rng.choices(INTENTS, weights)[0]
        talk.asides, talk.introduces = intent.asides, intent.introduces
        intent.play(talk)
    return talk.messages if any(m["role"] == "user" for m in talk.messages) else conversation(rng, turns, weights)
