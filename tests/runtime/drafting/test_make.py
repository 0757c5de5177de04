"""A worker drafts where its engine can take rows back, and keeps what its drafters learned."""

from pathlib import Path
from typing import Any

import pytest

from accel.runtime.drafting.make import drafts_for
from accel.runtime.drafting.options import DraftingOptions
from accel.runtime.engines.fake import FakeEngine, FakeOptions
from accel.runtime.generate import Generator
from accel.runtime.law import Law
from accel.runtime.messages import Finished, Generate
from accel.runtime.outbox import said
from accel.runtime.sequences import Sequences
from accel.runtime.stream import Ticket


def answers(engine: Any, conductor: Any, count: int) -> list[tuple[int, ...]]:
    heard: list[Any] = []
    generator = Generator(engine, Sequences(engine), lambda saying: heard.extend(said(saying)), conductor)
    for id in range(1, count + 1):
        generator.add(Ticket(Generate(id, f"c{id}", ("again and again " * 8,), Law(temperature=0), 60)))
    while generator.step():
        pass
    return [each.tokens for each in heard if isinstance(each, Finished)]


@pytest.mark.parametrize("count", [1, 3])
def test_answers_are_the_same_with_the_drafters_of_a_worker(count, tmp_path):
    options: dict[str, Any] = {"context": 2000, "decodes": True, "answer_length": 200}
    plain = answers(FakeEngine(FakeOptions(**options)), None, count)
    for _ in range(2):  # the second time with what was learned
        engine: Any = FakeEngine(FakeOptions(**options))
        kept = drafts_for(engine, DraftingOptions(str(tmp_path), (1, 16), (1e-3, 1.1e-3)))
        assert kept and answers(engine, kept.conductor, count) == plain
        kept.save()
    assert {"ngrams", "recycling"} <= {path.name.split("-")[0] for path in tmp_path.rglob("*.kept")}


def test_without_options_or_an_engine_that_can_nothing_is_drafted(tmp_path):
    engine: Any = FakeEngine(FakeOptions())
    assert drafts_for(engine, None) is None
    for options in (FakeOptions(rollback=False), FakeOptions(outputs=1)):
        lacking: Any = FakeEngine(options)
        assert drafts_for(lacking, DraftingOptions()) is None
    kept = drafts_for(engine, DraftingOptions())
    assert kept
    kept.save()  # nowhere


def test_what_cannot_be_kept_costs_nothing(tmp_path):
    place = Path(tmp_path / "taken")
    place.write_text("a file")
    kept = drafts_for(FakeEngine(FakeOptions()), DraftingOptions(str(place)))  # type: ignore[arg-type]
    assert kept
    kept.save()
    assert place.read_text() == "a file"
