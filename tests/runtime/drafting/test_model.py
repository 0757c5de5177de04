"""A draft model costs no answer: whatever it guesses and whatever becomes of it, the text is as it would have been."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from accel.errors import ContextFull, EngineError, WorkerDied
from accel.runtime.drafting.draft import NOTHING, Context, Draft
from accel.runtime.drafting.model import ModelDrafter
from accel.runtime.engines.fake import VOCABULARY, FakeEngine, FakeVocabulary
from accel.runtime.engines.options import FakeOptions
from accel.runtime.grammar import Grammars
from accel.runtime.sampling import Sampler

from .writing import PROMPTS, Dying, answers, begin, contexts, law, near, step, target, write

LAWS = [law(0.0), law(0.8), law(1.2, repeat_penalty=1.3, penalty_last=8)]


def drafts_for(drafter: ModelDrafter, texts: list[str], limit: int = 5, temperature: float = 0.8) -> list[Draft]:
    asked = []
    for number, text in enumerate(texts):
        tokens = FakeVocabulary().encode(text)
        asked.append(Context(number, tokens, len(tokens), Sampler(law(temperature), VOCABULARY)))
    drafter.start(asked, [limit] * len(asked))
    return drafter.take()


@pytest.mark.parametrize("given", LAWS, ids=["greedy", "drawn", "penalised"])
@pytest.mark.parametrize("leaves", [1, 3])
@pytest.mark.parametrize("model", [target, near], ids=["same", "near"])
def test_a_text_is_the_same_with_a_draft_model_and_without(given, leaves, model):
    plain = write(target(), None, given)
    drafted = write(target(), ModelDrafter(model(), least=0.0, leaves=leaves), given)
    assert answers(drafted) == answers(plain)
    assert sum(text.stood for text in drafted) > 0


@settings(max_examples=25, deadline=None)
@given(
    st.lists(st.text("abc ", min_size=1, max_size=12), min_size=1, max_size=4),
    st.sampled_from(LAWS), st.integers(1, 6), st.sampled_from([0.0, 0.2, 0.6]), st.integers(1, 4),
    st.integers(3, 20), st.sampled_from([1, 2, 512]), st.integers(1, 4),
)  # fmt: skip
def test_any_texts_limits_and_engines_give_the_same_text(
    prompts, given, limit, least, leaves, rows, outputs, sequences
):
    plain = write(target(), None, given, most=12, prompts=prompts)
    draft = near(batch=rows, outputs=min(rows, outputs), sequences=sequences, branches=leaves - 1)
    drafter = ModelDrafter(draft, least, leaves)
    assert answers(write(target(), drafter, given, 12, limit, prompts), 12) == answers(plain, 12)
    assert drafter.trouble is None


@pytest.mark.parametrize("given", LAWS[:2], ids=["greedy", "drawn"])
def test_of_a_model_that_is_the_target_every_guess_stands(given):
    texts = write(target(), ModelDrafter(target(), least=0.0), given)
    assert all(text.stood == sum(map(len, text.drafts)) or text.over for text in texts)
    assert all(len(text.drafts) <= 10 for text in texts)


@pytest.mark.parametrize("leaves", [1, 3])
@pytest.mark.parametrize("temperature", [0.0, 0.8])
def test_many_texts_at_once_are_drafted_for_as_one_by_one(leaves, temperature):
    texts = [*PROMPTS, "x" * 90, "and so on"]
    together = drafts_for(ModelDrafter(near(batch=64), 0.0, leaves), texts, temperature=temperature)
    alone = [
        drafts_for(ModelDrafter(near(branches=(leaves - 1)), 0.0, leaves), [t], temperature=temperature)[0]
        for t in texts
    ]
    assert together == alone and sum(map(len, together)) > 15


def test_what_is_cached_is_not_forwarded_again():
    """Of a chain that stood whole only its last token lacks; the target's own token follows it."""
    draft = target()
    texts = begin(engine := target(), PROMPTS[:1], law(0.8))
    drafter = ModelDrafter(draft, least=0.0)
    before, counts = 0, []
    for _ in range(4):
        drafter.start(contexts(texts), [3])
        step(engine, texts, drafter.take())
        counts.append(draft.rows_forwarded - before)
        before = draft.rows_forwarded
    assert counts == [len(PROMPTS[0]) + 2, 2 + 2, 2 + 2, 2 + 2]


