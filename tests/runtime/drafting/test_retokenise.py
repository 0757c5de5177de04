"""A text is read in another model's tokens, and its guesses are written in the target's, whole words at a time."""

from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from accel.runtime.drafting import retokenise
from accel.runtime.drafting.draft import Draft
from accel.runtime.drafting.retokenise import Reading, Tongues, same_tokens

from .tongues import Pieces

LARGE = Pieces([" the", " accelerating", " car", "accel", " is", "é", " über", "\n\n", " a"])
SMALL = Pieces([" accel", "erating", "th", "ca", " c", "is", "ü"], prefix=True)
BYTES = Pieces([])
few = settings(max_examples=150, deadline=None)
texts = st.text("ab cé🙂\n\té", max_size=30) | st.sampled_from([" the accelerating car is über\n\n a", "a  b \n\n  c"])


def spell(vocabulary: Pieces, text: str) -> list[int]:
    return vocabulary._plain(text)


@given(st.text(st.sampled_from("ab \n\r\t\u2003é") | st.characters(codec="utf-8"), max_size=200))
def test_words_are_the_text_and_none_is_long(text):
    words = retokenise._WORDS.findall(text)
    assert "".join(words) == text and all(0 < len(word) <= 64 for word in words)


def test_words_are_split_where_tokenizers_split_them():
    assert retokenise._WORDS.findall("so it  is,\n\n  then") == ["so", " it", " ", " is,", "\n\n", " ", " then"]


@few
@given(texts, st.sampled_from([(LARGE, SMALL), (SMALL, LARGE), (BYTES, LARGE)]), st.data())
def test_a_text_read_bit_by_bit_is_the_text_and_the_same_as_read_at_once(text, pair, data):
    target, draft = pair
    tongues, tokens = Tongues(target, draft), target.encode(text)
    bit_by_bit, whole = Reading(tongues), Reading(tongues).follow(tokens)
    last: Any = []
    for end in sorted({*data.draw(st.lists(st.integers(0, len(tokens)), max_size=6)), len(tokens)}):
        last = bit_by_bit.follow(tokens[:end])
        said = target.said(tokens[:end])
        if last is not None:
            assert draft.said(last) in (said, b" " + said)  # as some begin a text
        else:
            with pytest.raises(UnicodeDecodeError):
                said.decode()
    assert last == whole is not None


def test_within_a_character_nothing_is_read_and_after_it_all():
    reading = Reading(Tongues(BYTES, LARGE))
    tokens = list("aé🙂".encode())
    known = [reading.follow(tokens[: n + 1]) is not None for n in range(len(tokens))]
    assert known == [True, False, True, False, False, False, True]


@few
@given(
    texts, texts, st.sampled_from([(LARGE, SMALL), (SMALL, LARGE), (LARGE, BYTES), (BYTES, SMALL)]), st.integers(0, 9)
)
def test_a_guess_becomes_the_beginning_of_the_same_text_in_whole_characters(before, guess, pair, most):
    target, draft = pair
    reading = Reading(Tongues(target, draft))
    reading.follow(target.encode(before))
    tokens = spell(BYTES, guess) if draft is BYTES else draft.encode(guess)
    guessed = draft.said(tokens)
    found = reading.translate(Draft.chain(tokens, [0.5] * len(tokens)), most)
    said = target.said(found.tokens)
    assert guessed.startswith(said) and len(found) <= most
    said.decode()
    assert found.parents == tuple(range(-1, len(found) - 1))


@pytest.mark.parametrize("cut", range(1, 4))
def test_half_a_character_is_never_guessed(cut):
    reading = Reading(Tongues(BYTES, BYTES))
    reading.follow(list(b"so"))
    half = " è 🙂".encode()[:-cut]
    assert BYTES.said(reading.translate(Draft.chain(list(half)), 20).tokens) == " è".encode()
    broken = Draft.chain([*b" a ", 0xFF, *b" b c"])
    assert BYTES.said(reading.translate(broken, 20).tokens) == b" a"


