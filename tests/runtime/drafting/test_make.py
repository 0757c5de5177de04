"""A worker drafts where its engine can take rows back, also with a model, and keeps what its drafters learned."""

import json
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest

from accel.errors import EngineError
from accel.runtime.drafting import make
from accel.runtime.drafting.beside import Beside
from accel.runtime.drafting.control import Controller, Guess
from accel.runtime.drafting.foreign import Foreign
from accel.runtime.drafting.make import MODEL, Kept, are_apart, lacking
from accel.runtime.drafting.model import ModelDrafter
from accel.runtime.drafting.options import DraftingOptions
from accel.runtime.engines.fake import FakeEngine, FakeOptions
from accel.runtime.engines.options import EngineOptions
from accel.runtime.generate import Generator
from accel.runtime.law import Law
from accel.runtime.messages import Finished, Generate
from accel.runtime.outbox import said
from accel.runtime.sequences import Sequences
from accel.runtime.stream import Ticket

from .tongues import Parrot, Pieces


def answers(engine: Any, conductor: Any, count: int, first: int = 1) -> list[tuple[int, ...]]:
    heard: list[Any] = []
    generator = Generator(engine, Sequences(engine), lambda saying: heard.extend(said(saying)), conductor)
    for id in range(first, first + count):
        generator.add(Ticket(Generate(id, f"c{id}", ("again and again " * 8,), Law(temperature=0), 60)))
    while generator.step():
        pass
    return [each.tokens for each in heard if isinstance(each, Finished)]


def kept(engine: Any, options: DraftingOptions | None = None, **more: Any) -> Kept:
    return Kept(engine, options or DraftingOptions(), **more)


def with_model(name: str = "fake", leaves: int = 1, **options: Any) -> DraftingOptions:
    return DraftingOptions(engine=name, model=json.dumps(asdict(FakeOptions(**options))), leaves=leaves)


class Eager(Controller):
    def limit(self, drafter: str, texts: int, most: int, reading: float = 0.0) -> int:
        return most

    def decide(self, guesses: Any) -> list[Guess | None]:
        return list(guesses)


@pytest.fixture
def eager(monkeypatch: pytest.MonkeyPatch, looking_is_free: None) -> None:
    """Controllers draft whatever is guessed, and somebody looks at every step."""
    monkeypatch.setattr(make, "Controller", Eager)


@pytest.mark.parametrize("count", [1, 3])
def test_answers_are_the_same_with_the_drafters_of_a_worker(count, tmp_path):
    options: dict[str, Any] = {"context": 2000, "decodes": True, "answer_length": 200}
    plain = answers(FakeEngine(FakeOptions(**options)), None, count)
    for _ in range(2):  # the second time with what was learned
        engine: Any = FakeEngine(FakeOptions(**options))
        drafts = kept(engine, DraftingOptions(str(tmp_path), (1, 16), (1e-3, 1.1e-3)))
        assert answers(engine, drafts.conductor, count) == plain
        drafts.save()
    assert {path.name for path in tmp_path.rglob("*")} == {
        "acceptance-fake.kept",
        "ngrams-fake.kept",
        "recycling-fake.kept",
    }


def test_an_engine_that_cannot_says_why():
    for options, word in ((FakeOptions(rollback=False), "taken back"), (FakeOptions(outputs=1), "1 row")):
        engine: Any = FakeEngine(options)
        assert word in lacking(engine.can) and lacking(engine.can).startswith("drafting off")
    engine = FakeEngine(FakeOptions())
    assert lacking(engine.can) == ""
    kept(engine).save()  # nowhere


def test_what_cannot_be_kept_costs_nothing(tmp_path):
    place = Path(tmp_path / "taken")
    place.write_text("a file")
    kept(FakeEngine(FakeOptions()), DraftingOptions(str(place))).save()
    assert place.read_text() == "a file"


@pytest.mark.parametrize("leaves", [1, 4])
@pytest.mark.parametrize("count", [1, 3])
def test_a_draft_model_saves_forwards_in_chains_and_trees(eager, count, leaves):
    said = "the quick brown fox jumps over the lazy dog and is not seen again"
    options: dict[str, Any] = {"context": 2000, "script": (("again and again " * 8, said),)}
    plain = FakeEngine(FakeOptions(**options))
    expected = answers(plain, None, count)
    engine = FakeEngine(FakeOptions(branches=5, **options))
    drafts = kept(engine, replace(with_model(leaves=leaves, **options), nodes=12))
    for name in ("copying", "ngrams", "recycling"):
        del drafts.conductor.drafters[name]
    assert answers(engine, drafts.conductor, count) == expected
    assert engine.forwards < plain.forwards / 2
    use = drafts.conductor.uses[MODEL]
    assert use.asked and use.drafted >= use.stood > 0 and use.seconds > 0
    drafts.close()


def test_the_model_is_asked_last(eager):
    drafts = kept(FakeEngine(FakeOptions()), with_model())
    assert list(drafts.conductor.drafters) == ["copying", "ngrams", "recycling", MODEL]
    assert isinstance(drafts.conductor.drafters[MODEL], ModelDrafter)


@pytest.mark.parametrize(
    ("options", "word"),
    [
        (with_model("nonsense"), "no engine"),
        (replace(with_model(), model="{"), "cannot be read"),
        (replace(with_model(), model='{"sequences": "many"}'), "cannot be read"),
        (with_model(rollback=False), "cannot draft"),
        (DraftingOptions(engine="llamacpp", model='{"path": "/nowhere.gguf"}'), "/nowhere.gguf"),
    ],
)
def test_a_draft_model_that_cannot_be_used_costs_guesses_and_says_why(options, word):
    engine = FakeEngine(FakeOptions(context=2000))
    drafts = kept(engine, options)
    assert word in str(drafts.conductor.troubles[MODEL]) and word in drafts.conductor.why
    assert answers(engine, drafts.conductor, 2) == answers(FakeEngine(FakeOptions(context=2000)), None, 2)
    drafts.save()
    drafts.close()


