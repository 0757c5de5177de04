"""The fake engine does what it is told: answers by a script, babbles and ends, is slow, fails, dies."""

import math
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from accel.errors import Cancelled, EngineError, UsageError
from accel.runtime.engines import open_engine, options_type
from accel.runtime.engines.base import Batch, Stop, Stopped
from accel.runtime.engines.fake import ENDS, SPECIALS, TURN_END, VOCABULARY, FakeEngine, FakeVocabulary
from accel.runtime.engines.options import FakeOptions
from accel.units import from_json, to_json

ASKED = "<|im_start|>user\n{}<|im_end|>\n<|im_start|>assistant\n"


def answer(engine: FakeEngine, prompt: str, seq: int = 0, most: int = 400) -> tuple[str, int]:
    """(text, last token) of a greedy answer."""
    words = engine.vocabulary
    tokens = words.encode(prompt, start=True)
    engine.truncate(seq, 0)
    rows = engine.forward(Batch.chain(seq, tokens))
    engine.commit(seq, range(len(tokens)))
    said: list[int] = []
    while (token := int(rows.argmax()[0])) not in words.ends and len(said) < most:
        said.append(token)
        rows = engine.forward(Batch.chain(seq, [token]))
        engine.commit(seq, [0])
    return b"".join(map(words.piece, said)).decode(errors="replace"), token


@given(prompt=st.text(max_size=20), said=st.text(max_size=30))
@example(prompt="", said="??")
@settings(max_examples=40, deadline=None)
def test_a_script_is_followed_to_the_letter_and_to_its_end(prompt, said):
    engine = FakeEngine(FakeOptions(script=((f"?{prompt}", said),)))
    wanted = FakeVocabulary().encode(said)
    if set(wanted) & ENDS:
        return
    spoken = b"".join(map(engine.vocabulary.piece, wanted)).decode()
    assert answer(engine, f"Well, ?{prompt}") == (spoken, TURN_END)
    assert answer(engine, ASKED.format(f"?{prompt}")) == (spoken, TURN_END)


def test_a_script_answers_the_last_question_asked():
    engine = FakeEngine(FakeOptions(script=(("red?", "Yes."), ("blue?", "No."))))
    talk = ASKED.format("Is it red?") + "Yes.<|im_end|>\n" + ASKED.format("Is it blue?")
    assert answer(engine, talk) == ("No.", TURN_END)


def test_without_a_script_it_babbles_words_and_ends():
    engine = FakeEngine(FakeOptions(answer_length=20))
    answers = [answer(engine, f"prompt {n}") for n in range(40)]
    assert all(last == TURN_END for _, last in answers)
    assert all(set(text) <= set("abcdefghijklmnopqrstuvwxyz ") for text, _ in answers)
    assert len({text for text, _ in answers}) > 30
    assert 8 < np.mean([len(text) for text, _ in answers]) < 50


texts = st.text(st.characters(exclude_categories=["Cs"])) | st.sampled_from(SPECIALS)


@given(text=texts, special=st.booleans())
def test_any_text_goes_to_tokens_and_back(text, special):
    words = FakeVocabulary()
    tokens = words.encode(text, special)
    assert all(0 <= token < words.size for token in tokens)
    assert special or max(tokens, default=0) < 256
    if special and text in SPECIALS:
        assert [words.text(token) for token in tokens] == [text]
    else:
        assert b"".join(map(words.piece, tokens)).decode() == text


def test_it_counts_what_it_was_asked_to_forward():
    engine = FakeEngine()
    engine.forward(Batch.chain(0, [1] * 7))
    engine.forward(Batch.chain(1, [1] * 3))
    assert (engine.forwards, engine.rows_forwarded) == (2, 10)


