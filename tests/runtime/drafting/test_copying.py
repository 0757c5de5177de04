"""A text is copied from where it said the same before: from where it agrees longest, of equals the last place."""

import gc
import weakref

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from accel.runtime.drafting import copying
from accel.runtime.drafting.copying import Copying, Past
from accel.runtime.drafting.draft import Draft
from accel.runtime.law import Law

from .drafted import NO_ROWS, after, answer, context, growing, one_draft, telling

NEVER = (False,) * 4  # no edit is doubted
SOURCE = list(range(10, 40))
texts = st.lists(st.integers(0, 2), min_size=1, max_size=60)


def agreement(tokens: list[int], place: int) -> int:
    """How many tokens up to `place` and up to the text's end are the same."""
    same = 0
    while same <= place and tokens[place - same] == tokens[-1 - same]:
        same += 1
    return same


def longest(tokens: list[int]) -> tuple[int, int]:
    """By looking everywhere: (place, agreement)."""
    agreed, place = max(((agreement(tokens, place), place) for place in range(len(tokens) - 1)), default=(0, -1))
    return (place, agreed) if agreed >= 3 else (-1, 0)


@settings(deadline=None)
@given(texts)
def test_the_place_that_agrees_longest_is_found_and_of_equals_the_last(tokens):
    past = Past()
    past.grow(tokens)
    if past.agreed >= 3 and not past.edits.learned:
        assert (past.place, past.agreed) == longest(tokens)
    elif not past.edits.learned:
        assert longest(tokens) == (-1, 0)


@settings(deadline=None)
@given(st.lists(st.integers(0, 3), min_size=4, max_size=60), st.integers(1, 20))
def test_what_followed_there_is_guessed_and_a_place_up_to_the_end_repeats_itself(tokens, limit):
    draft = one_draft(Copying(1.0), context(tokens), limit)
    past = Past()
    past.grow(tokens)
    assert len(draft) == limit if past.place >= 0 and not past.edits.learned else len(draft) <= limit
    if past.place >= 0 and not past.edits.learned:
        text = [*tokens, *draft.tokens]
        assert text[len(tokens) :] == text[past.place + 1 : past.place + 1 + limit]
    assert draft == Draft.chain(draft.tokens, draft.probabilities)


@settings(deadline=None)
@given(growing(3), st.integers(0, 9))
def test_the_draft_is_the_same_whatever_the_chunks_in_which_the_text_grew(moments, limit):
    drafter = Copying()
    for tokens in moments:
        draft = one_draft(drafter, context(tokens), limit)
        assert len(draft) <= limit
        fresh = Copying()
        assert draft == one_draft(fresh, context(tokens), limit) and drafter.matched(0) == fresh.matched(0)


@settings(deadline=None)
@given(growing(3))
def test_what_is_compared_and_kept_of_a_long_text_is_bounded_and_chunks_change_nothing(moments):
    with pytest.MonkeyPatch.context() as patch:
        for name, value in (("_MOST", 16), ("_PLACES", 2), ("_LONGEST", 5)):
            patch.setattr(copying, name, value)
        grown = Past()
        for tokens in moments:
            grown.grow(tokens)
            assert len(grown._before) <= 16 and len(grown._last) <= 16
            if grown.place >= 0:
                assert grown.place < len(tokens) - 1 and tokens[grown.place] == tokens[-1]
        at_once = Past()
        at_once.grow(moments[-1])
        assert (grown.place, grown.agreed) == (at_once.place, at_once.agreed)


def test_a_copy_goes_on_where_it_is_though_the_same_words_stood_elsewhere_later():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(copying, "_LONGEST", 4)
        first, words = [1, 2, 3, 4, 5, 6, 7, 8], [4, 5, 6, 7]
        tokens = [*first, 9, 0, *words, 0, 9, 9]
        past = Past()
        for token in first[:-1]:
            tokens.append(token)
            past.grow(tokens)
        assert past.following(tokens, 1, NEVER) == ([8], [-1])


def guessed(tokens: list[int], limit: int) -> tuple[int, ...]:
    return one_draft(Copying(1.0), context(tokens), limit).tokens


def test_a_text_that_departs_from_its_source_is_copied_on_from_its_first_token_that_the_source_has_close_by():
    text = [*SOURCE, 1, *SOURCE[:8], 2, 3]
    assert guessed(text, 3) == ()  # nobody knows what comes
    assert guessed([*text, SOURCE[10]], 3) == tuple(SOURCE[11:14])
    assert guessed([*text, SOURCE[29]], 3) == ()  # that is far away


def test_what_stood_in_the_place_of_something_is_guessed_where_the_source_has_that_again():
    name, other = [5, 6], [7, 8, 9]
    source = [*SOURCE[:6], *name, *SOURCE[6:14], *name, *SOURCE[14:20], *name, *SOURCE[20:]]
    so_far = [*source, 1, *SOURCE[:6], *other, *SOURCE[6:10]]
    expected = [*SOURCE[10:14], *other, *SOURCE[14:20], *other, *SOURCE[20:23]]
    assert guessed(so_far, len(expected)) == tuple(expected)
    for written in range(len(expected)):  # also in mid-edit
        assert guessed([*so_far, *expected[:written]], 3) == tuple((expected + SOURCE[23:26])[written : written + 3])


