"""What a drafter agrees with is what would have stood, had it drafted."""

from typing import Any

import pytest

from accel.errors import WorkerDied
from accel.runtime.drafting.agreement import agreement, guess_seconds, write
from accel.runtime.drafting.model import ModelDrafter
from accel.runtime.law import Law

from . import writing
from .writing import Dying, law, near, target

PROMPT = b"once upon a time"


@pytest.mark.parametrize("temperature", [0.0, 0.8])
def test_what_agrees_is_what_stands_when_it_is_drafted(temperature):
    engine = target()
    text = write(engine, list(PROMPT), law(temperature), 40)
    drafter = ModelDrafter(near(), least=0.0)
    agreed = agreement(drafter, text, engine.vocabulary.size)
    assert len(agreed) == len(text.tokens) - text.prompt and len(text.tokens) > text.prompt + 8
    assert any(agreed) and not all(agreed)
    (written,) = writing.write(target(), ModelDrafter(near(), least=0.0), law(temperature), 40, 3, [PROMPT.decode()])
    at = 0
    for draft in written.drafts:
        stood = min((*agreed[at : at + len(draft)], False).index(False), len(draft))
        if at + stood >= len(agreed):
            break
        assert list(draft.tokens[:stood]) == list(text.tokens[text.prompt + at : text.prompt + at + stood])
        if stood < len(draft):
            assert draft.tokens[stood] != text.tokens[text.prompt + at + stood]
        at += stood + 1


def test_a_model_agrees_with_itself():
    engine = target()
    text = write(engine, list(PROMPT), Law(temperature=0.8, seed=3), 30)
    assert all(agreement(ModelDrafter(target(), least=0.0), text, engine.vocabulary.size))


def test_texts_are_written_as_anybody_writes_them_and_leave_nothing():
    engine = target()
    text = write(engine, list(PROMPT), law(0.8), 40)
    (plain,) = writing.write(target(), None, law(0.8), 40, prompts=[PROMPT.decode()])
    both = min(len(plain.tokens), len(text.tokens))
    assert list(text.tokens[:both]) == plain.tokens[:both] and engine.length(0) == 0
    again = write(engine, list(PROMPT), law(0.8), 40)
    assert again == text


def test_how_long_a_guess_takes_is_seen_and_a_drafter_without_guesses_has_no_time():
    engine = target()
    texts = [write(engine, list(PROMPT), law(0.0), 30)]
    found = guess_seconds(ModelDrafter(near(), least=0.0), texts, engine.vocabulary.size)
    assert found is not None and found > 0
    assert guess_seconds(ModelDrafter(near(), least=1.1), texts, engine.vocabulary.size) is None


def test_a_draft_model_that_fails_is_said():
    engine = target()
    text = write(engine, list(PROMPT), law(0.0), 30)
    dying: Any = Dying(near(), 2)
    with pytest.raises(WorkerDied):
        agreement(ModelDrafter(dying, least=0.0), text, engine.vocabulary.size)
