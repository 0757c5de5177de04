"""Which models can draft for which, by their headers alone, as the engine's own vocabularies say."""

import struct
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from accel.offload.gguf_header import Array, Header, read_header
from accel.runtime import demo
from accel.runtime.drafting.fit import has_same_tokens, why_not
from accel.runtime.drafting.retokenise import same_tokens
from accel.runtime.engines import open_engine
from accel.runtime.engines.base import Vocabulary
from accel.runtime.engines.options import EngineOptions
from accel.units import Bytes

from ..planning import a_model

STORIES = Path(__file__).parents[4] / "shared/assets/models/stories260K.gguf"
NORMAL, CONTROL, UNUSED = 1, 3, 5


def header(tokens: Sequence[bytes], kinds: Sequence[int] | None = None, model: str = "gpt2") -> Header:
    raw = b"".join(struct.pack("<Q", len(token)) + token for token in tokens)
    metadata = {"tokenizer.ggml.model": model, "tokenizer.ggml.tokens": Array(8, len(tokens), memoryview(raw))}
    if kinds is not None:
        packed = struct.pack(f"<{len(kinds)}i", *kinds)
        metadata["tokenizer.ggml.token_type"] = Array(5, len(kinds), memoryview(packed))
    return Header((), (), metadata, {}, "")


words = st.lists(st.binary(max_size=6), min_size=1, max_size=12)


@given(words, st.lists(st.binary(max_size=6), max_size=4))
def test_more_tokens_at_the_end_are_no_difference_as_long_as_they_write_nothing(tokens, more):
    one = header(tokens, [NORMAL] * len(tokens))
    for kind, same in ((UNUSED, True), (CONTROL, True), (NORMAL, not more)):
        other = header([*tokens, *more], [NORMAL] * len(tokens) + [kind] * len(more))
        assert has_same_tokens(one, other) == has_same_tokens(other, one) == same


@given(words, st.data())
def test_one_token_that_differs_is_a_difference(tokens, data):
    at = data.draw(st.integers(0, len(tokens) - 1))
    changed = [*tokens]
    changed[at] += b"x"
    kinds = [NORMAL] * len(tokens)
    assert not has_same_tokens(header(tokens, kinds), header(changed, kinds))
    kinds[at] = CONTROL
    assert not has_same_tokens(header(tokens), header(tokens, kinds))


def test_the_same_spellings_of_two_kinds_of_tokenizer_are_no_same_tokens():
    assert not has_same_tokens(header([b"a", b"b"]), header([b"a", b"b"], model="llama"))
    assert not has_same_tokens(header([b"a"]), Header((), (), {}, {}, ""))


@pytest.fixture(scope="module")
def vocabularies() -> Iterator[dict[Path, Vocabulary]]:
    paths = [demo.target(), demo.draft(), *([STORIES] if STORIES.is_file() else [])]
    engines = {path: open_engine("llamacpp", EngineOptions(str(path), context=256)) for path in paths}
    yield {path: engine.vocabulary for path, engine in engines.items()}
    for engine in engines.values():
        engine.close()


def test_headers_say_what_the_engines_vocabularies_say(vocabularies):
    for one, its in vocabularies.items():
        for other, theirs in vocabularies.items():
            assert has_same_tokens(read_header(one), read_header(other)) == same_tokens(its, theirs), (one, other)


def test_why_a_model_cannot_draft_is_said():
    large, small = replace(a_model(layers=8), fingerprint="a"), replace(a_model(layers=2), fingerprint="b")
    assert why_not(large, small) == ""
    assert "no smaller than the target" in why_not(small, large)
    assert "the target itself" in why_not(large, large)
    assert "the target's state" in why_not(replace(large, recurrent=True, state=Bytes(8)), small)
    assert why_not(large, replace(small, recurrent=True)).startswith("its state")
