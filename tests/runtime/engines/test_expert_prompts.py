"""Long prompts through experts within a budget: the same logits, the next layer's experts on their way, and something
left for the answer."""

import numpy as np
import pytest

from accel.offload.quotas import floors
from accel.offload.store import RESIDENT, _library
from accel.runtime.demo import target
from accel.runtime.engines import open_engine
from accel.runtime.engines.base import Batch

from .managed import Disturbance, closing, logits, open_managed, plain_options, shown

pytestmark = pytest.mark.skipif(_library() is None, reason="store.c is not compiled here")

PROMPT = 230
TOKENS = np.random.default_rng(8).integers(3, 1900, PROMPT + 20).tolist()
CHUNKS = [{"batch": 32, "ubatch": 32}, {"batch": 48, "ubatch": 16}, {"batch": 7, "ubatch": 7}]


@pytest.mark.parametrize("share", [0.0, 0.3])
@pytest.mark.parametrize("chunks", CHUNKS, ids=lambda chunks: "of".join(map(str, chunks.values())))
def test_a_prompt_of_many_chunks_gives_the_same_logits_at_the_least_budget(chunks, share):
    options = plain_options(target(), **chunks)
    wanted = closing(open_engine("llamacpp", options), TOKENS, PROMPT)
    engine = open_managed(options, share)
    found = logits(engine, TOKENS, PROMPT)
    counts, residency = engine.experts.residency.counts, engine.experts.residency
    moved = shown(engine)
    engine.close()
    assert found == wanted and moved > 0 and residency.bytes_held <= residency.budget
    assert counts.beside.sum() > 0 or share  # there was no room for all of them


def test_the_same_while_experts_are_evicted_and_foretold_wrongly():
    options = plain_options(target(), batch=32, ubatch=32)
    wanted = closing(open_engine("llamacpp", options), TOKENS, PROMPT)
    engine = open_managed(options, 0.25)
    disturbance = Disturbance(engine)
    assert closing(engine, TOKENS, PROMPT, disturbance) == wanted
    assert disturbance.dropped > 20 and disturbance.wrong > 20


def test_in_a_prompt_every_layer_has_the_next_ones_experts_read_while_it_computes():
    engine = open_managed(plain_options(target(), batch=32, ubatch=32), 1.0)
    residency = engine.experts.residency
    engine.forward(Batch.chain(0, TOKENS[:32]))
    assert residency.counts.expected[0] == 0 and (residency.counts.expected[1:] > 0).all()
    assert residency.counts.fulfilled[1:].sum() > 0
    # What was on its way was not asked for twice.
    assert (residency.counts.hits + residency.counts.late <= residency.counts.uses).all()
    assert engine.experts.store.counts[1] <= np.count_nonzero(residency.held)
    engine.close()


@pytest.mark.parametrize("share", [0.5, 0.75])
def test_a_prompt_leaves_every_layer_what_is_its_own(share):
    """However many experts the other layers would like to have: else the first token after it would wait for all."""
    engine = open_managed(plain_options(target(), batch=64, ubatch=64), share)
    residency, experts = engine.experts.residency, engine.experts.store.layout.experts
    for token in TOKENS[:30]:
        engine.forward(Batch.chain(0, [token]))
        engine.commit(0, range(1))
    for start in range(30, PROMPT, 64):
        engine.forward(Batch.chain(0, TOKENS[start : start + 64]))
        engine.commit(0, range(len(TOKENS[start : start + 64])))
    there = (engine.experts.store.state == RESIDENT).reshape(-1, experts).sum(axis=1)
    assert (there >= floors(residency.quotas)).all()
    before = residency.counts.hits.copy()
    engine.forward(Batch.chain(0, TOKENS[:1]))
    assert (residency.counts.hits - before).sum() > 0
    engine.close()
