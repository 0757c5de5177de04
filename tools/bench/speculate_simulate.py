"""Drafting without an engine: the drafters and the controller as they are, over recorded texts, with measured costs for
a clock. The same recording and code give the same figures, in a second or so: to see what a change to either is worth.

    python tools/bench/speculate_simulate.py RECORDING.json... [--costs Q8_0] [--noise 0.05] [--why]

For each recording: tokens a second against plain decoding, of the controller, of an oracle (`speculate_oracle.py`), of
every fixed setting, and of llama.cpp's drafters that need no model (`speculate_rivals.py`). Recordings come from
`speculate.py record`. What is not as it would be: a row after a guess that fell teaches nobody here, since nobody knows
what it held; and costs do not grow with the text.
"""

import argparse
import copy
import json
import math
import sys
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast
from unittest import mock

import msgspec
from speculate_oracle import oracle_seconds
from speculate_recording import CURVES, Half, Recording, load, usual
from speculate_rivals import RIVALS, Rival
from speculate_world import Clock, KnownRows, Told, context_of, follow, timed

from accel.runtime.drafting import conductor as conducting
from accel.runtime.drafting.conductor import Conductor
from accel.runtime.drafting.control import Controller
from accel.runtime.drafting.draft import Draft, Drafter
from accel.runtime.drafting.make import Kept
from accel.runtime.drafting.options import DraftingOptions

FIXED = (1, 2, 3, 4, 7, 8, 15, 16, 31)  # lengths of fixed settings
MODEL = "model"  # the drafter that a recording's guesses are of


@dataclass(slots=True)
class State:
    """What a worker has learned."""

    drafters: dict[str, Drafter]
    controller: Controller

    def after(self, other: "State") -> "State":
        """The controller of one worker and the drafters of another: they have not seen the last text."""
        return State(copy.deepcopy(other.drafters), self.controller)


@dataclass(slots=True)
class Run:
    """What came of texts."""

    seconds: float = 0.0
    tokens: int = 0
    steps: int = 0  # forwards
    drafted: int = 0  # of them, with a draft
    nodes: int = 0
    stood: int = 0
    who: Counter[str] = field(default_factory=Counter)  # drafted steps
    lost: list[str] = field(default_factory=list)  # why it was decided so, where that was wrong

    @property
    def figures(self) -> dict[str, float]:
        return {
            "acceptance": self.stood / max(1, self.nodes),
            "tokens_a_forward": self.tokens / max(1, self.steps),
            "steps_drafted": self.drafted / max(1, self.steps),
        }


def fresh(recording: Recording) -> State:
    """A worker's drafters as they are made, with the recorded draft model behind them."""
    world = recording.world
    nobody = SimpleNamespace(
        vocabulary=SimpleNamespace(size=world.vocabulary, ends=frozenset()),
        spec=SimpleNamespace(fingerprint="-"),
        can=SimpleNamespace(branches=0),
    )
    made = Kept(cast(Any, nobody), DraftingOptions("", world.rows, world.seconds)).conductor
    if recording.texts[0].guesses:
        made.drafters[MODEL] = Told(recording.texts)
    return State(made.drafters, made.controller)


def run(state: State, recording: Recording, number: int, clock: Clock, into: Run, why: bool = False) -> None:
    """One text as `Generator` decodes one that is alone."""
    text, world = recording.texts[number], recording.world
    conductor = Conductor(timed(state.drafters, world.looks, clock), state.controller)
    tokens = list(text.tokens[: text.first])
    context = context_of(text, number, tokens, world)
    began = clock.now
    with mock.patch.object(conducting, "time", clock):
        while left := len(text.tokens) - len(tokens):
            at = len(tokens)
            turn = None
            if conductor.is_due() or left < 2:
                clock.spend(world.turn)
                turn = conductor.turn([context], [min(world.most, left - 1)])
            if turn and (turn.drafts or left < 2):
                verdict = follow(turn.draft(0), text.tokens, at)
                seconds = clock.spend(world.step(1 + len(verdict.draft)))
                tokens += verdict.tokens
                rows = KnownRows(text, at, verdict, world.vocabulary)
                conductor.stepped(turn, [verdict], rows, 1 + len(verdict.draft), seconds)
                clock.spend(world.learning.of(1 + len(verdict.draft)))
                into.steps += 1
                if guess := turn.decided[0]:
                    into.drafted += 1
                    into.who[guess.drafter] += 1
                    into.nodes += len(verdict.draft)
                    into.stood += len(verdict.path)
                    slower = seconds > len(verdict.tokens) * world.plain
                    if why and slower:
                        into.lost.append(f"{text.name}@{at}: {len(verdict.path)} stood; {conductor.why}")
            else:
                count = min(left, max(2, conductor.pace()))
                came = text.tokens[at : at + count]
                tokens += came
                conductor.decoded(turn, came, clock.spend(count * world.plain))
                into.steps += count
    conductor.forget(number)
    into.seconds += clock.now - began
    into.tokens += text.decoded


def run_fixed(
    drafters: Mapping[str, Drafter], name: str, length: int, recording: Recording, number: int, clock: Clock
) -> None:
    """One text, with always so many nodes of one drafter, as far as it guesses at all."""
    text, world, drafter = recording.texts[number], recording.world, drafters[name]
    tokens = list(text.tokens[: text.first])
    context = context_of(text, number, tokens, world)
    while left := len(text.tokens) - len(tokens):
        drafter.start([context], [min(length, world.most, left - 1)])
        (draft,) = drafter.take()
        verdict = follow(draft, text.tokens, len(tokens))
        step = world.step(1 + len(draft)) if draft else world.plain
        clock.spend(world.looks[name].of(len(draft)) + step)
        drafter.observe([verdict], KnownRows(text, len(tokens), verdict, world.vocabulary))
        tokens += verdict.tokens
    drafter.forget(number)