def test_after_a_guess_that_fell_only_what_differs_is_forwarded():
    draft, drafter = near(), None
    drafter = ModelDrafter(draft, least=0.0)
    texts = begin(engine := target(), PROMPTS[2:], law(0.0))
    for _ in range(12):
        before = draft.rows_forwarded
        drafter.start(contexts(texts), [4])
        (guess,) = drafter.take()
        if texts[0].drafts:
            assert draft.rows_forwarded - before <= len(guess) + 1
        step(engine, texts, [guess])
    assert 0 < texts[0].stood < sum(map(len, texts[0].drafts))


def test_the_next_turn_of_a_conversation_finds_its_beginning_cached():
    draft = target()
    drafter = ModelDrafter(draft)
    first = "a long beginning that both have " * 5
    drafts_for(drafter, [first])
    drafter.forget(0)
    before = draft.rows_forwarded
    drafts_for(drafter, [first + "and more"])
    assert draft.rows_forwarded - before <= len("and more") + 6


@pytest.mark.parametrize("leaves", [1, 4])
def test_a_draft_keeps_to_its_limit_its_leaves_and_the_least_probability(leaves):
    for limit in range(6):
        for least in (0.0, 0.05, 0.5):
            drafts = drafts_for(ModelDrafter(near(), least, leaves), list(PROMPTS), limit)
            for draft in drafts:
                draft.children()
                assert len(draft) <= limit and draft.leaves <= leaves
                values = [1.0]
                for probability, parent in zip(draft.probabilities or (), draft.parents, strict=True):
                    values.append(values[parent + 1] * probability)
                assert len(values) == len(draft) + 1 and min(values) >= least


def test_a_surer_threshold_gives_the_beginning_of_the_same_chain():
    whole, sure = (drafts_for(ModelDrafter(near(), least), list(PROMPTS), 8) for least in (0.0, 0.3))
    assert sum(map(len, sure)) < sum(map(len, whole))
    assert all(a.tokens == b.tokens[: len(a)] for a, b in zip(sure, whole, strict=True))


def test_what_ends_a_turn_is_no_guess():
    drafter = ModelDrafter(target(answer_length=1), least=0.0)  # after every token the turn ends
    assert [len(draft) for draft in drafts_for(drafter, list(PROMPTS))] == [0, 0, 0]
    drafter = ModelDrafter(target(answer_length=1), least=0.0, leaves=3)
    ends = FakeVocabulary.ends
    assert not any(token in ends for draft in drafts_for(drafter, list(PROMPTS)) for token in draft.tokens)


def test_a_text_longer_than_the_draft_models_context_gets_no_draft_and_a_reason():
    drafter = ModelDrafter(near(context=40), least=0.0)
    drafts = drafts_for(drafter, ["x" * 50, "short"])
    assert drafts[0] == NOTHING and isinstance(drafter.trouble, ContextFull) and not drafter.given_up
    assert answers(write(target(), drafter, law(0.8), 30), 30) == answers(write(target(), None, law(0.8), 30), 30)
    assert len(drafts_for(drafter, ["short"])[0]) > 0 and drafter.trouble is None


def test_a_cache_that_nobody_needs_now_makes_room_for_one_that_is():
    draft = near(context=100)
    drafter = ModelDrafter(draft, least=0.0)
    for letter in "abc":
        assert len(drafts_for(drafter, [letter * 70])[0]) == 5
        drafter.forget(0)
        assert drafter.trouble is None


def test_of_more_texts_than_sequences_those_that_came_first_keep_theirs():
    draft = near(sequences=2)
    drafter = ModelDrafter(draft, least=0.0)
    for _ in range(3):
        assert [len(guess) for guess in drafts_for(drafter, list(PROMPTS))] == [5, 5, 0]
    assert answers(write(target(), drafter, law(0.8))) == answers(write(target(), None, law(0.8)))


@pytest.mark.parametrize("leaves", [1, 3])
def test_a_draft_model_that_fails_once_costs_one_draft(leaves):
    draft = target(fail_at=6)
    drafter = ModelDrafter(draft, least=0.0, leaves=leaves)
    troubles = []
    texts = write(target(), drafter, law(0.8), between=lambda: troubles.append(drafter.trouble))
    assert answers(texts) == answers(write(target(), None, law(0.8)))
    assert [type(t) for t in troubles if t] == [EngineError] and draft.forwards > 6
    assert not drafter.given_up and drafter.trouble is None


