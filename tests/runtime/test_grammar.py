"""Whatever the logits want, the answer is one that the grammar allows."""

import json
import re
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from accel.errors import GrammarError
from accel.runtime.engines.fake import ENDS, EOS, FakeVocabulary
from accel.runtime.engines.llama_vocabulary import LlamaVocabulary
from accel.runtime.grammar import LONGEST, Grammar, Grammars
from accel.runtime.law import Law
from accel.runtime.sampling import Sampler

VOCABULARY = FakeVocabulary()
PERSON = {
    "type": "object",
    "properties": {"name": {"type": "string", "maxLength": 5}, "age": {"type": "integer", "minimum": 0, "maximum": 99}},
    "required": ["name", "age"],
    "additionalProperties": False,
}


@pytest.fixture(scope="module")
def grammars() -> Grammars:
    return Grammars(VOCABULARY)


def allowed(grammar: Grammar) -> set[str]:
    return {"END" if token in ENDS else chr(token) for token in np.flatnonzero(grammar.mask())}


def write(grammar: Grammar, seed: int, most: int = 300) -> str:
    """An answer of logits that know nothing, drawn under a grammar."""
    chance = np.random.default_rng(seed)
    sampler = Sampler(Law(temperature=1, top_k=0, top_p=1, seed=seed), VOCABULARY.size, grammar)
    answer: list[int] = []
    while len(answer) < most:
        token = sampler.choose(chance.normal(0, 1, VOCABULARY.size).astype(np.float32), len(answer))
        if token in ENDS:
            return bytes(answer).decode()
        sampler.accept(token)
        answer.append(token)
    raise AssertionError(f"no end in sight: {bytes(answer)!r}")


@pytest.mark.parametrize(
    ("kind", "text", "first"),
    [
        ("regex", "ab?c*", {"a"}),
        ("regex", "[x-z]?", {"x", "y", "z", "END"}),
        ("lark", 'start: "x" /[0-9]+/', {"x"}),
        ("gbnf", 'root ::= "yes" | "no"', {"y", "n"}),
        ("json_schema", json.dumps(PERSON), {"{"}),
    ],
)
def test_a_grammar_says_what_may_come_first(grammars, kind, text, first):
    assert allowed(grammars.compile(kind, text)) == first


@given(st.integers(0, 10_000))
@settings(max_examples=15, deadline=None)
def test_whatever_the_logits_the_answer_is_json_of_the_schema(seed):
    person = json.loads(write(grammars_once().compile("json_schema", json.dumps(PERSON)), seed, 2000))
    assert set(person) == {"name", "age"}
    assert len(person["name"]) <= 5 and 0 <= person["age"] <= 99


@given(st.integers(0, 10_000))
@settings(max_examples=15, deadline=None)
def test_whatever_the_logits_the_answer_matches_the_expression(seed):
    pattern = r"(cat|dog)s? (run|sleep)\."
    assert re.fullmatch(pattern, write(grammars_once().compile("regex", pattern), seed))


def grammars_once(found: list[Grammars] = []) -> Grammars:  # noqa: B006 - one for all examples
    if not found:
        found.append(Grammars(VOCABULARY))
    return found[0]


def test_a_finished_grammar_allows_only_the_end(grammars):
    grammar = grammars.compile("regex", "ab?")
    assert not grammar.finished
    grammar.accept(ord("a"))
    assert not grammar.finished and allowed(grammar) == {"b", "END"}
    grammar.accept(ord("b"))
    assert grammar.finished and set(np.flatnonzero(grammar.mask())) == ENDS


@pytest.mark.parametrize("end", sorted(ENDS))
def test_every_end_of_turn_may_end_it(grammars, end):
    grammar = grammars.compile("regex", "ab?")
    grammar.accept(ord("a"))
    grammar.accept(end)
    assert grammar.finished


def test_a_fork_goes_its_own_way(grammars):
    grammar = grammars.compile("gbnf", 'root ::= "yes" | "no"')
    fork = grammar.fork()
    fork.accept(ord("n"))
    assert allowed(grammar) == {"y", "n"} and allowed(fork) == {"o"}
    grammar.accept(ord("y"))
    assert allowed(grammar) == {"e"} and allowed(fork) == {"o"}


def test_a_forbidden_token_is_an_error(grammars):
    with pytest.raises(GrammarError, match="token 98 may not come here"):
        grammars.compile("regex", "a").accept(ord("b"))


def test_a_mask_is_read_only(grammars):
    with pytest.raises(ValueError, match="read-only"):
        grammars.compile("regex", "a").mask()[0] = True


def test_greedy_takes_the_greatest_that_is_allowed_and_a_bias_cannot_forbid_everything(grammars):
    row = np.zeros(VOCABULARY.size, np.float32)
    row[[ord("z"), ord("b")]] = 5, 3
    law = Law(temperature=0)
    assert Sampler(law, VOCABULARY.size, grammars.compile("regex", "[abc]")).choose(row, 0) == ord("b")
    law = Law(temperature=0, logit_bias=((ord("a"), -np.inf),))
    with pytest.raises(GrammarError, match="leaves no token"):
        Sampler(law, VOCABULARY.size, grammars.compile("regex", "a")).choose(row, 0)


