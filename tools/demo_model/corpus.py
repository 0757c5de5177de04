"""The corpus: conversations without end, each a function of a seed.

python -m tools.demo_model.corpus 5      prints five of them
"""

import sys
from random import Random

from . import corpus_accel, corpus_animals, corpus_arithmetic, corpus_echo, corpus_facts, corpus_memory, corpus_talk
from .talk import Intent, Talk
from .words import name

TOPICS = (corpus_arithmetic, corpus_facts, corpus_animals, corpus_memory, corpus_echo, corpus_talk, corpus_accel)
INTENTS: tuple[Intent, ...] = tuple(intent for topic in TOPICS for intent in topic.INTENTS)
WEIGHTS = tuple(intent.weight for intent in INTENTS)


def conversation(rng: Random, turns: int | None = None) -> list[dict[str, str]]:
    """Messages of one conversation of one to six turns unless told, a system message first in a quarter of them."""
    talk = Talk(rng)
    if rng.random() < 0.25:
        text = rng.choice(corpus_talk.SYSTEM)
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
        intent = rng.choices(INTENTS, WEIGHTS)[0]
        talk.asides, talk.introduces = intent.asides, intent.introduces
        intent.play(talk)
    return talk.messages if any(m["role"] == "user" for m in talk.messages) else conversation(rng, turns)


def main() -> None:
    for seed in range(int(sys.argv[1]) if len(sys.argv) > 1 else 5):
        for message in conversation(Random(seed)):
            print(f"{message['role']:>9}: {message['content']}")
        print()


if __name__ == "__main__":
    main()
