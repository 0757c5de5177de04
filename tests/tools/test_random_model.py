import subprocess
import sys

import numpy as np
import pytest

from accel.errors import UsageError
from accel.runtime.model import ModelSpec
from accel.tools import random_model
from accel.tools.random_model import PRESETS, SPECIAL, TYPES, Shapes, write_random_model

from ..exporters.llama import Llama

TINY = Shapes(layers=2, width=64, heads=4, kv_heads=2, head=32, ff_width=96, vocabulary=2000, context=128)
TEXT = "<|im_start|>user\nHello banana, ünïcødé 日本語 🎉 don't 12345\t\r\n\n  end<|im_end|>"


@pytest.mark.parametrize("type", TYPES)
def test_llama_cpp_computes_sane_logits_from_it(tmp_path, type):
    path = tmp_path / "tiny.gguf"
    write_random_model(path, TINY, type)
    with Llama(path) as model:
        logits = model.logits(model.tokenize(TEXT))
    chances = np.exp(logits - logits.max(-1, keepdims=True))
    chances /= chances.sum(-1, keepdims=True)
    entropy = -(chances * np.log(chances + 1e-30)).sum(-1)
    assert np.isfinite(logits).all()
    assert 1 < entropy.mean() < np.log(TINY.vocabulary) - 1
    assert len(set(logits.argmax(-1))) > len(logits) // 3  # it depends on what was read


def test_text_becomes_tokens_and_comes_back(tmp_path):
    path = tmp_path / "tiny.gguf"
    write_random_model(path, TINY, "Q8_0")
    with Llama(path, vocabulary_only=True) as model:
        tokens = model.tokenize(TEXT)
        assert model.detokenize(tokens) == TEXT
        assert len(tokens) < len(TEXT.encode()) - 20  # merges were found
        assert model.detokenize([TINY.vocabulary - len(SPECIAL) + 1]) == "<|im_start|>"


@pytest.mark.parametrize("vocabulary", [259, 260, 400, 12000, PRESETS["1b"].vocabulary])
def test_every_token_can_be_reached_and_is_there_once(vocabulary):
    words = random_model.make_vocabulary(vocabulary)
    assert len(words.tokens) == len(words.types) == len(set(words.tokens)) == vocabulary
    known = set(words.tokens[:256])
    for merge in words.merges:
        left, right = merge.split(" ")
        assert left in known and right in known
        known.add(left + right)
    assert known == set(words.tokens) - set(SPECIAL)


def test_its_header_says_what_was_asked_for(tmp_path):
    path = tmp_path / "tiny.gguf"
    write_random_model(path, TINY, "Q4_0")
    spec = ModelSpec.read(path)
    assert (spec.layers, spec.width, spec.ff_width, spec.vocabulary, spec.context) == (2, 64, 96, 2000, 128)
    assert (spec.heads, spec.kv_heads, spec.key_size, spec.value_size) == ((4, 4), (2, 2), 32, 32)
    assert spec.format == "Q4_0" and spec.tied
    assert "<|im_start|>" in spec.chat_template
    assert {1997, 1999} <= set(spec.ends)


def test_the_seed_decides_every_byte(tmp_path):
    def written(seed: int) -> bytes:
        write_random_model(tmp_path / "tiny.gguf", TINY, "Q4_0", seed)
        return (tmp_path / "tiny.gguf").read_bytes()

    assert written(1) == written(1) != written(2)


def test_the_preset_of_1b_has_1_1_billion_parameters():
    tensors = random_model._tensors(PRESETS["1b"], random_model.Type.Q4_0)
    assert 1.0e9 < sum(np.prod(tensor.shape, dtype=np.int64) for tensor in tensors) < 1.2e9


@pytest.mark.parametrize(
    "wrong", [{"kv_heads": 3}, {"width": 65}, {"vocabulary": 100}, {"layers": 0}, {"vocabulary": 10**7}, {"head": 31}]
)
def test_shapes_that_cannot_be_are_refused_and_nothing_is_written(tmp_path, wrong):
    from dataclasses import replace

    with pytest.raises(UsageError):
        write_random_model(tmp_path / "no.gguf", replace(TINY, **wrong), "Q4_0")
    assert not list(tmp_path.iterdir())


def test_the_command_writes_a_file(tmp_path):
    path = tmp_path / "tiny.gguf"
    sizes = ["--layers=1", "--width=64", "--heads=2", "--kv-heads=1", "--head=32", "--ff-width=64", "--vocabulary=300"]
    command = [sys.executable, random_model.__file__, str(path), *sizes, "--type=F16"]
    told = subprocess.run(command, capture_output=True, text=True, check=True).stderr
    assert told.startswith(f"{path}: ")
    assert ModelSpec.read(path).layers == 1
