"""What was said here once is guessed when it is said again, in this text, the next one or after a restart; and what is
remembered is bounded."""

import gc
import weakref

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from accel.runtime.drafting import ngrams
from accel.runtime.drafting.draft import Draft
from accel.runtime.drafting.kept import load_kept, save_kept
from accel.runtime.drafting.ngrams import Ngrams
from accel.runtime.law import Law

from .drafted import NO_ROWS, SIZE, after, answer, context, growing, one_draft, read, telling

MODEL = "0" * 32


@pytest.fixture(autouse=True, scope="module")
def small():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ngrams, "_PLACES", 4096)
        yield


def commonest(said: list[list[int]], tail: list[int]) -> int | None:
    """By looking everywhere, where at most three different tokens follow anything: the commonest token after the
    longest of the contexts that occurred, of equals the latest."""
    for order in (4, 3, 2):
        counts: dict[int, int] = {}
        if len(tail) < order:
            continue
        for text in said:
            for at in range(order, len(text)):
                if text[at - order : at] == tail[-order:]:
                    count = counts.pop(text[at], 0)  # put last
                    counts[text[at]] = count + 1
        if counts:
            most = max(counts.values())
            return [token for token, count in counts.items() if count == most][-1]
    return None


@settings(deadline=None)
@given(st.lists(st.lists(st.integers(0, 2), min_size=1, max_size=40), min_size=1, max_size=3), st.integers(0, 8))
@example([[0, 0, 1, 0, 0, 0, 1, 1, 1], [1, 1, 0], [0, 0, 1, 0, 0, 0, 1, 1, 1]], 1)
def test_the_commonest_token_after_the_longest_known_context_is_guessed(said, limit):
    drafter = Ngrams(SIZE, 1.0)
    for text in said[:-1]:
        read(drafter, text)
    draft = one_draft(drafter, context(said[-1], prompt=0), limit)  # nothing of it counts as known
    tail = list(said[-1])
    for token in draft.tokens:
        assert token == commonest(said, tail)
        tail.append(token)
    assert len(draft) == limit or commonest(said, tail) is None
    assert draft == Draft.chain(draft.tokens, draft.probabilities)


@settings(max_examples=50, deadline=None)
@given(growing(6), st.integers(0, 50))
def test_the_draft_is_the_same_whatever_the_chunks_in_which_the_text_grew(moments, prompt):
    drafter = Ngrams(SIZE)
    for tokens in moments:
        fresh = Ngrams(SIZE)
        draft = one_draft(drafter, context(tokens, 0, min(prompt, len(tokens))), 6)
        assert draft == one_draft(fresh, context(tokens, 0, min(prompt, len(tokens))), 6)
        assert drafter._tokens == fresh._tokens and drafter._counts == fresh._counts


def test_what_a_text_ended_with_is_learned_when_it_is_forgotten():
    drafter, live = Ngrams(SIZE, 1.0), [1, 2, 3]
    one_draft(drafter, context(live), 4)
    live += [4, 5]
    drafter.forget(0)
    drafter.forget(0)
    assert one_draft(drafter, context([9, 1, 2, 3], 1), 2).tokens == (4, 5)


def test_a_conversation_that_comes_again_is_not_counted_again():
    drafter, words = Ngrams(SIZE), [1, 2, 3, 4, 5, 6]
    read(drafter, words, 0, 3)
    before = drafter._counts[:]
    longer = [*words, 7, 8, 9]
    read(drafter, longer, 0, 9)
    once = Ngrams(SIZE)
    read(once, longer, 0, 3)
    assert drafter._counts == once._counts != before
    read(drafter, [0, *words], 1, 7)
    assert max(drafter._counts) == 2


def test_guesses_are_not_learned():
    drafter = Ngrams(SIZE, 1.0)
    read(drafter, [1, 2, 3, 4, 5])
    before = drafter._counts[:]
    live = context([9, 9, 1, 2], 1)
    draft = one_draft(drafter, live, 3)
    learned = drafter._counts[:]
    drafter.observe([after(draft, [3, 4, 9])], NO_ROWS)
    assert len(draft) == 3 and drafter._counts == learned and sum(learned) > sum(before)