def guessed(target: Pieces, draft: Pieces, before: str, guess: Sequence[tuple[str, float]]) -> list[tuple[str, float]]:
    reading = Reading(Tongues(target, draft))
    reading.follow(spell(target, before))
    tokens = [token for text, _ in guess for token in spell(draft, text)]
    found = reading.translate(Draft.chain(tokens, [sure for _, sure in guess]), 20)
    return [(target.text(t), p) for t, p in zip(found.tokens, found.probabilities or (), strict=True)]


def test_several_guesses_that_become_one_token_are_as_probable_as_all_of_them():
    draft = Pieces([" accel", "erating"])
    found = guessed(LARGE, draft, "an", [(" accel", 0.5), ("erating", 0.25), (" ", 1.0), ("x", 1.0)])
    assert found == [(" accelerating", 0.125)]


def test_a_guess_that_becomes_several_tokens_is_charged_to_the_first():
    target = Pieces([" accel", "erating"])
    found = guessed(target, LARGE, "an", [(" accelerating", 0.5), (" the", 0.5), (" is", 1.0)])
    assert found[:2] == [(" accel", 0.5), ("erating", 1.0)] and len(found) == 2 + 4  # " ", "t", "h", "e"


@pytest.mark.parametrize("merges", [[" accel", "erating", " accelerating"], [" accel", "erating"]])
def test_a_word_that_the_text_has_begun_is_ended_from_where_it_stands(merges):
    assert guessed(Pieces(merges), BYTES, "an accel", [(c, 1.0) for c in "erating x"]) == [("erating", 1.0)]


def test_how_a_word_goes_on_depends_on_how_it_began():
    target = Pieces([" ac", "celer", "ated", "a", "ted", " accel", "er"])  # longest first: " accel", "er", "ated"
    assert guessed(target, BYTES, "an accel", [(c, 1.0) for c in "erated x"])[0] == ("er", 1.0)


def test_control_tokens_are_read_as_the_other_models_own_or_as_text():
    other = Pieces(["<tu"], controls=("<end>",))
    tokens = LARGE.encode("a<turn>b<end>")
    for draft in (SMALL, other):
        assert Reading(Tongues(LARGE, draft)).follow(tokens) == draft.encode("a<turn>b<end>")


def test_a_guess_ends_before_a_control_token():
    reading = Reading(Tongues(LARGE, BYTES))
    reading.follow(spell(LARGE, "a"))
    guess = [*b" b c", *BYTES.encode("<turn>"), *b" d e"]
    assert LARGE.said(reading.translate(Draft.chain(guess), 9).tokens) == b" b"


def test_the_cache_holds_no_more_words_than_it_may_and_saves_asking():
    target, draft = Pieces([" the"]), Pieces([" car"])
    tongues = Tongues(target, draft, most=5)
    for number in range(50):
        tongues.to_target(f" word{number}")
        tongues.to_draft(" the")
        assert len(tongues) <= 5
    before = draft.encoded
    assert tongues.to_draft(" the") == tuple(draft.encode(" the")) and draft.encoded == before + 1


def test_tokens_are_the_same_only_over_the_whole_vocabulary():
    assert same_tokens(LARGE, LARGE) and not same_tokens(LARGE, SMALL)
    assert not same_tokens(Pieces(["ab", "cd"]), Pieces(["cd", "ab"]))
    assert not same_tokens(Pieces([]), Pieces([], controls=("<end>", "<other>")))
    assert not same_tokens(Pieces([]), Pieces(["ab"]))


def test_unused_tokens_at_the_end_of_one_vocabulary_are_no_difference():
    padded = Pieces([], controls=("<end>", "<turn>", "[PAD0]", "[PAD1]"))
    assert same_tokens(Pieces([]), padded) and same_tokens(padded, Pieces([]))