def test_it_fails_when_it_was_told_to_and_recovers():
    engine, calm = FakeEngine(FakeOptions(fail_at=2)), FakeEngine()
    for each in (engine, calm):
        each.forward(Batch.chain(0, [1, 2]))
        each.commit(0, [0, 1])
    with pytest.raises(EngineError, match="as it was told"):
        engine.forward(Batch.chain(0, [3]))
    rows = [each.forward(Batch.chain(0, [3])).row(0) for each in (engine, calm)]
    assert np.array_equal(rows[0], rows[1])


def test_it_dies_when_it_was_told_to():
    code = (
        "from accel.runtime.engines.fake import *;"
        "engine = FakeEngine(FakeOptions(die_at=2));"
        "engine.forward(Batch.chain(0, [1])); print('one', flush=True); engine.forward(Batch.chain(0, [2]))"
    )
    child = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert child.stdout == "one\n" and child.returncode == -getattr(signal, "SIGKILL", signal.SIGTERM)


def test_it_is_as_slow_as_it_was_told_and_stops_in_the_midst():
    engine = FakeEngine(FakeOptions(seconds_per_forward=0.01, seconds_per_row=0.01))
    began = time.monotonic()
    engine.forward(Batch.chain(0, [1, 2]))
    assert time.monotonic() - began >= 0.03
    stop = Stop()
    stop.set()
    began = time.monotonic()
    with pytest.raises(Stopped):
        FakeEngine(FakeOptions(seconds_per_forward=math.inf)).forward(Batch.chain(0, [1]), stop=stop)


def test_opening_it_tells_progress_and_can_be_ended():
    steps: list[float] = []
    open_engine("fake", FakeOptions(), lambda done: steps.append(done) is None)
    assert steps[0] == 0 and steps[-1] == 1 and steps == sorted(steps)
    with pytest.raises(Cancelled):
        open_engine("fake", FakeOptions(seconds_to_open=60), lambda done: False)


def test_a_fake_that_takes_nothing_back_says_so():
    engine = FakeEngine(FakeOptions(rollback=False))
    assert not engine.can.rollback and engine.can.branches == 0
    engine.forward(Batch.chain(0, [1, 2, 3]))
    with pytest.raises(EngineError):
        engine.commit(0, [0])
    engine.commit(0, [0, 1, 2])
    with pytest.raises(EngineError):
        engine.truncate(0, 2)
    with pytest.raises(EngineError):
        engine.fork(0, 1, 2)
    stop = Stop()
    stop.set()
    with pytest.raises(Stopped):
        engine.forward(Batch.chain(0, [4]), stop=stop)
    assert engine.length(0) == 0


def test_a_view_has_sequences_of_its_own_and_mostly_agrees():
    engine = FakeEngine()
    some, all_, near = engine.view(layers=[0, 1]), engine.view(), engine.view(kv=4)
    agreed = 0
    for n in range(60):
        text = [97 + n % 26, 98, 99, 100, 101 + n % 20]
        tops = [int(each.forward(Batch.chain(0, text)).argmax()[0]) for each in (engine, some, all_)]
        for each in (engine, some, all_):
            each.commit(0, [])
        assert tops[0] == tops[2]
        agreed += tops[0] == tops[1]
    assert 20 < agreed < 60
    engine.forward(Batch.chain(0, [97]))
    engine.commit(0, [0])
    assert (engine.length(0), all_.length(0)) == (1, 0)
    first, second = (near.forward(Batch.chain(n, [n, 98, 99, 100, 101])).row(4) for n in (0, 1))
    assert np.array_equal(first, second)  # the last four tokens are the same


def test_options_travel_as_json():
    options = FakeOptions(script=(("a", "b"),), seconds_per_row=0.5)
    assert from_json(to_json(options), options_type("fake")) == options
    with pytest.raises(UsageError, match="llamacpp"):
        options_type("gpt")


def test_its_logits_are_the_same_everywhere():
    """Golden: what others pin down with this engine must not move."""
    row = FakeEngine().forward(Batch.chain(0, [104, 105])).row(1)
    assert row.shape == (VOCABULARY,)
    assert int(row.argmax()) == ord("f")
    assert float(row[ord("f")]) == 13.20105266571045
