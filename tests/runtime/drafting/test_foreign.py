"""A draft model with another tokenizer guesses words of the target's, and costs no answer either."""

from typing import Any

import numpy as np
import pytest

from accel.errors import EngineError
from accel.runtime.drafting.foreign import Foreign, Projected, _Rows, model_drafter
from accel.runtime.drafting.model import ModelDrafter
from accel.runtime.drafting.retokenise import Tongues
from accel.runtime.law import Law
from accel.runtime.sampling import Sampler

from .tongues import Parrot, Pieces
from .writing import answers, law, write

SONG = (
    "here is the song of the accelerating car: it is über fast, it is a car of the town, and the people of the town "
    "say that it is the fastest there is.\n\nnobody knows who built it 🙂 and nobody asks."
)
PROMPTS = ("here is the", "it is a car", "nobody knows")
LARGE = (
    "the",
    "acceler",
    "ating",
    " accelerating",
    " car",
    " is",
    "ü",
    " the",
    " town",
    " of",
    "people",
    "nobody",
    " it",
    "🙂",
)
SMALL = (" ac", "cel", "era", "ting", " c", "ar", " t", "he", "own", " a", "peo", "ple", " no", "body", "is", "it")
LAWS = [law(0.0), law(0.8), law(0.8, repeat_penalty=1.1, penalty_last=4)]


def target(sure: float = 12.0) -> Any:
    return Parrot(Pieces(LARGE), SONG, sure)


def draft(sure: float = 12.0, prefix: bool = False) -> Any:
    return Parrot(Pieces(SMALL, prefix), SONG, sure)


@pytest.mark.parametrize("given", LAWS, ids=["greedy", "drawn", "penalised"])
@pytest.mark.parametrize("sure", [12.0, 3.0])
@pytest.mark.parametrize("prefix", [False, True])
def test_a_text_is_the_same_with_a_draft_model_of_another_tokenizer(given, sure, prefix):
    plain = write(target(sure), None, given, prompts=PROMPTS)
    drafter = model_drafter(draft(sure, prefix), target().vocabulary, least=0.0)
    assert isinstance(drafter, Foreign)
    drafted = write(target(sure), drafter, given, limit=6, prompts=PROMPTS)
    assert answers(drafted) == answers(plain) and drafter.trouble is None


@pytest.mark.parametrize("given", LAWS[:2], ids=["greedy", "drawn"])
def test_what_both_know_stands(given):
    drafter = model_drafter(draft(), target().vocabulary, least=0.0)
    texts = write(target(), drafter, given, limit=8, prompts=PROMPTS)
    guessed, stood = (sum(counts) for counts in ([len(d) for t in texts for d in t.drafts], [t.stood for t in texts]))
    assert stood > 0.8 * guessed > 30


def test_both_draw_with_the_same_noise_where_they_have_the_same_tokens():
    pieces = [a + b for a in "abcdefghij" for b in "klmnopqrst"]
    same, moved = Pieces(pieces), Pieces(pieces[::-1])
    rows = _Rows(Tongues(same, moved))
    sampler = Sampler(Law(temperature=1.5, top_k=40, top_p=1.0, seed=3), same.size)
    for position in range(200):
        row = np.random.default_rng(position).normal(0, 1, same.size).astype(np.float32)
        other = row.copy()
        other[256:356] = row[256:356][::-1]
        token, sure = Projected(sampler.fork(), rows, position).choose_surely(other, 7)
        assert moved.text(token) == same.text(sampler.choose(row, position)) and 0 < sure < 1


def test_a_law_that_knows_its_tokens_counts_those_that_a_guess_would_be():
    """Penalties and positions are the target's."""
    target, other = Pieces(["xy"]), Pieces(["x", "xyz"])
    guesser = Projected(Sampler(Law(temperature=0, repeat_penalty=9.0), target.size), _Rows(Tongues(target, other)), 4)
    row = np.zeros(other.size, np.float32)
    row[[257, ord("q")]] = 4, 3
    assert guesser.choose_surely(row, 0)[0] == 257
    guesser.accept(257)  # "xy", "z"
    assert guesser._position == 6 and guesser.choose_surely(row, 0)[0] == ord("q")


def test_equal_tokenizers_need_no_translation():
    drafter = model_drafter(target(), Pieces(LARGE), leaves=3)
    assert isinstance(drafter, ModelDrafter) and drafter.leaves == 3


def test_a_model_that_fails_is_an_empty_draft_and_a_reason():
    broken = draft()

    def forward(*_: Any) -> Any:
        raise EngineError("broken")

    broken.forward = forward
    drafter = model_drafter(broken, target().vocabulary)
    assert answers(write(target(), drafter, law(0.8), prompts=PROMPTS)) == answers(
        write(target(), None, law(0.8), prompts=PROMPTS)
    )
    assert isinstance(drafter.trouble, EngineError)


def test_what_is_cached_of_the_text_is_not_forwarded_again():
    engine = draft()
    drafter = model_drafter(engine, target().vocabulary, least=0.0)
    texts = write(target(), drafter, law(0.0), limit=4, prompts=PROMPTS[:1])
    steps, tokens = len(texts[0].drafts), len(engine.vocabulary.encode(SONG))
    assert engine.rows_forwarded < tokens + 8 * steps


def test_a_number_that_names_another_text_after_forget_begins_anew():
    drafter = model_drafter(draft(), target().vocabulary, least=0.0)
    for _ in range(2):
        assert sum(text.stood for text in write(target(), drafter, law(0.0), prompts=PROMPTS)) > 20