@pytest.mark.parametrize(
    ("kind", "text", "named"),
    [
        ("json_schema", '{"type": "object", "unevaluatedProperties": false}', "unevaluatedProperties"),
        ("json_schema", '{"not": {"type": "string"}}', "not"),
        ("json_schema", '{"type": "strin"}', "strin"),
        ("json_schema", '{"type": "string", "format": "frobnicate"}', "frobnicate"),
        ("json_schema", '{"$ref": "http://example.com/a"}', "http://example.com/a"),
        ("json_schema", '{"type":', "column"),
        ("json_schema", "[1]", "object"),
        ("json_schema", "false", "object schema"),
        ("json_schema", '{"items":' * 5000 + "{}" + "}" * 5000, "recursion"),
        ("regex", "(a", "unclosed group"),
        ("regex", "(?=a)b", "look-around"),
        ("regex", "(" * 5000 + "a" + ")" * 5000, "nest"),
        ("lark", "start: foo", "foo"),
        ("lark", "@@", "lexer error"),
        ("gbnf", "root ::= foo", "foo"),
        ("gbnf", 'root ::= "a', "end of input"),
        ("gbnf", "root ::= " + "(" * 5000 + '"a"' + ")" * 5000, "recursion"),
        ("xml", "<a/>", "xml"),
        ("regex", "a" * (LONGEST + 1), "too long"),
    ],
)
def test_what_cannot_be_enforced_is_refused_and_named_on_one_line(grammars, kind, text, named):
    with pytest.raises(GrammarError, match=re.escape(named)) as refused:
        grammars.compile(kind, text)
    assert "\n" not in str(refused.value) and len(str(refused.value)) < 500


def test_a_vocabulary_without_an_end_has_no_grammars():
    class Endless(FakeVocabulary):
        ends = frozenset()

    with pytest.raises(GrammarError, match="ends a turn"):
        Grammars(Endless()).compile("regex", "a")


def test_any_json_is_a_schema_too(grammars):
    assert {"{", "[", '"', "t", "1"} <= allowed(grammars.compile("json_schema", "true"))


NESTED = {"rows": [[1, {"of": {"a": [True, None]}}], []], "no": {}}
WELL_WRITTEN = [json.dumps(NESTED, indent=indent) for indent in (None, 0, 1, 2, 4, "\t")]
WELL_WRITTEN += [json.dumps(NESTED, separators=(",", ":")), json.dumps(NESTED, separators=(" , ", " : "))]


def refused(grammar: Grammar, text: str) -> str:
    """From where on a text does not pass."""
    for at, byte in enumerate(text.encode()):
        if not grammar.mask()[byte]:
            return text[at:]
        grammar.accept(byte)
    return ""


@pytest.mark.parametrize("schema", ["{}", '{"type": "object", "properties": {"rows": {"type": "array"}}}'])
@pytest.mark.parametrize("text", WELL_WRITTEN)
def test_json_may_be_written_in_one_line_or_indented(grammars, schema, text):
    assert not refused(grammars.compile("json_schema", schema), text)


@pytest.mark.parametrize(
    ("text", "more"),
    [
        ("{  ", " "),
        ('{"a"  ', " "),
        ('{"a":  ', " "),
        ("[1  ", " "),
        ("[\n\n", "\n"),
        ("[ \n", "\n"),
        (f"[\n{' ' * 25}", " "),
        (f"[\n{chr(9) * 25}", "\t"),
        (" ", " "),
        ("[1] ", " "),
    ],
)
def test_white_space_in_json_ends(grammars, text, more):
    grammar = grammars.compile("json_schema", "{}")
    assert refused(grammar, text) == more
    assert EOS not in np.flatnonzero(grammar.mask()) or text.startswith("[1]")


class BeginsWithSpace(FakeVocabulary):
    """As SentencePiece's vocabularies do."""

    def encode(self, text, special=True, start=False):
        return super().encode(" " + text, special, start)


class ChangesText(FakeVocabulary):
    def encode(self, text, special=True, start=False):
        return super().encode(text.upper(), special, start)


class NoBraces(ChangesText):
    def piece(self, token):
        return b"" if token in (ord("{"), ord("[")) else super().piece(token)


@pytest.mark.parametrize("kind", [BeginsWithSpace, ChangesText])
def test_what_a_grammar_forces_is_spelled_right_whatever_the_tokenizer_does_to_texts(kind):
    grammar = Grammars(kind()).compile("json_schema", json.dumps(PERSON))
    for token in b'{"name":"Bo","age":7}':
        assert grammar.mask()[token]
        grammar.accept(token)
    assert grammar.finished


def test_a_vocabulary_that_cannot_spell_a_grammar_is_an_error():
    grammars = Grammars(NoBraces())
    with pytest.raises(GrammarError, match="spell"):
        grammar = grammars.compile("json_schema", json.dumps(PERSON))
        Sampler(Law(temperature=0), VOCABULARY.size, grammar).choose(np.zeros(VOCABULARY.size, np.float32), 0)


VOCABULARIES = sorted((Path(__file__).parents[3] / "shared/assets/tokenizers").glob("*.gguf"))


@pytest.mark.skipif(not VOCABULARIES, reason="no ../shared/assets/tokenizers")
@pytest.mark.parametrize("path", VOCABULARIES, ids=lambda path: path.stem)
def test_real_vocabularies_spell_json_under_a_schema(path):
    import llama_cpp

    options = llama_cpp.llama_model_default_params()
    options.vocab_only = True
    model = llama_cpp.llama_model_load_from_file(str(path).encode(), options)
    assert model
    vocabulary = LlamaVocabulary(model)
    grammars = Grammars(vocabulary)
    try:
        for seed in range(3):
            grammar = grammars.compile("json_schema", json.dumps(PERSON))
            chance = np.random.default_rng(seed)
            sampler = Sampler(Law(temperature=1, top_k=0, top_p=1, seed=seed), vocabulary.size, grammar)
            answer = b""
            while not grammar.finished:
                row = chance.normal(0, 1, vocabulary.size).astype(np.float32)
                row[list(vocabulary.ends)] = -20
                token = sampler.choose(row, len(answer))
                sampler.accept(token)
                answer += vocabulary.piece(token)
            assert set(json.loads(answer)) == {"name", "age"}
    finally:
        llama_cpp.llama_model_free(model)
