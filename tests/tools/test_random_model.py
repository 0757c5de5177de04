import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest

from accel.errors import UsageError
from accel.offload.gguf_header import Tensor, read_header
from accel.runtime.model import ModelSpec
from accel.tools import random_model
from accel.tools.random_model import PRESETS, SPECIAL, TYPES, Fading, Shapes, write_random_model

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


def test_a_draft_model_is_the_first_layers_of_its_target_and_agrees_more_the_more_the_others_fade(tmp_path):
    target, draft = tmp_path / "target.gguf", tmp_path / "draft.gguf"
    shapes, text = replace(TINY, layers=6), TEXT * 4
    write_random_model(draft, replace(shapes, layers=1), "Q8_0", seed=3)
    with Llama(draft) as model:
        tokens = model.tokenize(text)
        guessed = model.logits(tokens).argmax(-1)
    agreed = []
    for share in (1.0, 0.2, 0.001):
        write_random_model(target, shapes, "Q8_0", seed=3, fading=Fading(1, share))
        with Llama(target) as model:
            agreed.append(float((model.logits(tokens).argmax(-1) == guessed).mean()))
    assert agreed[0] < agreed[1] < agreed[2] and agreed[0] < 0.4 and agreed[2] > 0.9


def test_layers_before_the_fading_are_those_of_a_model_without_it(tmp_path):
    write_random_model(tmp_path / "a.gguf", TINY, "Q4_0", fading=Fading(1, 0.5))
    write_random_model(tmp_path / "b.gguf", TINY, "Q4_0")
    one, other = (read_header(tmp_path / name) for name in ("a.gguf", "b.gguf"))
    differing = {name for name, tensor in one.tensors.items() if bytes_of(tensor) != bytes_of(other.tensors[name])}
    assert differing == {"blk.1.attn_output.weight", "blk.1.ffn_down.weight"}


def bytes_of(tensor: Tensor) -> bytes:
    return tensor.file.read_bytes()[tensor.offset : tensor.offset + tensor.size]


@pytest.mark.parametrize("share", [0.0, -1.0, 1.5, float("nan")])
def test_a_share_that_cannot_be_is_refused(tmp_path, share):
    with pytest.raises(UsageError):
        write_random_model(tmp_path / "no.gguf", TINY, "Q4_0", fading=Fading(1, share))
    assert not list(tmp_path.iterdir())


def test_the_command_writes_a_draft_model_too(tmp_path):
    sizes = ["--layers=3", "--width=64", "--heads=2", "--kv-heads=1", "--head=32", "--ff-width=64", "--vocabulary=300"]
    paths = [str(tmp_path / "big.gguf"), "--draft", str(tmp_path / "small.gguf"), "--draft-layers=1", "--fading=0.1"]
    subprocess.run([sys.executable, random_model.__file__, *paths, *sizes], capture_output=True, check=True)
    assert [ModelSpec.read(tmp_path / name).layers for name in ("big.gguf", "small.gguf")] == [3, 1]
