"""What the last layer makes of tokens, of every engine that tells."""

import numpy as np
import pytest

from accel.devices.resident import resident
from accel.errors import EngineError
from accel.runtime.engines.base import Batch, Engine

TEXT = [5, 9, 33, 12, 7, 101, 44, 8, 19, 63, 27, 15]


def embed(engine: Engine, seq: int, *parts: list[int]) -> np.ndarray:
    """Of a text in parts, in an empty sequence that is emptied again."""
    found = np.concatenate([engine.embed(seq, part) for part in parts])
    assert engine.length(seq) == sum(map(len, parts))
    engine.truncate(seq, 0)
    return found


def test_every_token_has_an_output_however_the_text_is_cut(empty):
    whole = embed(empty, 0, TEXT)
    assert whole.shape == (len(TEXT), empty.can.embeds) and whole.dtype == np.float32
    assert np.abs(whole - embed(empty, 1, TEXT[:5], TEXT[5:])).max() < 1e-2
    assert not np.array_equal(whole[0], whole[1])


def test_an_output_depends_on_what_stands_before_it(empty):
    assert not np.array_equal(embed(empty, 0, TEXT)[-1], embed(empty, 0, TEXT[-1:])[0])


def test_other_sequences_and_later_logits_stay_as_they_were(empty):
    def logits() -> np.ndarray:
        found = empty.forward(Batch.chain(0, TEXT[-1:])).row(0).copy()
        empty.commit(0, ())
        return found

    empty.forward(Batch.chain(0, TEXT[:-1]))
    empty.commit(0, range(len(TEXT) - 1))
    before = logits()
    embed(empty, 1, TEXT[::-1])
    assert empty.length(0) == len(TEXT) - 1
    assert np.array_equal(before, logits())


def test_more_than_its_outputs_are_refused_and_nothing_remains(empty):
    with pytest.raises(EngineError, match="chunk"):
        empty.embed(0, [5] * (empty.can.outputs + 1))
    assert empty.length(0) == 0
    embed(empty, 0, TEXT)


def test_no_memory_is_taken_beside_what_the_outputs_have(open_stories):
    engine = open_stories(sequences=2, branches=0, outputs=8)
    try:
        embed(engine, 0, TEXT[:8])
        before, _ = resident()
        for _ in range(50):
            embed(engine, 0, TEXT[:8])
        assert resident()[0] - before < 2**20
    finally:
        engine.close()