def test_a_forgotten_text_is_not_held():
    class Tokens(list):
        pass

    drafter, tokens = Ngrams(SIZE), Tokens([1, 2, 3, 4])
    read(drafter, tokens)
    held = weakref.ref(tokens)
    del tokens
    drafter.start([], [])
    gc.collect()
    assert held() is None


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 99))
def test_the_table_stays_as_large_as_it_is_and_what_is_said_often_outlives_what_is_said_once(seed):
    rng = np.random.default_rng(seed)
    drafter = Ngrams(2**20)
    size = len(drafter._counts), len(drafter._tokens), len(drafter._marks)
    for _ in range(15):
        for _ in range(4):
            read(drafter, [1, 2, 3, 4, 5], 0, 0)
        read(drafter, rng.integers(0, 2**20, 200).tolist(), 1)
    assert (len(drafter._counts), len(drafter._tokens), len(drafter._marks)) == size
    assert one_draft(drafter, context([1, 2, 3, 4], 2), 1).tokens == (5,)


def test_a_long_prompt_is_learned_from_its_end_alone():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ngrams, "_PROMPT", 10)
        drafter = Ngrams(SIZE, 1.0)
        text = [*range(1, 20), 30, 31]
        read(drafter, text, 0, 19)
        assert not one_draft(drafter, context([3, 4, 5], 1), 3)
        assert one_draft(drafter, context([15, 16, 17, 18], 2), 9).tokens == (19, 30, 31)


def test_what_was_learned_is_there_after_a_restart_and_goes_on_being_learned(tmp_path):
    drafter, again = Ngrams(SIZE, 1.0), Ngrams(SIZE, 1.0)
    read(drafter, [1, 2, 3, 4, 5])
    drafter.save(tmp_path, MODEL)
    assert again.load(tmp_path, MODEL)
    assert one_draft(again, context([1, 2, 3]), 4).tokens == (4, 5)
    again.forget(0)
    read(again, [1, 2, 3, 4, 6, 1, 2, 3, 4, 6])
    assert one_draft(again, context([1, 2, 3, 4], 7), 1).tokens == (6,)


def test_without_a_file_of_this_model_it_starts_anew(tmp_path):
    drafter = Ngrams(SIZE)
    read(drafter, [1, 2, 3, 4, 5])
    assert not drafter.load(tmp_path, MODEL)
    drafter.save(tmp_path, "1" * 32)
    (tmp_path / f"ngrams-{'1' * 32}.kept").rename(tmp_path / f"ngrams-{MODEL}.kept")
    fresh = Ngrams(SIZE)
    assert not fresh.load(tmp_path, MODEL) and not any(fresh._counts)


@pytest.mark.parametrize("token", [-1, SIZE, 2**31 - 1])
def test_a_table_with_tokens_that_do_not_exist_is_not_taken(tmp_path, token):
    drafter = Ngrams(SIZE)
    read(drafter, [1, 2, 3, 4, 5])
    drafter._tokens[77] = token
    drafter.save(tmp_path, MODEL)
    fresh = Ngrams(SIZE)
    assert not fresh.load(tmp_path, MODEL) and not any(fresh._counts)


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 99))
def test_whatever_a_sound_file_says_drafts_are_chains_within_their_limit(tmp_path_factory, seed):
    folder, rng = tmp_path_factory.mktemp("kept"), np.random.default_rng(seed)
    drafter = Ngrams(SIZE, 1.0)
    read(drafter, rng.integers(0, 4, 300).tolist())
    places = len(drafter._counts)
    drafter._counts[:] = type(drafter._counts)("B", rng.integers(0, 256, places).astype(np.uint8).tobytes())
    drafter._tokens[:] = type(drafter._tokens)("i", rng.integers(0, SIZE, places).astype(np.int32).tobytes())
    drafter.save(folder, MODEL)
    fresh = Ngrams(SIZE, 1.0)
    assert fresh.load(folder, MODEL)
    for _ in range(20):
        text = rng.integers(0, 4, 30).tolist()
        draft = one_draft(fresh, context(text), 7)
        draft.children()
        assert len(draft) <= 7 and draft.leaves <= 1
        fresh.observe([after(Draft(), [1])], NO_ROWS)
        fresh.forget(0)


def test_a_table_of_another_size_is_not_taken(tmp_path):
    save_kept(tmp_path, "ngrams", MODEL, bytes(100))
    assert load_kept(tmp_path, "ngrams", MODEL, 100) is not None
    assert not Ngrams(SIZE).load(tmp_path, MODEL)


@settings(max_examples=10, deadline=None)
@given(st.sampled_from([0.0, 0.8]), st.integers(0, 9), st.integers(1, 12))
def test_a_text_is_the_same_with_and_without_it(temperature, seed, limit):
    law, engine, drafter = Law(temperature=temperature, seed=seed), telling(), Ngrams(260)
    plain, steps = answer(engine, law, "tell", 150, None, 0)
    first = answer(engine, law, "tell", 150, drafter, limit)
    second = answer(engine, law, "tell", 150, drafter, limit)
    assert first[0] == second[0] == plain and second[1] <= first[1] < steps