def test_what_was_left_out_is_left_out_again_and_what_was_kept_is_kept():
    source = [*SOURCE[:6], 5, *SOURCE[6:14], 5, *SOURCE[14:20], 5, *SOURCE[20:]]
    without = [*source, 1, *SOURCE[:6], *SOURCE[6:10]]
    assert guessed(without, 6) == (*SOURCE[10:14], *SOURCE[14:16])
    kept = [*without, *SOURCE[10:14], 5, *SOURCE[14:16]]
    assert guessed(kept, 6) == (*SOURCE[16:20], 5, SOURCE[20])


@st.composite
def revised(draw: st.DrawFn) -> list[int]:
    """A text that says the same several times, each time with other changes, out of few tokens."""
    few = st.lists(st.integers(0, draw(st.sampled_from([1, 2, 3]))), max_size=3)
    source, text = draw(st.lists(st.integers(0, 3), min_size=3, max_size=20)), list[int]()
    for _ in range(draw(st.integers(1, 4))):
        again = list(source)
        for at in draw(st.lists(st.integers(0, 19), max_size=3)):
            again[at : at + draw(st.integers(0, 3))] = draw(few)
        text += again
    return text


@settings(deadline=None, max_examples=300)
@given(revised())
def test_whatever_is_changed_a_source_lies_before_the_texts_end_and_chunks_change_nothing(text):
    past = Past()
    for end in range(1, len(text) + 1):
        past.grow(text[:end])
        assert past.place < end - 1
    at_once = Past()
    at_once.grow(text)
    assert past.following(text, 9, NEVER) == at_once.following(text, 9, NEVER)


def test_edits_that_hold_less_often_than_not_are_no_longer_guessed():
    source = [*SOURCE[:6], 5, *SOURCE[6:14], 5, *SOURCE[14:]]
    text = [*source, 1, *SOURCE[:6], 7, *SOURCE[6:14]]
    drafter = Copying(1.0)
    assert one_draft(drafter, context(text), 2).tokens == (7, SOURCE[14])
    for _ in range(10):
        drafter.observe([after(one_draft(drafter, context(text), 2), [63])], NO_ROWS)
    assert one_draft(drafter, context(text), 2).tokens == (5, SOURCE[14])


def test_texts_are_kept_apart_and_a_forgotten_one_is_gone():
    drafter = Copying()
    one, other = context([1, 2, 3, 4, 1, 2, 3], 0), context([5, 6, 7, 8, 1, 2, 3], 1)
    drafter.start([one, other], [1, 1])
    assert [draft.tokens for draft in drafter.take()] == [(4,), ()] and [drafter.matched(n) for n in (0, 1, 2)] == [
        3,
        0,
        0,
    ]
    past = drafter._texts[0]
    index = weakref.ref(past._before)
    del past
    drafter.forget(0)
    drafter.forget(0)
    gc.collect()
    assert index() is None and drafter.matched(0) == 0
    assert one_draft(drafter, context([4, 1, 2, 3], 0), 5).tokens == ()


def test_the_more_agrees_the_surer_it_is_and_it_learns_how_sure_it_may_be():
    drafter = Copying(1.0)
    text = [*range(20), *range(5)]
    draft = one_draft(drafter, context(text), 8)
    assert draft.probabilities is not None and list(draft.probabilities) == sorted(draft.probabilities)
    for _ in range(50):
        drafter.observe([after(draft, [63])], NO_ROWS)
        draft = one_draft(drafter, context(text), 8)
    assert draft.probabilities is not None and draft.probabilities[0] < 0.1


def test_who_was_wrong_is_doubted_and_is_trusted_again_once_it_would_have_been_right():
    drafter, text = Copying(), context([*range(20), *range(5)])
    for _ in range(50):
        drafter.observe([after(one_draft(drafter, text, 1), [63])], NO_ROWS)
    assert not one_draft(drafter, text, 1)
    for _ in range(50):
        drafter.observe([after(Draft(), [5])], NO_ROWS)
        one_draft(drafter, text, 1)
    assert one_draft(drafter, text, 1).tokens == (5,)


@settings(max_examples=10, deadline=None)
@given(st.sampled_from([0.0, 0.8]), st.integers(0, 9), st.integers(1, 12), st.sampled_from(["tell", "so"]))
def test_a_text_is_the_same_with_and_without_it(temperature, seed, limit, prompt):
    law, engine = Law(temperature=temperature, seed=seed), telling()
    plain, steps = answer(engine, law, prompt, 150, None, 0)
    drafted, fewer = answer(engine, law, prompt, 150, Copying(), limit)
    assert drafted == plain and fewer <= steps
    assert prompt == "so" or fewer < 0.8 * steps