def run_rival(rival: Rival, recording: Recording, number: int, clock: Clock) -> None:
    """One text, drafted for by one of llama.cpp's; looking takes it no time."""
    text, world = recording.texts[number], recording.world
    tokens = list(text.tokens[: text.first])
    rival.begin(tokens[:-1])
    while left := len(text.tokens) - len(tokens):
        verdict = follow(Draft.chain(rival.draft(tokens)[: min(world.most, left - 1)]), text.tokens, len(tokens))
        clock.spend(world.step(1 + len(verdict.draft)) if verdict.draft else world.plain)
        if verdict.draft:
            rival.accept(len(verdict.path))
        tokens += verdict.tokens


def simulate(recording: Recording, noise: float = 0.0, why: bool = False) -> dict[str, Any]:
    """All figures of a cell."""
    world, report = recording.world, recording.half("report")
    clock = Clock(noise)
    state = fresh(recording)
    for number in recording.half("tune"):
        run(state, recording, number, clock, Run())
    learned = State(copy.deepcopy(state.drafters), copy.deepcopy(state.controller))
    ours = Run()
    texts: dict[str, float] = {}
    for number in report:
        before, state = ours.seconds, state.after(learned)
        run(state, recording, number, clock, ours, why)
        text = recording.texts[number]
        texts[text.name] = text.decoded * world.plain / (ours.seconds - before)
    plain = sum(recording.texts[number].decoded for number in report) * world.plain
    oracles = [oracle_seconds(learned.drafters, recording, number) for number in report]
    oracle = {name: plain / sum(each[name] for each in oracles) for name in oracles[0]}
    fixed = {
        (name, length): (
            _fixed_seconds(None, name, length, recording, "tune"),
            _fixed_seconds(learned, name, length, recording, "report"),
        )
        for name in learned.drafters
        for length in FIXED
        if length <= world.most
    }
    plain_tuning = sum(recording.texts[number].decoded for number in recording.half("tune")) * world.plain
    chosen = min(fixed, key=lambda setting: fixed[setting][0])
    found = plain / fixed[chosen][1] if fixed[chosen][0] < plain_tuning else 1.0
    rivals = {name: plain / _rival_seconds(name, recording) for name in RIVALS}
    best_rival = max(rivals, key=lambda name: rivals[name])
    ratio = plain / ours.seconds
    return {
        "ours": ratio,
        "oracle": oracle["all"],
        "oracle_share": ratio / oracle["all"],
        "oracle_of": {name: value for name, value in oracle.items() if name != "all"},
        "fixed": found,
        "fixed_setting": list(chosen) if fixed[chosen][0] < plain_tuning else ["plain", 0],
        "fixed_share": ratio / found,
        "fixed_in_hindsight": max(1.0, *(plain / seconds for _, seconds in fixed.values())),
        "llama_simulated": max(1.0, rivals[best_rival]),
        "llama_setting": best_rival if rivals[best_rival] > 1 else "plain",
        **ours.figures,
        "who": dict(ours.who),
        "texts": texts,
        **({"lost": ours.lost} if why else {}),
    }


def _fixed_seconds(learned: State | None, name: str, length: int, recording: Recording, half: Half) -> float:
    """On the half that it is chosen by, drafters learn from text to text; on the other they have learned."""
    clock, drafters = Clock(), fresh(recording).drafters
    for number in recording.half(half):
        if learned:
            drafters = {name: copy.deepcopy(learned.drafters[name])}
        run_fixed(drafters, name, length, recording, number, clock)
    return clock.now


def _rival_seconds(name: str, recording: Recording) -> float:
    clock = Clock()
    rival = RIVALS[name]()
    for number in (*recording.half("tune"), *recording.half("report")):
        if number == recording.half("report")[0]:
            clock.now = 0.0
        run_rival(rival, recording, number, clock)
    return clock.now


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("recordings", type=Path, nargs="+")
    parser.add_argument("--costs", choices=tuple(CURVES), help="of a model of 1.1 B parameters, for those recorded")
    parser.add_argument("--noise", type=float, default=0.0, help="of every forward's time: deviation of its logarithm")
    parser.add_argument("--why", action="store_true", help="list the drafts that lost, and why they were made")
    given = parser.parse_args()
    found: list[dict[str, Any]] = []
    for path in given.recordings:
        recording = load(path)
        if given.costs:
            recording = msgspec.structs.replace(recording, world=usual(given.costs, recording.world.vocabulary))
        found.append(simulate(recording, given.noise, given.why))
        print(json.dumps({**recording.cell, **found[-1]}), flush=True)
    means = {
        name: math.exp(sum(math.log(each[name]) for each in found) / len(found))
        for name in ("ours", "oracle", "oracle_share", "fixed", "fixed_share", "llama_simulated")
    }
    words = ", ".join(f"{name} {value:.3f}" for name, value in means.items())
    worst = min(range(len(found)), key=lambda place: found[place]["oracle_share"])
    print(f"geometric means of {len(found)}: {words}; least share of the oracle's: "
          f"{found[worst]['oracle_share']:.3f} in {given.recordings[worst].name}", file=sys.stderr)  # fmt: skip


if __name__ == "__main__":
    main()
