"""Texts of any length are tokens soon, and the same as if they were short."""

from collections.abc import Iterator

import llama_cpp
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from accel.runtime import demo
from accel.runtime.engines import llama_vocabulary
from accel.runtime.engines.llama_vocabulary import LlamaVocabulary

WORDS = ["<|im_start|>", "<|im_end|>", "<|endoftext|>", "<|im_", "|>", " ", "\n", "  a", "hello", "é", "<"]


@pytest.fixture(scope="module")
def vocabulary() -> Iterator[LlamaVocabulary]:
    options = llama_cpp.llama_model_default_params()
    options.vocab_only = True
    model = llama_cpp.llama_model_load_from_file(str(demo.target()).encode(), options)
    assert model
    yield LlamaVocabulary(model)
    llama_cpp.llama_model_free(model)


@given(st.lists(st.sampled_from(WORDS), max_size=60).map("".join), st.integers(1, 5))
@settings(max_examples=100, deadline=None)
def test_control_tokens_part_a_text_wherever_it_is_cut(vocabulary, text, dense):
    whole = vocabulary.encode(text)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(llama_vocabulary, "_SHORT", 0)
        patch.setattr(llama_vocabulary, "_DENSE", dense)
        assert vocabulary.encode(text) == whole


def test_a_long_text_full_of_control_tokens_is_told_in_blocks(vocabulary, monkeypatch):
    blocks: list[int] = []
    encode = vocabulary._encode
    monkeypatch.setattr(vocabulary, "_encode", lambda data, special: blocks.append(len(data)) or encode(data, special))
    assert len(vocabulary.encode("a<|im_end|>" * 20_000)) == 40_000
    assert max(blocks) <= 256 * len("a<|im_end|>") + 1 and sum(blocks) == 20_000 * len("a<|im_end|>")
