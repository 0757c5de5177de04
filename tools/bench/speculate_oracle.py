"""The best that could be made of the drafters' guesses by one who knows every text in advance, at the same costs."""

import copy
from collections.abc import Mapping

from speculate_recording import Recording
from speculate_world import KnownRows, context_of, follow

from accel.runtime.drafting.draft import Drafter, Verdict
from accel.runtime.drafting.immediate import Immediate


def oracle_seconds(drafters: Mapping[str, Drafter], recording: Recording, number: int) -> dict[str, float]:
    """Of decoding one text in the best way: at every position plainly, or with the first nodes of what some drafter
    guesses there that stand. Drafters know what they were given with, and the text so far; what a drafter doubts, an
    oracle need not. It pays for the looks that it makes use of and for no others.

    With all drafters ("all"), and with each of them alone: how much lies in knowing whose guess will stand."""
    right = {name: _right(copy.deepcopy(drafter), recording, number) for name, drafter in drafters.items()}
    alone = {name: _best({name: counts}, recording, number) for name, counts in right.items()}
    return {"all": _best(right, recording, number), **alone}


def _best(right: Mapping[str, list[int]], recording: Recording, number: int) -> float:
    text, world = recording.texts[number], recording.world
    end = len(text.tokens)
    best = [0.0] * (end + 1)  # seconds from a position to the end
    for at in range(end - 1, text.first - 1, -1):
        best[at] = world.plain + best[at + 1]
        for name, counts in right.items():
            look = world.looks[name]
            for nodes in range(1, min(counts[at - text.first], world.most, end - 1 - at) + 1):
                seconds = look.of(nodes) + world.step(1 + nodes) + best[at + 1 + nodes]
                best[at] = min(best[at], seconds)
    return best[text.first]


def _right(drafter: Drafter, recording: Recording, number: int) -> list[int]:
    """At every position, how many nodes of a drafter's guess stand, one after another."""
    text, world = recording.texts[number], recording.world
    tokens = list(text.tokens[: text.first])
    context = context_of(text, number, tokens, world)
    found: list[int] = []
    for at in range(text.first, len(text.tokens)):
        drafter.start([context], [world.most])
        (draft,) = drafter.take()
        if isinstance(drafter, Immediate):
            draft = drafter.guess(context, world.most).draft  # doubts or not
        found.append(len(follow(draft, text.tokens, at).path))
        verdict = Verdict(draft, (), text.tokens[at], 0)  # it must not learn here what it is to guess at the next place
        drafter.observe([verdict], KnownRows(text, at, verdict, world.vocabulary))
        tokens.append(text.tokens[at])
    return found
