"""What is written under a JSON schema is valid for it; a schema that cannot be enforced is refused by its keyword."""

import json
import re
from datetime import datetime
from pathlib import Path
from typing import Any

import jsonschema
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from accel.errors import GrammarError
from accel.runtime.engines.fake import ENDS, FakeVocabulary
from accel.runtime.grammar import Grammar, Grammars
from accel.runtime.law import Law
from accel.runtime.sampling import Sampler

FOLDER = Path(__file__).parent
CASES = json.loads((FOLDER / "schema_cases.json").read_text())
SCHEMAS = sorted((FOLDER / "schemas").glob("*.json"))
VOCABULARY = FakeVocabulary()
GRAMMARS = Grammars(VOCABULARY)
FORMATS = jsonschema.FormatChecker()
_CLOSING = [*b'"}],', *ENDS]  # what ends strings and lists


@FORMATS.checks("date-time", ValueError)
def is_date_time(value: object) -> bool:
    if isinstance(value, str):
        seconds = value.replace(":60", ":59")  # a leap second
        return bool(datetime.fromisoformat(seconds.upper().replace("Z", "+00:00")).tzinfo)
    return True


def compiled(schema: Any) -> Grammar:
    return GRAMMARS.compile("json_schema", json.dumps(schema))


def is_valid(value: Any, schema: Any) -> bool:
    kind = jsonschema.Draft202012Validator
    return kind(schema, format_checker=FORMATS).is_valid(value)


def accepts(grammar: Grammar, text: str) -> bool:
    """Whether a text is a whole answer."""
    for byte in text.encode():
        if not grammar.mask()[byte]:
            return False
        grammar.accept(byte)
    return bool(grammar.mask()[list(ENDS)].any())


def write(grammar: Grammar, seed: int, most: int = 1500) -> str | None:
    """A short answer of logits that know nothing; None where it does not come to an end."""
    chance = np.random.default_rng(seed)
    sampler = Sampler(Law(temperature=1, top_k=0, top_p=1, seed=seed), VOCABULARY.size, grammar)
    answer: list[int] = []
    while len(answer) < most:
        row = chance.normal(0, 1, VOCABULARY.size).astype(np.float32)
        row[_CLOSING] += 4
        token = sampler.choose(row, len(answer))
        if token in ENDS:
            return bytes(answer).decode()
        sampler.accept(token)
        answer.append(token)
    return None


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case['of']} {json.dumps(case['schema'])[:60]}")
def test_a_schemas_grammar_takes_what_is_valid_and_nothing_else(case):
    for value, valid in [*((value, True) for value in case["valid"]), *((value, False) for value in case["invalid"])]:
        if case["of"] != "format":  # of which the other judge knows little
            assert is_valid(value, case["schema"]) == valid, value
        assert accepts(compiled(case["schema"]), json.dumps(value, ensure_ascii=False)) == valid, value


def test_there_are_fifty_schemas_as_people_write_them():
    assert len(SCHEMAS) >= 50
    for path in SCHEMAS:
        jsonschema.Draft202012Validator.check_schema(json.loads(path.read_text()))


@pytest.mark.parametrize("path", SCHEMAS, ids=lambda path: path.stem)
def test_whatever_is_written_under_a_schema_is_valid_for_it(path):
    schema = json.loads(path.read_text())
    found = [answer for seed in range(4) if (answer := write(compiled(schema), seed)) is not None]
    assert found
    for answer in found:
        assert is_valid(json.loads(answer), schema), answer


@given(st.integers(0, 2**32))
@settings(max_examples=20, deadline=None)
def test_whatever_is_written_as_any_object_is_one(seed):
    answer = write(compiled({"type": "object"}), seed)
    assert answer is None or isinstance(json.loads(answer), dict)


@pytest.mark.parametrize(
    ("keyword", "schema"),
    [
        ("not", {"not": {"type": "string"}}),
        ("if", {"if": {"type": "string"}, "then": {"minLength": 1}}),
        ("uniqueItems", {"type": "array", "uniqueItems": True}),
        ("contains", {"type": "array", "contains": {"type": "integer"}}),
        ("dependentSchemas", {"type": "object", "dependentSchemas": {"a": {"required": ["b"]}}}),
        ("dependentRequired", {"type": "object", "dependentRequired": {"a": ["b"]}}),
        ("propertyNames", {"type": "object", "propertyNames": {"pattern": "^a"}}),
        ("unevaluatedProperties", {"type": "object", "unevaluatedProperties": False}),
        ("unevaluatedItems", {"type": "array", "unevaluatedItems": False}),
        ("$dynamicRef", {"$dynamicRef": "#a"}),
        ("dependencies", {"type": "object", "dependencies": {"a": ["b"]}}),
        ("oneOf", {"oneOf": [{"type": "integer"}, {"type": "number"}]}),
        ("frobnicate", {"type": "string", "format": "frobnicate"}),
        ("minContains", {"type": "array", "minContains": 1}),
        ("maxProperties", {"type": "object", "properties": {"a": {}}, "maxProperties": 1}),
        ("look-ahead", {"type": "string", "pattern": "(?!a)b"}),
    ],
)
@pytest.mark.parametrize("within", [False, True])
def test_what_cannot_be_enforced_is_refused_by_name(keyword, schema, within):
    whole = {"type": "object", "properties": {"a": schema}, "required": ["a"]} if within else schema
    with pytest.raises(GrammarError, match=re.escape(keyword)):
        compiled(whole)


@pytest.mark.parametrize(
    ("keyword", "schema"),
    [
        ("uniqueItems", {"type": "array", "uniqueItems": True, "x-guidance": {"lenient": True}}),
        ("oneOf", {"oneOf": [{"type": "integer"}, {"type": "number"}], "x-guidance": {"coerce_one_of": True}}),
    ],
)
def test_a_schema_cannot_ask_to_be_enforced_less(keyword, schema):
    with pytest.raises(GrammarError, match=keyword):
        compiled(schema)


def test_what_is_no_keyword_is_let_be():
    assert accepts(compiled({"type": "integer", "frobnicate": 1, "x-guidance": {"item_separator": ";"}}), "7")
