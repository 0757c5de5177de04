"""The demo models: a target, the draft model made for it, and one that speaks another language."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from accel.runtime import demo
from accel.runtime.drafting.beside import Beside
from accel.runtime.drafting.foreign import Foreign, model_drafter
from accel.runtime.drafting.model import ModelDrafter
from accel.runtime.drafting.retokenise import Reading, Tongues
from accel.runtime.engines import open_engine
from accel.runtime.engines.base import Engine
from accel.runtime.engines.options import EngineOptions

from .writing import law, write

STORIES = Path(__file__).parents[4] / "shared/assets/models/stories260K.gguf"
PROMPTS = [
    f"<|im_start|>user\n{question}<|im_end|>\n<|im_start|>assistant\n"
    for question in ("What is the capital of France?", "Count from one to twenty.", "Who are you?")
]


@pytest.fixture(scope="module")
def opens() -> Iterator[Callable[[Path], Engine]]:
    engines: list[Engine] = []

    def open_one(path: Path) -> Engine:
        options = EngineOptions(str(path), context=1024, sequences=3, branches=9, batch=128, ubatch=128, outputs=64)
        engines.append(open_engine("llamacpp", options))
        return engines[-1]

    yield open_one
    for engine in engines:
        engine.close()


@pytest.mark.parametrize("leaves", [1, 3])
@pytest.mark.parametrize("temperature", [0.0, 0.8])
def test_most_of_what_the_draft_model_is_sure_of_stands(opens, leaves, temperature):
    target = opens(demo.target())
    drafter = model_drafter(opens(demo.draft()), target.vocabulary, least=0.3, leaves=leaves)
    assert isinstance(drafter, ModelDrafter)  # they have the same tokens
    texts = write(target, drafter, law(temperature), most=30, prompts=PROMPTS)
    guessed = sum(len(draft) for text in texts for draft in text.drafts)
    assert sum(text.stood for text in texts) > 0.5 * guessed > 10 and drafter.trouble is None


def test_in_a_thread_of_its_own_it_drafts_the_same(opens):
    target = opens(demo.target())
    alone = write(target, ModelDrafter(opens(demo.draft())), law(0.8), most=20, prompts=PROMPTS)
    drafter = Beside(ModelDrafter(opens(demo.draft())))
    together = write(target, drafter, law(0.8), most=20, prompts=PROMPTS)
    drafter.close()
    assert drafter.trouble is None and sum(text.stood for text in together) > 10
    assert [text.answer[:5] for text in together] == [text.answer[:5] for text in alone]


def test_a_draft_model_of_another_tokenizer_guesses_words_that_the_target_can_write(opens):
    if not STORIES.is_file():
        pytest.skip(f"{STORIES} is not here")
    target = opens(demo.target())
    drafter = model_drafter(opens(STORIES), target.vocabulary, least=0.0)
    assert isinstance(drafter, Foreign)
    texts = write(target, drafter, law(0.0), most=20, limit=6, prompts=[*PROMPTS, "Once upon a time"][1:])
    assert drafter.trouble is None
    drafts = [draft for text in texts for draft in text.drafts]
    assert sum(map(len, drafts)) > 20
    for draft in drafts:
        b"".join(map(target.vocabulary.piece, draft.tokens)).decode()


def test_two_models_with_one_text_read_it_alike(opens):
    if not STORIES.is_file():
        pytest.skip(f"{STORIES} is not here")
    target, other = opens(demo.target()).vocabulary, opens(STORIES).vocabulary
    text = "Once upon a time, there was a little girl named Lily.\n\nShe loved to play outside in the park."
    tongues = Tongues(target, other)
    read = Reading(tongues).follow(target.encode(text))
    assert read is not None and b"".join(map(other.piece, read)).decode().lstrip() == text
    whole = other.encode(text, start=True)
    assert sum(a == b for a, b in zip(read, whole, strict=False)) > 0.8 * len(whole)
