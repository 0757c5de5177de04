"""Several tokens of one call are those that come one by one."""

import threading
from collections.abc import Callable, Iterator

import numpy as np
import pytest

from accel.runtime.engines import open_engine
from accel.runtime.engines.base import Batch, Chosen, Engine, Stop
from accel.runtime.engines.options import EngineOptions, FakeOptions
from accel.runtime.law import Law
from accel.runtime.sampling import Sampler, compiled

PROMPT = [5, 9, 33, 12, 7, 101]

pytestmark = pytest.mark.skipif(compiled() is None, reason="sampling.c is not compiled here")


@pytest.fixture(scope="module", params=["fake", "stories", "moe", "window"])
def opened(request: pytest.FixtureRequest) -> Iterator[Engine]:
    if request.param == "fake":
        engine = open_engine("fake", FakeOptions(decodes=True, context=512))
    else:
        path = str(request.getfixturevalue(request.param))
        engine = open_engine("llamacpp", EngineOptions(path, context=512, sequences=2, branches=2, batch=64, ubatch=64))
    yield engine
    engine.close()


@pytest.fixture
def engine(opened: Engine) -> Engine:
    for seq in range(opened.can.sequences):
        opened.truncate(seq, 0)
    return opened


def start(engine: Engine, sampler: Sampler, seq: int = 0) -> int:
    """The first token after the prompt."""
    rows = engine.forward(Batch.chain(seq, PROMPT))
    engine.commit(seq, range(len(PROMPT)))
    return sampler.choose(rows.row(len(PROMPT) - 1), len(PROMPT))


def one_by_one(engine: Engine, sampler: Sampler, token: int, most: int, seq: int = 0) -> list[int]:
    tokens: list[int] = []
    while len(tokens) < most and not (tokens and tokens[-1] in engine.vocabulary.ends):
        rows = engine.forward(Batch.chain(seq, [tokens[-1] if tokens else token]))
        engine.commit(seq, (0,))
        tokens.append(sampler.choose(rows.row(0), engine.length(seq)))
    return tokens


@pytest.mark.parametrize(
    "law", [Law(seed=3), Law(0), Law(1.5, top_k=5, seed=9), Law(top_p=1, min_p=0.1, seed=1)], ids=str
)
def test_tokens_of_one_call_are_those_that_come_one_by_one(engine, law):
    sampler = Sampler(law, engine.vocabulary.size)
    token = start(engine, sampler)
    at_once: list[int] = []
    while len(at_once) < 50 and (not at_once or at_once[-1] not in engine.vocabulary.ends):
        more = engine.decode(0, at_once[-1] if at_once else token, sampler, min(7, 50 - len(at_once)), Chosen(), Stop())
        assert 0 < len(more) <= 7
        at_once += more
    assert engine.length(0) == len(PROMPT) + len(at_once)
    assert start(engine, sampler, 1) == token
    assert one_by_one(engine, sampler, token, 50, 1) == at_once


def test_what_is_decoded_can_be_gone_on_from_and_taken_back(engine):
    sampler = Sampler(Law(seed=4), engine.vocabulary.size)
    token = start(engine, sampler)
    first = engine.decode(0, token, sampler, 5, Chosen(), Stop())
    rest = one_by_one(engine, sampler, first[-1], 5)
    engine.truncate(0, len(PROMPT))
    assert engine.decode(0, token, sampler, 5, Chosen(), Stop()) == first
    assert one_by_one(engine, sampler, first[-1], 5) == rest


def test_it_ends_when_it_is_stopped_but_never_before_one_token(engine):
    sampler = Sampler(Law(seed=4), engine.vocabulary.size)
    stop = Stop()
    stop.set()
    assert len(engine.decode(0, start(engine, sampler), sampler, 50, Chosen(), stop)) == 1


def test_a_stop_set_by_another_thread_ends_it_after_the_forward_that_runs():
    engine = open_engine("fake", FakeOptions(decodes=True, seconds_per_forward=0.02, answer_length=10**9))
    sampler, stop = Sampler(Law(), engine.vocabulary.size), Stop()
    token = start(engine, sampler)
    threading.Timer(0.1, stop.set).start()
    assert 1 <= len(engine.decode(0, token, sampler, 1000, Chosen(), stop)) < 100


def test_others_see_the_tokens_while_it_goes_on():
    engine = open_engine("fake", FakeOptions(decodes=True, seconds_per_forward=0.005, answer_length=10**9))
    sampler, stop, chosen = Sampler(Law(), engine.vocabulary.size), Stop(), Chosen()
    token, seen = start(engine, sampler), []

    def look() -> None:
        while len(seen) < 10 or len(seen[-1]) < 5:
            seen.append(chosen.tokens())
        stop.set()

    looking = threading.Thread(target=look)
    looking.start()
    found = engine.decode(0, token, sampler, 1000, chosen, stop)
    looking.join()
    assert found == chosen.tokens() and 5 <= len(found) < Chosen.MOST
    assert all(found[: len(tokens)] == tokens for tokens in seen)


def test_one_call_chooses_so_many_at_most(engine):
    sampler, chosen = Sampler(Law(logit_bias=()), engine.vocabulary.size), Chosen()
    found = engine.decode(0, start(engine, sampler), sampler, 10**6, chosen, Stop())
    assert found == chosen.tokens() and 0 < len(found) <= Chosen.MOST
    assert len(found) == Chosen.MOST or found[-1] in engine.vocabulary.ends


@pytest.mark.parametrize("law", [Law(repeat_penalty=1.2), Law(logit_bias=((1, 5.0),)), Law(top_k=0)], ids=str)
def test_a_law_that_c_does_not_know_is_left_to_the_caller(engine, law):
    sampler = Sampler(law, engine.vocabulary.size)
    token = start(engine, sampler)
    assert engine.decode(0, token, sampler, 5, Chosen(), Stop()) == []
    assert engine.length(0) == len(PROMPT)


def test_a_full_context_ends_it_and_keeps_what_it_has(engine):
    sampler = Sampler(Law(0, logit_bias=()), engine.vocabulary.size)
    token, room = start(engine, sampler), engine.can.context - len(PROMPT)
    while engine.length(0) < engine.can.context:
        # An end is gone on from here, which a front never does.
        token = engine.decode(0, token, sampler, 1000, Chosen(), Stop())[-1]
    assert engine.length(0) == len(PROMPT) + room
    assert engine.decode(0, token, sampler, 5, Chosen(), Stop()) == []


def test_a_context_that_others_fill_ends_it_and_leaves_nothing_uncommitted(open_stories: Callable[..., Engine]):
    engine = open_stories(context=256, sequences=2)
    engine.forward(Batch.chain(1, [7] * 48))
    engine.commit(1, range(48))
    sampler, tokens = Sampler(Law(0), engine.vocabulary.size), []
    tokens.append(start(engine, sampler))
    while more := engine.decode(0, tokens[-1], sampler, 64, Chosen(), Stop()):
        tokens += more
    assert engine.length(0) == len(PROMPT) + len(tokens) - 1 == 256 - 48
    engine.truncate(0, 20)
    assert np.isfinite(engine.forward(Batch.chain(0, [9])).row(0)).all()
    engine.close()


def test_a_look_at_the_tokens_ends_where_nothing_is_chosen_yet():
    chosen = Chosen()
    chosen.room[:3] = (4, 0, 7)
    chosen.room[-1] = 9  # written while the room was being copied
    assert chosen.tokens() == [4, 0, 7] and len(chosen) == 3
    chosen.room[:] = 1
    assert len(chosen) == Chosen.MOST
