"""Turns that want something said again: words, the last message, the last answer."""

from .grammar import phrase
from .talk import Intent, Talk
from .words import COLOURS, EDIBLES, JOBS, PETS, TOWNS, name

REPEAT = (
    "[repeat|say|repeat after me|write|please repeat|say after me|echo|type|copy][:| this:| these words:] {text}",
    "[can you|could you] [repeat|say|write]: {text}",
)
LAST_QUESTION = (
    "what did I [just|] [say|ask|write|ask you]?",
    "[can you repeat|repeat|what was] my [last|previous] [question|message]?",
    "what was the [last thing|thing] I [said|asked]?",
)
AGAIN = (
    "[can you|could you|please|] [repeat|say] that[| again| once more]?",
    "[what|what did you say|sorry, what was that|come again|pardon|once more|again][| please]?",
    "[repeat|say again|tell me again] what you [just |]said",
)


def repeat(talk: Talk) -> None:
    words = [
        talk.rng.choice((*COLOURS, *PETS, *EDIBLES, *TOWNS, *JOBS, name(talk.rng), str(talk.rng.randint(0, 99))))
        for _ in range(talk.rng.randint(1, 6))
    ]
    text = " ".join(words)
    # Not dressed: what is to be repeated must keep its letters.
    asked = phrase(talk.rng, REPEAT).format(text=text)
    talk.say(asked[:1].upper() + asked[1:] if talk.rng.random() < 0.6 else asked, text)


def last_question(talk: Talk) -> None:
    if len(talk.messages) < 2:
        return
    said = talk.messages[-2]["content"]
    if "{" not in said and len(said) < 80:
        talk.turn(LAST_QUESTION, f'You said: "{said}"')


def again(talk: Talk) -> None:
    if len(talk.messages) < 2:
        return
    said = talk.messages[-1]["content"]
    if "{" not in said and "[" not in said and len(said) < 120:
        talk.turn(AGAIN, said)


INTENTS = (
    Intent(3, repeat, REPEAT),
    Intent(0.5, last_question, LAST_QUESTION, asides=0),
    Intent(0.6, again, AGAIN, asides=0),
)
