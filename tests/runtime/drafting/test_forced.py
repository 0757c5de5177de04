"""What was written with drafts is what the target alone would write, as exactly as its arithmetic goes."""

import math
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest

from accel.runtime import demo
from accel.runtime.drafting.draft import Draft
from accel.runtime.drafting.forced import Forced, teacher_forced
from accel.runtime.engines import open_engine
from accel.runtime.engines.base import Batch, Engine
from accel.runtime.engines.options import EngineOptions
from accel.runtime.law import Law
from accel.runtime.sampling import Sampler

from .writing import Written, begin, law, step, target

STORIES = Path(__file__).parents[4] / "shared/assets/models/stories260K.gguf"
PROMPT = "<|im_start|>user\nTell me a story.<|im_end|>\n<|im_start|>assistant\n"
MOST = 560  # tokens: beyond 512 positions llama.cpp's attention of single rows is another kernel
EPSILON = 0.5  # of the logits' deviation


def written(engine: Engine, how: Law, future: Sequence[int], length: int, most: int) -> Written:
    """A text that goes on whatever its tokens are, with drafts of so many tokens of what is thought to come."""
    (text,) = begin(engine, [PROMPT], how)
    while len(text.answer) < most:
        at = len(text.answer)
        step(engine, [text], [Draft.chain(future[at : at + length])])
        text.over = False
    del text.tokens[text.prompt + most :]
    return text


def forced(engine: Engine, text: Written, how: Law) -> Forced:
    return teacher_forced(engine, 1, text.tokens, text.prompt, Sampler(how, engine.vocabulary.size))


@pytest.mark.parametrize("temperature", [0.0, 0.8])
def test_on_an_exact_engine_no_token_flips(temperature):
    engine, how = target(), law(temperature)
    plain = written(engine, how, (), 0, 60)
    drafted = written(engine, how, plain.answer, 7, 60)
    assert drafted.stood > 40 and drafted.tokens == plain.tokens
    assert forced(engine, drafted, how) == Forced(60)


def test_a_token_that_the_target_would_not_have_said_is_a_flip_and_its_gap_is_known():
    engine, how = target(), law(0.0)
    text = written(engine, how, (), 0, 10)
    engine.truncate(0, len(text.tokens) - 2)
    logits = engine.forward(Batch.chain(0, [text.tokens[-2]])).row(0)
    best, second = np.argsort(-logits, kind="stable")[:2]
    engine.commit(0, ())
    assert text.tokens[-1] == best
    text.tokens[-1] = int(second)
    assert forced(engine, text, how).gaps == pytest.approx([logits[best] - logits[second]], abs=1e-4)
    text.tokens[-1] = int(logits.argmin())
    assert forced(engine, text, how).gaps == (math.inf,)


@pytest.fixture(params=["demo", "stories"], scope="module")
def real(request: pytest.FixtureRequest) -> Iterator[Engine]:
    path = STORIES if request.param == "stories" else demo.target()
    if not path.is_file():
        pytest.skip(f"{path} is not here")
    engine = open_engine("llamacpp", EngineOptions(str(path), context=2048, sequences=2))
    yield engine
    engine.close()


@pytest.mark.parametrize("temperature", [0.0, 0.8])
def test_on_a_real_engine_every_token_is_within_epsilon_of_the_targets_own(real, temperature):
    how = law(temperature)
    plain = written(real, how, (), 0, MOST)
    drafted = written(real, how, plain.answer, 7, MOST)
    found = forced(real, drafted, how)
    deviation = float(real.forward(Batch.chain(1, drafted.tokens[-1:])).row(0).std())
    assert drafted.stood > MOST / 2
    assert found.flips <= 0.01 * MOST and max(found.gaps, default=0) < EPSILON * deviation
