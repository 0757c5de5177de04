"""Many texts at once, drafted for by unlike drafters, some cancelled and some failing in the middle: each gets what it
gets alone and undrafted, and nothing of any is left over."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from accel.errors import GrammarError
from accel.runtime.drafting.beside import Beside
from accel.runtime.drafting.bounds import Bounds
from accel.runtime.drafting.conductor import Conductor
from accel.runtime.drafting.control import Controller, Guess
from accel.runtime.drafting.copying import Copying
from accel.runtime.drafting.foreign import Foreign, model_drafter
from accel.runtime.drafting.model import ModelDrafter
from accel.runtime.drafting.ngrams import Ngrams
from accel.runtime.drafting.recycling import Recycling
from accel.runtime.drafting.row_costs import RowCosts
from accel.runtime.engines.fake import VOCABULARY, FakeEngine, FakeOptions
from accel.runtime.generate import Generator
from accel.runtime.law import Law
from accel.runtime.messages import Failed, Finished, Generate, GrammarSource, Text
from accel.runtime.outbox import said
from accel.runtime.sequences import Sequences
from accel.runtime.stream import Ticket

from .drafting.tongues import Parrot, Pieces

STORY = "the cat sat on the mat and the dog sat on the log and the cat sat on the dog"
SCRIPT = (("tell", STORY), ("again", STORY), ("repeat", "no no no no no no no no no no no"))
LAWS = [
    Law(temperature=0),
    Law(temperature=0.8, seed=3),
    Law(temperature=0.9, repeat_penalty=1.4, seed=4),
    Law(temperature=1.2, top_k=20, min_p=0.05, seed=5),
]


pytestmark = pytest.mark.usefixtures("looking_is_free")


class Fickle(Controller):
    """Decides by chance: nothing, all, or the first few nodes of what was guessed."""

    seed = 0

    def limit(self, drafter: str, texts: int, most: int, reading: float = 0.0) -> int:
        return int(self._random.integers(0, most + 1)) if texts else 0

    def is_quick(self, drafter: str) -> bool:
        return bool(self._random.integers(2))

    def decide(self, guesses: Sequence[Guess | None]) -> list[Guess | None]:
        return [self._some(guess) if guess else None for guess in guesses]

    def _some(self, guess: Guess) -> Guess | None:
        nodes = range(self._random.integers(0, len(guess.draft) + 1))
        return replace(guess, draft=guess.draft.part(nodes), kinds=guess.kinds[: len(nodes)]) if nodes else None

    @property
    def _random(self) -> np.random.Generator:
        return self.__dict__.setdefault("chance", np.random.default_rng(Fickle.seed))


class Everyone:
    """All drafters there are, over a target."""

    def __init__(self, target: Any, model: str, leaves: int, fail_at: int, nodes: int) -> None:
        self.copying, self.ngrams = Copying(1.0), Ngrams(VOCABULARY, 1.0)
        drafters: dict[str, Any] = {
            "copying": self.copying,
            "ngrams": self.ngrams,
            "recycling": Recycling(VOCABULARY, leaves),
        }
        self.engine: Any = FakeEngine(FakeOptions(context=700, sequences=3, branches=4, script=SCRIPT, fail_at=fail_at))
        if model == "near":
            self.engine = FakeEngine(replace(self.engine.options, fail_at=0), layers=(0, 1, 2))
        if model == "foreign":
            self.engine = Parrot(Pieces(["the ", " cat", " sat", "no"]), STORY, sequences=3)
        self.model = model_drafter(self.engine, target.vocabulary, 0.0, leaves)
        self.beside = Beside(self.model) if model == "beside" and isinstance(self.model, ModelDrafter) else None
        drafters["model"] = self.beside or self.model
        self.told: list[int] = []
        self.conductor = Conductor(
            drafters,
            Fickle(RowCosts(None)),
            Bounds(nodes, target.can.branches),
            lambda number, why: self.told.append(number),
        )

    def check_nothing_is_left(self) -> None:
        if self.beside:
            self.beside.close()
        assert self.copying._texts == self.ngrams._texts == self.conductor._told == {}
        drafter = self.model
        if isinstance(drafter, Foreign):
            assert drafter._readings == {}
            drafter = drafter._drafter
        for seat in drafter._seats._seats:
            if "model" in self.conductor.drafters:
                assert seat.number is None
            assert self.engine.length(seat.sequence) == len(seat.tokens)


def script_of(request: Generate, desk: "Desk") -> tuple[Any, Any, str]:
    desk.add(request)
    desk.run()
    return desk.answers()[request.id]


class Desk:
    def __init__(self, engine: Any, conductor: Conductor | None) -> None:
        self.engine, self.said = engine, list[Any]()
        self.sequences = Sequences(engine)
        self.generator = Generator(engine, self.sequences, lambda each: self.said.extend(said(each)), conductor)
        self.tickets: dict[int, Ticket] = {}

    def add(self, request: Generate) -> None:
        ticket = self.tickets[request.id] = Ticket(request)
        self.generator.add(ticket)

    def cancel(self, id: int) -> None:
        self.tickets[id].cancel()
        self.generator.end_cancelled()

    def run(self, steps: int = 20_000) -> bool:
        return all(self.generator.step() for _ in range(steps))

    def answers(self) -> dict[int, tuple[Any, Any, str]]:
        texts: dict[int, str] = {}
        found: dict[int, tuple[Any, Any, str]] = {}
        for each in self.said:
            if isinstance(each, Text):
                assert each.id not in found  # nothing follows an end
                texts[each.id] = texts.get(each.id, "") + each.text
            elif isinstance(each, Finished):
                found[each.id] = each.tokens, each.reason, texts.get(each.id, "")
            elif isinstance(each, Failed):
                found[each.id] = None, each.kind, texts.get(each.id, "")
        return found

    def check_nothing_is_left(self) -> None:
        assert self.sequences.promised == self.generator.running == self.generator.waiting == 0
        seats = self.sequences._seats
        assert not any(seat.taken for seat in seats)
        assert [self.engine.length(seat.number) for seat in seats] == [len(seat.tokens) for seat in seats]
        assert not any(line.nodes for line in self.engine._sequences)
        cells = {id(cell) for line in self.engine._sequences for cell in line.committed}
        assert self.engine._used == len(cells) <= self.engine.can.context


@st.composite
def requests(draw: st.DrawFn) -> list[Generate]:
    count = draw(st.integers(1, 7))
    wish = st.fixed_dictionaries(
        {
            "prompt": st.sampled_from(["tell", "again", "repeat", "something else", "a"]),
            "law": st.sampled_from(LAWS),
            "most": st.integers(1, 50),
            "stops": st.sampled_from([(), (), ("sat",), ("no no no no",)]),
            "grammar": st.sampled_from([None, None, None, GrammarSource("regex", "[a-e ]{5,40}")]),
        }
    )
    wishes = draw(st.lists(wish, min_size=count, max_size=count))
    names = draw(st.lists(st.integers(0, 4), min_size=count, max_size=count))  # some are of one conversation
    return [
        Generate(id, f"c{name}", **{**wish, "prompt": (wish["prompt"],)})
        for id, (wish, name) in enumerate(zip(wishes, names, strict=True), 1)
    ]


@settings(max_examples=60, deadline=None)
@given(
    asked=requests(),
    model=st.sampled_from(["same", "near", "foreign", "beside"]),
    leaves=st.integers(1, 4),
    branches=st.integers(0, 6),
    nodes=st.integers(0, 20),
    context=st.integers(160, 900),
    decodes=st.booleans(),
    cancels=st.dictionaries(st.integers(1, 7), st.integers(1, 25), max_size=2),
    spoiled=st.dictionaries(st.integers(1, 7), st.integers(1, 20), max_size=1),
    later=st.integers(0, 6),
    fail_at=st.integers(0, 12),
    seed=st.integers(0, 10**6),
)
def test_every_text_is_what_it_is_alone_and_nothing_is_left_of_any(
    asked, model, leaves, branches, nodes, context, decodes, cancels, spoiled, later, fail_at, seed
):
    options = FakeOptions(
        context=context, sequences=4, branches=branches, outputs=32, decodes=decodes, script=SCRIPT, answer_length=60
    )
    alone = {each.id: script_of(each, Desk(FakeEngine(options), None)) for each in asked}
    Fickle.seed = seed
    engine = FakeEngine(options)
    everyone = Everyone(engine, model, min(leaves, 1 + branches), fail_at, nodes)
    desk = Desk(engine, everyone.conductor)
    spoil(desk.generator, spoiled)
    cancels = {id: at for id, at in cancels.items() if id <= len(asked)}
    for each in asked[: len(asked) - later] or asked[:1]:
        desk.add(each)
    for at in range(1, 30):
        desk.run(1)
        if at == 5:
            for each in asked:
                if each.id not in desk.tickets:
                    desk.add(each)
        for id in (id for id, when in cancels.items() if when == at and id in desk.tickets):
            desk.cancel(id)
    desk.run()
    found, stops = desk.answers(), {each.id: each.stops for each in asked}
    assert found.keys() == alone.keys()
    for id, (tokens, reason, text) in found.items():
        if reason == "cancelled":
            assert id in cancels and tokens == alone[id][0][: len(tokens)]
            # What might have become a stop string is said when it can become one no more.
            held = [stop[:size] for stop in stops[id] for size in range(1, len(stop) + 1) if text.endswith(stop[:size])]
            assert any(alone[id][2].startswith(text.removesuffix(each)) for each in ("", *held))
        elif reason == "GrammarError" and id in spoiled:
            assert alone[id][2].startswith(text)
        else:
            assert (tokens, reason, text) == alone[id]
    desk.check_nothing_is_left()
    everyone.check_nothing_is_left()


def test_all_drafters_come_in_and_are_right_now_and_then_in_chains_and_trees():
    options = FakeOptions(context=900, sequences=4, branches=4, outputs=32, script=SCRIPT, answer_length=60)
    asked = [Generate(id, f"c{id}", (("tell", "repeat")[id % 2],), LAWS[0], 50) for id in range(1, 6)]
    uses: dict[str, list[int]] = {}
    leaves = set[int]()
    for Fickle.seed, model in enumerate(("same", "near", "foreign", "beside")):
        engine = FakeEngine(options)
        everyone = Everyone(engine, model, 3, 0, 20)
        observe = everyone.copying.observe
        everyone.copying.observe = lambda verdicts, rows, observe=observe: (
            leaves.update(verdict.draft.leaves for verdict in verdicts),
            observe(verdicts, rows),
        )[1]
        desk = Desk(engine, everyone.conductor)
        for each in asked:
            desk.add(each)
        desk.run()
        everyone.check_nothing_is_left()
        for name, use in everyone.conductor.uses.items():
            uses.setdefault(f"{name} {model}" if name == "model" else name, []).append(min(use.drafted, use.stood))
    assert len(uses) == 7 and all(map(max, uses.values())), uses
    assert {1, 2, 3} <= leaves


def spoil(generator: Any, spoiled: dict[int, int]) -> None:
    """A text fails in a drafted step once it has so many tokens."""
    verify = generator._verify

    def failing(stream: Any, *more: Any) -> Any:
        if stream.answered >= spoiled.get(stream.id, 1000):
            generator._fail(stream, GrammarError("the grammar leaves no token"))
            return None
        return verify(stream, *more)

    generator._verify = failing


@settings(max_examples=20, deadline=None)
@given(requests(), st.integers(3, 12), st.integers(0, 10**6), st.sampled_from(["same", "near"]))
def test_after_a_forward_that_failed_the_next_texts_are_what_they_are_alone(asked, fail_at, seed, model):
    options = FakeOptions(context=900, sequences=4, branches=4, outputs=32, script=SCRIPT, answer_length=60)
    alone = {each.id: script_of(each, Desk(FakeEngine(options), None)) for each in asked}
    Fickle.seed = seed
    engine = FakeEngine(replace(options, fail_at=fail_at))
    everyone = Everyone(engine, model, 3, 0, 20)
    desk = Desk(engine, everyone.conductor)
    for each in asked:
        desk.add(each)
    desk.run()
    assume(engine.forwards >= fail_at)
    for id, answer in desk.answers().items():
        assert answer[1] == "EngineError" or answer == alone[id]
    assert any(reason == "EngineError" for _, reason, _ in desk.answers().values())
    desk.check_nothing_is_left()
    desk.said.clear()
    for each in asked:
        desk.add(msgspec.structs.replace(each, id=each.id + 100))
    desk.run()
    assert {id - 100: answer for id, answer in desk.answers().items()} == alone
    desk.check_nothing_is_left()
    everyone.check_nothing_is_left()
