"""Texts become vectors between the steps of those that are answered, and neither sees the other."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from accel.errors import ContextFull, EngineError, ModelUnsupported
from accel.runtime.embed import Embedder
from accel.runtime.engines.fake import FakeEngine, FakeOptions
from accel.runtime.messages import Embedded, Event, Failed
from accel.runtime.sequences import Sequences


class Wide(FakeEngine):
    """A fake of which one may say what it can."""

    def __init__(self, last: bool = False, broken: bool = False, **options: Any) -> None:
        super().__init__(FakeOptions(**options))
        self.spec = replace(self.spec, pools_last=last)
        self.broken = broken

    def embed(self, seq: int, tokens: Any) -> np.ndarray:
        found = super().embed(seq, tokens)
        if self.broken:
            raise EngineError("it broke")
        return found


def embedder(engine: Any) -> tuple[Embedder, Sequences, list[Event]]:
    told: list[Event] = []
    sequences = Sequences(engine)
    return Embedder(engine, sequences, told.append), sequences, told


def vector(told: list[Event]) -> np.ndarray:
    (event,) = told
    assert isinstance(event, Embedded)
    return np.frombuffer(event.vector, "<f4")


@given(st.lists(st.integers(0, 255), min_size=1, max_size=40), st.integers(1, 9))
@settings(max_examples=30, deadline=None)
def test_a_vector_is_the_mean_of_all_outputs_and_has_length_1(tokens, outputs):
    engine = Wide(outputs=outputs)
    embeds, sequences, told = embedder(engine)
    embeds.add(1, tokens)
    steps = 0
    while embeds.step():
        steps += 1
    assert steps == -(-len(tokens) // outputs)
    alone = np.concatenate([FakeEngine().embed(0, tokens)]).mean(axis=0)
    assert np.allclose(vector(told), alone / np.linalg.norm(alone), atol=1e-6)
    assert sequences.promised == sequences.positions == 0


def test_a_model_that_was_made_for_it_speaks_by_its_last_token():
    embeds, _, told = embedder(Wide(last=True, outputs=2))
    embeds.add(1, [1, 2, 3])
    while embeds.step():
        pass
    last = FakeEngine().embed(0, [1, 2, 3])[-1]
    assert np.allclose(vector(told), last / np.linalg.norm(last), atol=1e-6)


def test_it_waits_for_a_sequence_and_for_room():
    engine = Wide(context=20, sequences=1)
    embeds, sequences, told = embedder(engine)
    found = sequences.take(None, list(range(8)))
    assert found
    embeds.add(1, [1, 2, 3])
    assert not embeds.step() and len(embeds) == 1
    sequences.release(found[0], [], 8)
    assert embeds.step() and len(embeds) == 0 and told


def test_caches_of_others_give_way():
    engine = Wide(context=20, sequences=2)
    embeds, sequences, told = embedder(engine)
    found = sequences.take(None, list(range(15)))
    assert found
    engine.embed(found[0].number, list(range(15)))
    sequences.release(found[0], list(range(15)), 15)
    embeds.add(1, [1] * 10)
    assert embeds.step() and told and sequences.positions == 0


def test_what_fails_is_told_and_gives_its_sequence_back():
    embeds, sequences, told = embedder(Wide(broken=True))
    embeds.add(1, [1, 2, 3])
    assert embeds.step() and not embeds.step()
    assert isinstance(told[0], Failed) and told[0].what == "it broke"
    assert sequences.promised == sequences.positions == 0


def test_what_can_never_be_done_is_refused():
    engine = Wide(context=20)
    embeds, _, _ = embedder(engine)
    with pytest.raises(ContextFull, match="21 tokens and the context holds 20"):
        embeds.add(1, [1] * 21)
    engine.can = replace(engine.can, embeds=0)
    with pytest.raises(ModelUnsupported, match="no vectors"):
        embeds.add(1, [1])
