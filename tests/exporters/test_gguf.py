import json
import tracemalloc

import gguf
import numpy as np
import pytest
from gguf.quants import dequantize
from tokenizers import Tokenizer

from accel.errors import AccelError, ConvertError, DiskFull
from accel.exporters.gguf import convert
from accel.exporters.gguf_file import FILE_TYPES
from accel.runtime.model import ModelSpec

from . import reference
from .checkpoints import DENSE, MOE, weights, write_checkpoint, write_safetensors
from .llama import Llama

TOKENS = [5, 598, 17, 300, 17, 44, 1, 599, 230, 230, 8, 590]
BLOCK_ERROR = {"F32": 0.0, "F16": 2**-10, "BF16": 2**-7, "Q8_0": 1 / 126, "Q4_0": 1 / 7.9}  # of a row's largest value


@pytest.mark.parametrize("name", ["moe", "dense", "draft"])
def test_trained_models_give_the_logits_of_their_checkpoints(trained, name):
    text = "It was the best of times,\n\n  def f(x): return 12345 # ünïcødé 日本 🎉 <|im_end|> the end"
    tokens = Tokenizer.from_file(str(trained.folder(name) / "tokenizer.json")).encode(text).ids
    with Llama(trained.gguf(name, "F32")) as model:
        assert model.tokenize(text) == tokens
        assert np.abs(model.logits(tokens) - reference.logits(trained.folder(name), tokens)).max() < 1e-3


@pytest.mark.parametrize("config", [DENSE, MOE, DENSE | {"tie_word_embeddings": True}], ids=["dense", "moe", "tied"])
@pytest.mark.parametrize(("type", "files"), [("F32", 1), ("F16", 3), ("BF16", 2)])
def test_any_stored_type_and_number_of_files_gives_the_same_logits(tmp_path, config, type, files):
    folder = write_checkpoint(tmp_path / "checkpoint", config, type, files)
    convert(folder, tmp_path / "model.gguf", "F32")
    with Llama(tmp_path / "model.gguf") as model:
        assert np.abs(model.logits(TOKENS) - reference.logits(folder, TOKENS)).max() < 1e-4


@pytest.mark.parametrize("type", FILE_TYPES)
def test_every_value_is_where_it_belongs_and_as_exact_as_its_type(tmp_path, type):
    convert(write_checkpoint(tmp_path, MOE), tmp_path / "model.gguf", type)
    stored = weights(MOE)
    tensors = {each.name: each for each in gguf.GGUFReader(tmp_path / "model.gguf").tensors}
    for name, expected in (
        ("token_embd", stored["model.embed_tokens.weight"]),
        ("output", stored["lm_head.weight"]),
        ("blk.1.attn_k", stored["model.layers.1.self_attn.k_proj.weight"]),
        ("blk.1.ffn_gate_inp", stored["model.layers.1.mlp.gate.weight"]),
        ("blk.0.attn_q_norm", stored["model.layers.0.self_attn.q_norm.weight"]),
        (
            "blk.1.ffn_down_exps",
            np.stack([stored[f"model.layers.1.mlp.experts.{e}.down_proj.weight"] for e in range(4)]),
        ),
    ):
        tensor = tensors.pop(f"{name}.weight")
        exact = expected.ndim == 1 or name.endswith("gate_inp")
        assert tensor.tensor_type.name == ("F32" if exact else type)
        found = dequantize(tensor.data, tensor.tensor_type)
        assert found.shape == expected.shape
        allowed = 0.0 if exact else BLOCK_ERROR[type]
        assert np.all(np.abs(found - expected) <= allowed * np.abs(expected).max(-1, keepdims=True))


def test_the_header_says_what_config_json_says(tmp_path):
    convert(write_checkpoint(tmp_path, MOE, about={"chat_template": "{{ x }}"}), tmp_path / "model.gguf")
    spec = ModelSpec.read(tmp_path / "model.gguf")
    assert (spec.architecture, spec.layers, spec.width, spec.vocabulary, spec.context) == ("qwen3moe", 2, 64, 600, 256)
    assert (spec.heads, spec.kv_heads, spec.key_size, spec.value_size) == ((4, 4), (2, 2), 32, 32)
    assert (spec.experts, spec.experts_used, spec.expert_width) == (4, 2, 32)
    assert (spec.pre_tokenizer, spec.chat_template, spec.add_bos, spec.bos) == ("gpt-2", "{{ x }}", False, None)
    assert 598 in spec.ends
    fields = gguf.GGUFReader(tmp_path / "model.gguf").fields
    assert fields["qwen3moe.rope.freq_base"].contents() == 50000.0
    assert fields["qwen3moe.attention.layer_norm_rms_epsilon"].contents() == pytest.approx(1e-5)
    assert fields["general.name"].contents() == tmp_path.name


@pytest.mark.parametrize("tied", [True, False])
def test_tied_embeddings_are_written_once(tmp_path, tied):
    folder = write_checkpoint(tmp_path, DENSE | {"tie_word_embeddings": tied})
    convert(folder, tmp_path / "model.gguf")
    assert ModelSpec.read(tmp_path / "model.gguf").tied is tied


