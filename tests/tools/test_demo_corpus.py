"""The corpus of the demonstration model: right, repeatable, and without what the examination asks."""

import re
from collections import Counter
from itertools import chain
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from accel.tools.demo_model.corpus import INTENTS, conversation
from accel.tools.demo_model.corpus.grammar import count, expand, phrase, plain, recogniser, slip
from accel.tools.demo_model.corpus.sums import held_out
from accel.tools.demo_model.corpus.talk import Talk, in_examination
from accel.tools.demo_model.corpus.words import HELD_OUT_NAMES
from accel.tools.demo_model.examination import EXAMINATIONS, Question
from accel.tools.demo_model.examination.unseen import check_unseen, recognisers, unwrapped

SUM = re.compile(r"\b(\d+) ([-+x]) (\d+) = (-?\d+)\.$")
PATTERNS = sorted({pattern for intent in INTENTS for pattern in intent.patterns})


@pytest.fixture(scope="module")
def talks() -> list[list[dict[str, str]]]:
    return [conversation(Random(seed)) for seed in range(1500)]


def test_a_seed_always_gives_the_same_conversation(talks):
    assert [conversation(Random(seed)) for seed in range(20)] == talks[:20]


def test_user_and_assistant_take_turns_and_the_assistant_has_the_last_word(talks):
    for messages in talks:
        spoken = [m["role"] for m in messages if m["role"] != "system"]
        assert spoken == ["user", "assistant"] * (len(spoken) // 2)
        assert all(m["content"].strip() for m in messages)
        assert all(m["role"] != "system" for m in messages[1:])


def test_no_pattern_is_left_in_what_is_said(talks):
    assert not [m for messages in talks for m in messages if re.search(r"[{}\[\]|]", m["content"])]


def test_every_sum_is_right_and_no_pair_of_operands_is_one_of_the_examination(talks):
    sums = [SUM.search(m["content"]) for messages in talks for m in messages if m["role"] == "assistant"]
    found = [match.groups() for match in sums if match]
    assert len(found) > 300
    for a, sign, b, result in found:
        assert int(result) == {"+": int(a) + int(b), "-": int(a) - int(b), "x": int(a) * int(b)}[sign]
        assert not held_out(int(a), sign, int(b))


def test_no_name_of_the_examination_occurs(talks):
    text = " ".join(m["content"] for messages in talks for m in messages).lower()
    assert not [name for name in HELD_OUT_NAMES if name.lower() in text]


def test_what_is_recalled_was_said_before(talks):
    recalled = 0
    for messages in talks:
        said = ""
        for message in messages:
            match = re.match(r"Your name is (\w+)\.$", message["content"])
            if match and message["role"] == "assistant":
                recalled += 1
                assert match[1].lower() in said
            said += message["content"].lower() + "\n"
    assert recalled > 50


def test_every_question_of_the_corpus_is_recognised_as_one():
    for intent in INTENTS:
        for seed in range(3 if intent.patterns else 0):
            talk = Talk(Random(seed), slips=0.0)
            intent.play(talk)
            for message in talk.messages:
                if message["role"] == "user" and not message["content"].startswith(("/", "accel", "make", "Ctrl")):
                    bare = list(unwrapped(plain(message["content"])))
                    assert any(shape.fullmatch(text) for text in bare for _, shape in recognisers()), message["content"]


@settings(max_examples=60, deadline=None)
@given(pattern=st.sampled_from(PATTERNS), seed=st.integers(0, 10**6))
def test_a_recogniser_matches_whatever_its_pattern_writes(pattern, seed):
    rng = Random(seed)
    named = {"sign": "+", "kind": "a tool", "owner": "a week"}
    slots = {name: named.get(name, "7") for name in re.findall(r"\{([a-z_0-9]+)\}", pattern)}
    assert recogniser(pattern).fullmatch(plain(phrase(rng, [pattern]).format(**slots)))


@settings(max_examples=60, deadline=None)
@given(pattern=st.sampled_from(PATTERNS), seed=st.integers(0, 10**6))
def test_a_slip_keeps_every_slot(pattern, seed):
    rng = Random(seed)
    whole = phrase(rng, [pattern])
    assert sorted(re.findall(r"\{\w+\}", slip(rng, whole))) == sorted(re.findall(r"\{\w+\}", whole))


@pytest.mark.parametrize("phrasing", ["What would {a} plus {b} be?", "The name's {x}"])
def test_a_slip_that_the_examination_asks_is_noticed(phrasing):
    assert in_examination(phrasing)
    assert not in_examination("Would {a} just be {b}?")


def test_patterns_expand_to_as_many_texts_as_they_count():
    pattern = "[a|b[c|d]] [e|f]"
    assert count(pattern) == 6
    assert {expand(Random(seed), pattern) for seed in range(200)} == {"a e", "a f", "bc e", "bc f", "bd e", "bd f"}


def test_an_unbalanced_pattern_is_refused():
    with pytest.raises(ValueError, match="unbalanced"):
        count("[a|b")


@pytest.mark.parametrize("questions", list(EXAMINATIONS.values()), ids=list(EXAMINATIONS))
def test_an_examination_has_sixty_questions_of_the_same_topics_and_two_turn_conversations(questions):
    topics = Counter(question.topic for question in questions)
    assert topics == {"arithmetic": 14, "facts": 19, "memory": 12, "accel": 10, "talk": 5}
    assert sum(len(question.turns) > 1 for question in questions) >= 10


def test_no_question_is_asked_twice():
    asked = Counter(question.turns for questions in EXAMINATIONS.values() for question in questions)
    assert asked.most_common(1)[0][1] == 1


@pytest.mark.parametrize("question", [*chain(*EXAMINATIONS.values())], ids=lambda question: question.turns[-1])
def test_the_corpus_does_not_know_a_question_of_an_examination(question):
    check_unseen(question)


@pytest.mark.parametrize(
    "question",
    [
        Question("facts", ("Hey, what is the capital of France?",), "Paris"),
        Question("arithmetic", ("If I say this, what follows from it?",), "4", operands=(2, "+", 2)),
        Question("memory", ("Do call me whatever pleases you the most.",), "Anna", name="Anna"),
    ],
    ids=["phrasing", "operands", "name"],
)
def test_a_question_that_the_corpus_knows_is_refused(question):
    with pytest.raises(ValueError, match="the corpus"):
        check_unseen(question)