def test_a_draft_model_that_fails_again_and_again_is_asked_no_longer(eager, monkeypatch):
    engine = FakeEngine(FakeOptions(context=2000))
    drafts = kept(engine, with_model(context=2000))
    model: Any = drafts.conductor.drafters[MODEL]

    def failing(*_: Any) -> Any:
        raise EngineError("the draft model is not well")

    monkeypatch.setattr(model.engine, "forward", failing)
    assert answers(engine, drafts.conductor, 2) == answers(FakeEngine(FakeOptions(context=2000)), None, 2)
    assert MODEL not in drafts.conductor.drafters and "not well" in drafts.conductor.why


def test_a_draft_model_without_room_says_so_and_is_asked_on(eager):
    engine = FakeEngine(FakeOptions(context=2000))
    drafts = kept(engine, with_model(context=40))
    expected = answers(FakeEngine(FakeOptions(context=2000)), None, 2)
    assert answers(engine, drafts.conductor, 2) == expected
    assert MODEL in drafts.conductor.drafters and "40 positions are too few" in drafts.conductor.why


def test_a_draft_model_with_other_tokens_is_translated(eager, monkeypatch):
    other: Any = Parrot(Pieces(["again", " and", " again"]), "again and again " * 20)
    other.spec, other.close = FakeEngine(FakeOptions()).spec, lambda: None
    monkeypatch.setattr(make, "open_engine", lambda *_: other)
    engine = FakeEngine(FakeOptions(context=2000))
    drafts = kept(engine, with_model())
    assert isinstance(drafts.conductor.drafters[MODEL], Foreign)
    assert answers(engine, drafts.conductor, 2) == answers(FakeEngine(FakeOptions(context=2000)), None, 2)
    assert drafts.conductor.uses[MODEL].asked and not drafts.conductor.trouble()


def test_a_draft_model_works_beside_the_target_only_on_a_device_of_its_own(monkeypatch):
    here, there = EngineOptions("m", gpu_layers=0), EngineOptions("m", gpu_layers=99)
    assert are_apart(here, 8, there, 4) and are_apart(there, 8, here, 4)
    assert not are_apart(here, 8, here, 4) and not are_apart(there, 8, there, 4)
    for half in (replace(there, gpu_layers=7), replace(there, overrides=(("exps", "CPU"),))):
        assert not are_apart(half, 8, here, 4) and not are_apart(half, 8, there, 4)
    assert not are_apart(FakeOptions(), 8, FakeOptions(), 8)


def test_beside_the_target_it_guesses_the_same_and_ends_with_the_worker(eager, monkeypatch):
    monkeypatch.setattr(make, "are_apart", lambda *_: True)
    engine = FakeEngine(FakeOptions(context=2000))
    drafts = kept(engine, with_model(leaves=3, context=2000))
    beside = drafts.conductor.drafters[MODEL]
    assert isinstance(beside, Beside)
    assert answers(engine, drafts.conductor, 2) == answers(FakeEngine(FakeOptions(context=2000)), None, 2)
    assert drafts.conductor.uses[MODEL].stood
    drafts.close()
    with pytest.raises(RuntimeError):
        beside.start([], [])


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    now = [0.0]
    monkeypatch.setattr(make.time, "monotonic", lambda: now[0])

    def sleep(seconds: float) -> None:
        now[0] += seconds

    return sleep


def test_what_was_learned_is_kept_now_and_then_and_only_if_something_was(clock, tmp_path):
    engine = FakeEngine(FakeOptions(context=2000))
    drafts = kept(engine, DraftingOptions(str(tmp_path)))
    assert drafts.due() is None
    answers(engine, drafts.conductor, 1)
    wait = drafts.due()
    assert wait and wait > 60
    clock(wait)
    assert drafts.due() == 0
    drafts.save()
    assert drafts.due() is None and any(tmp_path.iterdir())
    answers(engine, drafts.conductor, 1, first=5)
    assert drafts.due() == wait


def test_without_a_folder_nothing_is_ever_due():
    engine = FakeEngine(FakeOptions(context=2000))
    drafts = kept(engine)
    answers(engine, drafts.conductor, 1)
    assert drafts.due() is None


def test_a_disk_that_fails_is_not_tried_again_at_once(tmp_path):
    place = tmp_path / "taken"
    place.write_text("a file")
    engine = FakeEngine(FakeOptions(context=2000))
    drafts = kept(engine, DraftingOptions(str(place)))
    answers(engine, drafts.conductor, 1)
    drafts.save()
    assert drafts.due() is None


def test_how_often_each_was_right_is_known_again_and_a_draft_model_s_is_its_own(eager, tmp_path, monkeypatch):
    engine = FakeEngine(FakeOptions(context=2000))
    options = replace(with_model(context=2000), folder=str(tmp_path))
    drafts = kept(engine, options)
    answers(engine, drafts.conductor, 2)
    seen = drafts.conductor.controller.drafters
    assert MODEL in seen
    drafts.save()
    again = kept(engine, options).conductor.controller.drafters
    assert {name: each.table() for name, each in again.items()} == {name: seen[name].table() for name in again}
    assert MODEL in again

    opened: Any = FakeEngine(FakeOptions())
    opened.spec = replace(opened.spec, fingerprint="another")
    monkeypatch.setattr(make, "open_engine", lambda *_: opened)
    other = kept(engine, options).conductor.controller.drafters
    assert MODEL not in other and set(other) == set(again) - {MODEL}