@pytest.mark.parametrize("forwards", [0, 1, 2, 5, 9])
@pytest.mark.parametrize("leaves", [1, 3])
def test_a_draft_model_whose_process_dies_at_any_forward_costs_no_answer(forwards, leaves):
    dying: Any = Dying(near(), forwards)
    drafter = ModelDrafter(dying, least=0.0, leaves=leaves)
    assert answers(write(target(), drafter, law(0.8))) == answers(write(target(), None, law(0.8)))
    assert isinstance(drafter.trouble, WorkerDied) and drafter.given_up


def test_a_draft_model_that_always_fails_is_left_alone_after_a_while():
    class Broken(FakeEngine):
        asked = 0

        def forward(self, *_: Any) -> Any:
            Broken.asked += 1
            raise EngineError("broken")

    broken: Any = Broken(FakeOptions())
    drafter = ModelDrafter(broken)
    assert answers(write(target(), drafter, law(0.0))) == answers(write(target(), None, law(0.0)))
    assert Broken.asked == 3 and drafter.given_up and drafter.trouble


def test_logits_that_are_no_numbers_are_a_reason_too():
    class Blank(FakeEngine):
        def _logits(self, cell: Any) -> np.ndarray:
            return np.full(VOCABULARY, np.nan, np.float32)

    blank: Any = Blank(FakeOptions())
    drafter = ModelDrafter(blank)
    assert drafts_for(drafter, ["a"]) == [NOTHING] and "no numbers" in str(drafter.trouble)


def test_a_deadline_that_has_passed_leaves_drafts_empty():
    drafter = ModelDrafter(near())
    tokens = FakeVocabulary().encode("abc")
    asked = [Context(0, tokens, 3, Sampler(law(0.0), VOCABULARY))]
    drafter.start(asked, [4])
    assert drafter.take(deadline=0.0) == [NOTHING]
    drafter.start(asked, [4])
    assert len(drafter.take()[0]) > 0


def test_a_model_whose_state_cannot_be_taken_back_is_refused():
    with pytest.raises(EngineError, match="cannot draft"):
        ModelDrafter(target(rollback=False))


@pytest.mark.parametrize("leaves", [1, 3])
def test_guesses_keep_to_the_grammar(leaves):
    grammars = Grammars(FakeVocabulary())

    def texts_of(drafter: ModelDrafter | None) -> list[list[int]]:
        engine = target()
        texts = begin(engine, PROMPTS[:2], law(0.8))
        for text in texts:
            text.sampler = Sampler(law(0.8), VOCABULARY, grammars.compile("regex", "[a-c]{3}-[0-9]{2,8}"))
        while asked := contexts(texts):
            drafts = [NOTHING] * len(asked)
            if drafter:
                drafter.start(asked, [6] * len(asked))
                drafts = drafter.take()
            step(engine, texts, drafts)
        assert not drafter or all(text.stood > 2 for text in texts)
        return [text.answer for text in texts]

    drafter = ModelDrafter(near(), least=0.0, leaves=leaves)
    assert texts_of(drafter) == texts_of(None) and drafter.trouble is None


@pytest.mark.parametrize("more", [-4, 7])
def test_unused_tokens_at_the_end_of_either_vocabulary_do_not_matter(more):
    tokens = FakeVocabulary().encode("once upon")
    sampler = Sampler(law(0.8), VOCABULARY + more)
    drafter = ModelDrafter(target(), least=0.0, size=VOCABULARY + more)
    drafter.start([Context(0, tokens, len(tokens), sampler)], [4])
    drafts = drafter.take()
    assert drafts[0].tokens == drafts_for(ModelDrafter(target(), least=0.0), ["once upon"], 4)[0].tokens


def test_chains_and_trees_may_take_turns():
    drafter = ModelDrafter(near(), least=0.0)
    turn = iter([1, 3, 3, 1, 1, 2] * 20)

    def change() -> None:
        drafter.leaves = next(turn)

    assert answers(write(target(), drafter, law(0.8), between=change)) == answers(write(target(), None, law(0.8)))
    assert drafter.trouble is None
