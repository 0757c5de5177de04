"""Texts of any length are tokens soon, and the same as if they were short; what no stack has room for is refused."""

import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import llama_cpp
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from accel.errors import MemoryFull, UsageError
from accel.runtime import demo
from accel.runtime.engines import llama_vocabulary
from accel.runtime.engines.llama_vocabulary import LlamaVocabulary

WORDS = ["<|im_start|>", "<|im_end|>", "<|endoftext|>", "<|im_", "|>", " ", "\n", "  a", "hello", "é", "<"]
# The tokens of texts from standard input, by a process that a stack which is too small ends.
CHILD = """
import json, sys, llama_cpp
from accel.runtime.engines.llama_vocabulary import LlamaVocabulary
options = llama_cpp.llama_model_default_params()
options.vocab_only = True
vocabulary = LlamaVocabulary(llama_cpp.llama_model_load_from_file(sys.argv[1].encode(), options))
print(json.dumps([vocabulary.encode(text) for text in json.load(sys.stdin)]))
"""


@pytest.fixture(scope="module")
def vocabulary() -> Iterator[LlamaVocabulary]:
    options = llama_cpp.llama_model_default_params()
    options.vocab_only = True
    model = llama_cpp.llama_model_load_from_file(str(demo.target()).encode(), options)
    assert model
    yield LlamaVocabulary(model)
    llama_cpp.llama_model_free(model)


@pytest.fixture(scope="module")
def by_regex(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same vocabulary under a name whose words llama.cpp finds by `std::regex`."""
    whole = demo.target().read_bytes()
    key = b"tokenizer.ggml.pre"
    name = whole.index(key) + len(key) + 12  # behind the kind and the length of the value
    assert whole[name : name + 5] == b"qwen2"
    file = tmp_path_factory.mktemp("vocabulary") / "by-regex.gguf"
    file.write_bytes(whole[:name] + b"youtu" + whole[name + 5 :])
    return file


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


def test_a_word_that_is_longer_than_a_usual_stack_ends_no_process(vocabulary, by_regex):
    texts = [letter * 60_000 for letter in ("x", "X", ".", " ", "日")]
    words = [sys.executable, "-c", CHILD, str(by_regex)]
    done = subprocess.run(words, input=json.dumps(texts), capture_output=True, text=True, check=False)
    assert done.returncode == 0
    assert json.loads(done.stdout) == [vocabulary.encode(text) for text in texts]


@pytest.mark.parametrize("text", ["x", "é.7", "words and spaces ", " ", "a,b", "\n", ",\x1c", "\n\x1c"])
def test_words_that_no_stack_has_room_for_are_refused_before_they_are_read(vocabulary, monkeypatch, text):
    monkeypatch.setattr(llama_vocabulary, "LONGEST_WORD", 5000)
    monkeypatch.setattr(vocabulary, "_encode", None)
    with pytest.raises(UsageError, match=r"\d+ characters come without a break .*; break the text into lines"):
        vocabulary.encode(text * 6000)


@pytest.mark.parametrize("text", ["x\n", "A sentence, and another one. ", "é\n\n", "!\n", "7 ", "日本\n"])
def test_a_text_of_short_words_may_be_of_any_length(vocabulary, monkeypatch, text):
    monkeypatch.setattr(llama_vocabulary, "LONGEST_WORD", 5000)
    assert vocabulary.encode(text * 6000)


def test_other_threads_have_the_stacks_that_they_had(vocabulary):
    before = threading.stack_size(2**20)
    try:
        vocabulary.encode("x" * 5000)
        assert threading.stack_size() == 2**20
    finally:
        threading.stack_size(before)


def test_where_there_is_no_room_for_a_stack_it_says_so(vocabulary, monkeypatch):
    monkeypatch.setattr(llama_vocabulary, "_DEEP", 2**47)
    with pytest.raises(MemoryFull, match="no memory to read a long text"):
        vocabulary.encode("x" * 5000)
    assert vocabulary.encode("x" * 4000)