def test_an_output_matrix_that_tied_embeddings_make_useless_is_left_out(tmp_path):
    folder = write_checkpoint(tmp_path)
    (folder / "config.json").write_text(json.dumps(DENSE | {"tie_word_embeddings": True}))
    convert(folder, tmp_path / "model.gguf")
    assert ModelSpec.read(tmp_path / "model.gguf").tied


@pytest.mark.parametrize(
    ("tied", "embeddings", "output", "formats"),
    [
        (True, "Q8_0", None, ("Q8_0", None)),
        (True, None, "Q8_0", ("Q8_0", None)),
        (True, "F16", "Q8_0", ("F16", None)),
        (False, "Q8_0", "F16", ("Q8_0", "F16")),
        (False, None, "F16", ("Q4_0", "F16")),
    ],
)
def test_embeddings_and_output_may_have_types_of_their_own(tmp_path, tied, embeddings, output, formats):
    folder = write_checkpoint(tmp_path, DENSE | {"tie_word_embeddings": tied})
    convert(folder, tmp_path / "model.gguf", "Q4_0", embeddings=embeddings, output=output)
    found = {each.name: each.tensor_type.name for each in gguf.GGUFReader(tmp_path / "model.gguf").tensors}
    assert (found["token_embd.weight"], found.get("output.weight")) == formats
    assert found["blk.0.ffn_up.weight"] == "Q4_0"


def test_rows_that_no_block_divides_are_named_and_become_f16(tmp_path):
    folder = write_checkpoint(tmp_path, DENSE | {"intermediate_size": 90})
    fallbacks = convert(folder, tmp_path / "model.gguf", "Q4_0")
    assert [(each.tensor, each.wanted, each.got) for each in fallbacks] == [
        (f"blk.{layer}.ffn_down.weight", "Q4_0", "F16") for layer in range(2)
    ]
    with Llama(tmp_path / "model.gguf") as model:
        assert np.isfinite(model.logits(TOKENS)).all()


def test_progress_ends_at_one_and_never_goes_back(tmp_path):
    seen: list[float] = []
    convert(write_checkpoint(tmp_path), tmp_path / "model.gguf", "Q8_0", seen.append)
    assert seen == sorted(seen)
    assert seen[-1] == 1


@pytest.mark.parametrize("type", ["F32", "Q8_0"])
def test_no_tensor_is_ever_in_memory_whole(tmp_path, type):
    folder = write_checkpoint(
        tmp_path, DENSE | {"hidden_size": 1024, "intermediate_size": 7168, "num_hidden_layers": 1}, "BF16"
    )
    tracemalloc.start()
    try:
        convert(folder, tmp_path / "model.gguf", type)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 1024 * 7168 * 4


@pytest.mark.parametrize("value", [np.nan, np.inf, 1e6])
def test_values_that_the_type_cannot_hold_are_an_error_and_leave_the_old_file(tmp_path, value):
    folder = write_checkpoint(tmp_path)
    tensors = weights(DENSE)
    tensors["model.layers.1.mlp.up_proj.weight"][3, 4] = value
    write_safetensors(folder / "model.safetensors", tensors)
    out = tmp_path / "model.gguf"
    out.write_bytes(b"before")
    before = sorted(tmp_path.iterdir())
    with pytest.raises(ConvertError, match="up_proj"):
        convert(folder, out, "F16")
    assert out.read_bytes() == b"before"
    assert sorted(tmp_path.iterdir()) == before


def test_an_interrupted_conversion_leaves_nothing(tmp_path):
    folder = write_checkpoint(tmp_path / "checkpoint")

    def interrupt(fraction: float) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        convert(folder, tmp_path / "model.gguf", "F16", interrupt)
    assert [path.name for path in tmp_path.iterdir()] == ["checkpoint"]


def test_a_full_disk_is_said_and_nothing_is_left(tmp_path):
    resource = pytest.importorskip("resource")
    folder = write_checkpoint(tmp_path / "checkpoint")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, before[1]))
    try:
        with pytest.raises(DiskFull):
            convert(folder, tmp_path / "model.gguf")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert [path.name for path in tmp_path.iterdir()] == ["checkpoint"]


@pytest.mark.parametrize("type", ["F16", "Q4_K_M"])
def test_a_folder_that_is_not_there_is_one_line(tmp_path, type):
    with pytest.raises(AccelError):
        convert(write_checkpoint(tmp_path), tmp_path / "nowhere" / "model.gguf", type)


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"num_hidden_layers": 3}, "lacks the tensor 'model.layers.2"),
        ({"num_hidden_layers": 1}, "holds tensors that its family does not"),
        ({"num_hidden_layers": 2**24}, "lacks the tensor"),
        ({"hidden_size": 128}, "config.json says"),
        ({"vocab_size": 2**24}, "config.json says"),
        ({"head_dim": 16}, "config.json says"),
        ({"tie_word_embeddings": 1}, "no bool"),
    ],
)
def test_a_config_that_its_tensors_contradict_is_refused(tmp_path, changes, why):
    folder = write_checkpoint(tmp_path)
    (folder / "config.json").write_text(json.dumps(DENSE | changes))
    with pytest.raises(ConvertError, match=why):
        convert(folder, tmp_path / "model.gguf")


def test_an_unknown_type_is_refused_with_those_that_are_known(tmp_path):
    with pytest.raises(ConvertError, match="Q4_K_M"):
        convert(write_checkpoint(tmp_path), tmp_path / "model.gguf", "Q4_X")
