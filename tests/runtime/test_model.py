"""A ModelSpec says what the file says, and nothing where the file says nothing."""

import subprocess
import sys
import tracemalloc
from pathlib import Path

import gguf
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from accel.errors import ModelDamaged, ModelError, ModelUnsupported
from accel.runtime.model import ROLES, ModelSpec
from accel.runtime.probe_model import ProbeShape, write_probe
from accel.units import from_json, to_json

SHARED = Path(__file__).resolve().parents[3] / "shared/assets"
STORIES = SHARED / "models/stories260K.gguf"
WIDTH, VOCABULARY = 64, 96
KEYS = {
    "block_count": 2, "embedding_length": WIDTH, "feed_forward_length": 128, "context_length": 4096,
    "attention.head_count": 4, "attention.head_count_kv": 2,
}  # fmt: skip


WORDS = ["<s>", "a"]


def write(path, keys=(), tensors=(), tokens=WORDS, leave=(), architecture="x", text=(), arrays=()):
    """A model of zeros. `keys`, `text` and `arrays` add to the usual ones, `leave` takes some away."""
    writer = gguf.GGUFWriter(path, architecture)
    for key, value in {**KEYS, **dict(keys)}.items():
        if key not in leave:
            name = f"{architecture}.{key}"
            writer.add_array(name, value) if isinstance(value, list) else writer.add_uint32(name, value)
    for key, value in {"tokenizer.ggml.model": "llama", **dict(text)}.items():
        add = {str: writer.add_string, bool: writer.add_bool, int: writer.add_uint32}[type(value)]
        add(key, value)
    for key, values in {"tokenizer.ggml.tokens": tokens, **dict(arrays)}.items():
        if len(values):
            writer.add_array(key, values)
    for name, shape in (tensors or usual_tensors()).items():
        writer.add_tensor(name, np.zeros(shape, np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def usual_tensors(layers=2, experts=0, mixers=("attn_q", "attn_k", "attn_v", "attn_output")):
    tensors = {"token_embd.weight": (VOCABULARY, WIDTH), "output_norm.weight": (WIDTH,)}
    for layer in range(layers):
        block = f"blk.{layer}."
        tensors[f"{block}attn_norm.weight"] = (WIDTH,)
        tensors |= {f"{block}{name}.weight": (WIDTH, WIDTH) for name in mixers}
        if experts:
            tensors[f"{block}ffn_gate_inp.weight"] = (experts, WIDTH)
            tensors |= {f"{block}ffn_{name}_exps.weight": (experts, 32, WIDTH) for name in ("gate", "up")}
            tensors[f"{block}ffn_up_shexp.weight"] = (32, WIDTH)
        else:
            tensors |= {f"{block}ffn_{name}.weight": (128, WIDTH) for name in ("gate", "up")}
    return tensors


def test_bytes_are_told_apart_by_role_and_none_is_lost(tmp_path):
    tensors = usual_tensors(experts=8) | {"output.weight": (VOCABULARY, WIDTH)}
    model = ModelSpec.read(write(tmp_path / "m.gguf", {"expert_count": 8, "expert_used_count": 2}, tensors))
    square, expert = 4 * WIDTH * WIDTH, 4 * 32 * WIDTH
    assert model.bytes_by_role == {
        "embedding": 4 * VOCABULARY * WIDTH,
        "output": 4 * VOCABULARY * WIDTH,
        "attention": 2 * 4 * square,
        "experts": 2 * 2 * 8 * expert,
        "dense": 2 * expert,
        "other": 4 * (3 * WIDTH + 2 * 8 * WIDTH),
    }
    assert model.size == sum(4 * int(np.prod(shape)) for shape in tensors.values())
    assert [model.bytes_of("experts", layer) for layer in (0, 1)] == [2 * 8 * expert] * 2
    assert (model.experts, model.experts_used, model.tied, model.format) == (8, 2, False, "F32")


def test_shapes_come_from_the_keys_and_what_is_absent_from_the_others(tmp_path):
    model = ModelSpec.read(write(tmp_path / "m.gguf"))
    assert (model.layers, model.width, model.context, model.vocabulary) == (2, WIDTH, 4096, VOCABULARY)
    assert (model.heads, model.kv_heads, model.key_size, model.value_size) == ((4, 4), (2, 2), 16, 16)
    assert (model.tied, model.recurrent, model.experts, model.name) == (True, False, 0, "m")
    assert model.kv_bytes_per_position("f16") == 2 * 2 * 2 * 16 * 2
    without = ModelSpec.read(write(tmp_path / "n.gguf", leave=("attention.head_count_kv",)))
    assert without.kv_heads == without.heads
    given_sizes = {"attention.key_length": 32, "attention.value_length": 96}
    model = ModelSpec.read(write(tmp_path / "o.gguf", given_sizes))
    assert (model.key_size, model.value_size, model.kv_types) == (32, 96, ("f16", "q8_0", "q4_0", "f32"))
    assert model.kv_bytes_per_position("q8_0") == 2 * 2 * (32 + 96) * 34 // 32


def test_a_file_may_say_that_the_last_token_speaks_for_a_text(tmp_path):
    assert not ModelSpec.read(write(tmp_path / "mean.gguf", {"pooling_type": 1})).pools_last
    assert ModelSpec.read(write(tmp_path / "last.gguf", {"pooling_type": 3})).pools_last


def test_layers_may_differ(tmp_path):
    keys = {"attention.head_count_kv": [2, 0], "feed_forward_length": [128, 64]}
    model = ModelSpec.read(write(tmp_path / "m.gguf", keys))
    assert (model.kv_heads, model.ff_width) == ((2, 0), 128)
    assert model.kv_bytes_per_position("f16", [1]) == 0


def test_recurrent_layers_have_a_state_and_no_cache(tmp_path):
    keys = {"ssm.inner_size": 128, "ssm.state_size": 16, "ssm.conv_kernel": 4}
    model = ModelSpec.read(write(tmp_path / "m.gguf", keys, usual_tensors(mixers=("ssm_in", "ssm_out"))))
    assert model.recurrent and model.kv_heads == (0, 0) and model.kv_bytes_per_position("f16") == 0
    assert model.state == 2 * 4 * (3 * (128 + 2 * 0 * 16) + 128 * 16)


def test_a_latent_cache_holds_keys_alone(tmp_path):
    keys = {
        "attention.key_length": 48, "attention.value_length": 32, "attention.key_length_mla": 24,
        "attention.head_count_kv": 1,
    }  # fmt: skip
    tensors = usual_tensors(mixers=("attn_q", "attn_kv_a_mqa"))
    model = ModelSpec.read(write(tmp_path / "m.gguf", keys, tensors))
    assert model.kv_bytes_per_position("f16") == 2 * 48 * 2


def test_what_is_no_language_model_is_unsupported(tmp_path):
    with pytest.raises(ModelUnsupported):
        ModelSpec.read(write(tmp_path / "m.gguf", text={"general.type": "adapter"}))
    with pytest.raises(ModelUnsupported):
        ModelSpec.read(write(tmp_path / "n.gguf", tensors={"blk.0.attn_q.weight": (8, 8)}))
    vocabulary = SHARED / "tokenizers/ggml-vocab-phi-3.gguf"
    if vocabulary.exists():
        with pytest.raises(ModelUnsupported, match="no weights"):
            ModelSpec.read(vocabulary)


@pytest.mark.parametrize("format", ["F64", "I8", "I16", "I64", "Q8_1", "Q8_K"])
def test_a_format_that_no_kernel_multiplies_is_unsupported_before_an_engine_aborts_over_it(tmp_path, format):
    path = tmp_path / "probe.gguf"
    write_probe(path, ProbeShape(format, width=256, layers=1))
    with pytest.raises(ModelUnsupported, match=rf"'blk\.0\.[a-z_.]+' in {format}, .*; convert it again"):
        ModelSpec.read(path)


@pytest.mark.parametrize(
    "keys",
    [
        {"block_count": 0},
        {"block_count": 2**31},
        {"embedding_length": 2**31},
        {"attention.head_count_kv": [1]},
        {"attention.head_count": 2**30},
        {"expert_count": 2**30},
        {"block_count": [2, 2]},
        {"expert_count": 4, "expert_used_count": 5},
        {"expert_count": 4, "expert_used_count": 0},
        {"expert_used_count": 1},
    ],
    ids=str,
)
def test_numbers_that_cannot_be_are_damage(tmp_path, keys):
    with pytest.raises(ModelDamaged):
        ModelSpec.read(write(tmp_path / "m.gguf", keys))


@pytest.mark.parametrize("model", ["", "none", "no_vocab"])
def test_a_model_without_words_is_unsupported_before_an_engine_aborts_over_a_text(tmp_path, model):
    with pytest.raises(ModelUnsupported, match="holds no vocabulary; convert the model again, with its tokenizer"):
        ModelSpec.read(write(tmp_path / "m.gguf", text={"tokenizer.ggml.model": model}))
    with pytest.raises(ModelUnsupported, match="holds no vocabulary"):
        ModelSpec.read(write(tmp_path / "n.gguf", tokens=[]))


def test_a_probe_is_read_without_words(tmp_path):
    write_probe(tmp_path / "probe.gguf", ProbeShape("Q8_0", width=256, layers=1))
    assert ModelSpec.read(tmp_path / "probe.gguf").tokenizer == "no_vocab"


@pytest.mark.parametrize(
    ("keys", "said"),
    [
        ({"block_count": 513}, "513 layers, and the engine takes at most 512"),
        ({"expert_count": 1025, "expert_used_count": 2}, "1025 experts, and the engine takes at most 1024"),
    ],
    ids=["layers", "experts"],
)
def test_more_than_the_engine_takes_is_unsupported_before_it_aborts(tmp_path, keys, said):
    with pytest.raises(ModelUnsupported, match=said):
        ModelSpec.read(write(tmp_path / "m.gguf", keys))
    most = {key: min(value, 512) for key, value in keys.items()}
    assert ModelSpec.read(write(tmp_path / "n.gguf", most)).layers == most.get("block_count", 2)


@pytest.mark.parametrize(
    ("key", "count", "said"),
    [
        ("x.attention.head_count_kv", 2**18, "says 'attention.head_count_kv' 262144 times"),
        ("x.feed_forward_length", 2**18, "says 'feed_forward_length' 262144 times"),
        ("tokenizer.ggml.token_type", 2**18, "says 'token_type' of 262144 tokens and has 2"),
        ("tokenizer.ggml.scores", 3, "says 'scores' of 3 tokens and has 2"),
        ("tokenizer.ggml.token_type", 1, "says 'token_type' of 1 tokens and has 2"),
    ],
)
def test_an_array_longer_than_what_it_describes_is_damage_and_is_never_unpacked(tmp_path, key, count, said):
    leave = [key.removeprefix("x.")]
    path = write(tmp_path / "m.gguf", leave=leave, arrays={key: bytes(count)})
    tracemalloc.start()
    with pytest.raises(ModelDamaged, match=said):
        ModelSpec.read(path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < count + 2**20  # the header itself; a tuple of its numbers takes 8 bytes for each


def test_more_tokens_than_a_vocabulary_may_have_are_damage(tmp_path):
    with pytest.raises(ModelDamaged, match="claims 524289 tokens"):
        ModelSpec.read(write(tmp_path / "m.gguf", tokens=bytes(2**19 + 1)))


def test_a_layer_beyond_the_last_is_damage(tmp_path):
    tensors = usual_tensors() | {"blk.9999.attn_q.weight": (8, 8)}
    with pytest.raises(ModelDamaged, match="9999"):
        ModelSpec.read(write(tmp_path / "m.gguf", tensors=tensors))


@given(
    st.dictionaries(st.sampled_from(sorted(KEYS)), st.one_of(st.integers(0, 2**32 - 1), st.lists(st.integers(0, 9))))
)
@settings(max_examples=50, deadline=None)
def test_no_numbers_make_reading_fail_otherwise_than_as_a_model_error(tmp_path_factory, keys):
    path = write(tmp_path_factory.mktemp("m") / "m.gguf", {key: value for key, value in keys.items() if value != []})
    try:
        model = ModelSpec.read(path)
    except ModelError:
        return
    assert sum(model.bytes_by_role[role] for role in ROLES) == model.size
    assert from_json(to_json(model), ModelSpec) == model


ENDS = ["<|im_end|>", "<|eot_id|>", "<|endoftext|>", "<|end|>", "<end_of_turn>", "<|eom_id|>", "[EOT]"]
OTHERS = ["<|im_start|>", "<think>", "end", "<|end"]


@pytest.mark.parametrize("ends", [ENDS, ENDS[:1], [], [*ENDS, "<|return|>", "<|call|>"]], ids=len)
def test_the_ends_of_a_turn_are_those_that_the_engine_finds(tmp_path, ends):
    letters = [chr(code) for code in range(33, 127)]
    tokens = [*letters, *OTHERS, *ends]
    path = write(
        tmp_path / "m.gguf",
        tokens=tokens,
        architecture="llama",
        text={
            "tokenizer.ggml.model": "gpt2",
            "tokenizer.ggml.pre": "gpt-2",
            "tokenizer.ggml.eos_token_id": len(letters),
        },
    )
    add_arrays(path, tokens, control=len(OTHERS) + len(ends))
    model = ModelSpec.read(path)
    assert model.eos == len(letters)
    assert sorted(model.ends) == engine_ends(path)
    assert model.specials == tuple(range(len(letters), len(tokens)))


def add_arrays(path, tokens, control):
    """Writes the file again with what a byte-pair tokenizer cannot be without."""
    reader = gguf.GGUFReader(path)
    writer = gguf.GGUFWriter(f"{path}.2", "llama")
    for field in reader.fields.values():
        if not field.name.startswith("GGUF.") and field.name not in ("general.architecture", "tokenizer.ggml.tokens"):
            value = field.contents()
            writer.add_string(field.name, value) if isinstance(value, str) else writer.add_uint32(field.name, value)
    writer.add_float32("llama.attention.layer_norm_rms_epsilon", 1e-5)
    writer.add_array("tokenizer.ggml.tokens", tokens)
    writer.add_array("tokenizer.ggml.token_type", [1] * (len(tokens) - control) + [3] * control)
    writer.add_array("tokenizer.ggml.merges", ["a b"])
    for tensor in reader.tensors:
        writer.add_tensor(tensor.name, tensor.data)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    Path(f"{path}.2").replace(path)


def engine_ends(path):
    """As llama.cpp finds them, in a process of its own."""
    code = (
        "import sys, ctypes, llama_cpp.llama_cpp as c\n"
        "quiet = c.llama_log_callback(lambda *_: None); c.llama_log_set(quiet, ctypes.c_void_p(0))\n"
        "p = c.llama_model_default_params(); p.vocab_only = True\n"
        "v = c.llama_model_get_vocab(c.llama_model_load_from_file(sys.argv[1].encode(), p))\n"
        "print(*(t for t in range(c.llama_vocab_n_tokens(v)) if c.llama_vocab_is_eog(v, t)))"
    )
    done = subprocess.run([sys.executable, "-c", code, str(path)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return sorted(map(int, done.stdout.split()))


@pytest.mark.skipif(not STORIES.exists(), reason="no shared assets here")
def test_a_real_model_says_what_is_known_of_it():
    model = ModelSpec.read(STORIES)
    assert (model.architecture, model.layers, model.width, model.vocabulary) == ("llama", 5, 64, 512)
    assert (model.heads[0], model.kv_heads[0], model.key_size, model.context) == (8, 4, 8, 2048)
    assert (model.bos, model.ends, model.add_bos, model.tokenizer) == (1, (2,), True, "llama")
    assert model.kv_types == ("f16", "f32")  # heads of 8 hold no block of 32
