"""Small Hugging Face checkpoints of random weights, written without the libraries that read them."""

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers

CORPUS = """It's a truth: they'll say WE'RE fine, I'd've known; don't shout "DON'T"! 12345 67,890.12 3/4
def f(x):\n    return x + 1  # tabs\tand\r\nlines\n\n\n   spaces      \u00a0and\u3000more
ünïcödé naïve façade Straße ŁÓDŹ ñandú; Ελληνικά, кириллица; 日本語テキスト 中文 한국어 हिन्दी العربية עברית ไทย
emoji 🎉👩‍👩‍👧 ²³½ Ⅷ ١٢٣ ǅ \u017f İstanbul x̂ e\u0301 \u200b\ufeff ~!@#$%^&*()_+-=[]{}|;':",./<>?`
CamelCaseWords snake_case_words HTTPServer iPhone ''' ... --- ??? <|not a token|>
"""
SPECIAL = ("<|endoftext|>", "<|im_start|>", "<|im_end|>")
DENSE: dict[str, Any] = {
    "architectures": ["Qwen3ForCausalLM"],
    "model_type": "qwen3",
    "vocab_size": 600,
    "hidden_size": 64,
    "intermediate_size": 96,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 32,
    "hidden_act": "silu",
    "max_position_embeddings": 256,
    "rms_norm_eps": 1e-5,
    "rope_theta": 50000.0,
    "tie_word_embeddings": False,
    "attention_bias": False,
    "use_sliding_window": False,
    "bos_token_id": None,
    "eos_token_id": 598,
}
MOE = DENSE | {
    "architectures": ["Qwen3MoeForCausalLM"],
    "model_type": "qwen3_moe",
    "num_experts": 4,
    "num_experts_per_tok": 2,
    "moe_intermediate_size": 32,
    "norm_topk_prob": True,
    "decoder_sparse_step": 1,
    "mlp_only_layers": [],
}


def make_tokenizer(splitter: Any = None, size: int = 590, ignore_merges: bool = False) -> Tokenizer:
    """Byte-level BPE trained on CORPUS, its special tokens last; by default split as GPT-2 does."""
    tokenizer = Tokenizer(models.BPE(ignore_merges=ignore_merges))
    tokenizer.pre_tokenizer = splitter or pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=size, show_progress=False, initial_alphabet=pre_tokenizers.ByteLevel.alphabet()
    )
    tokenizer.train_from_iterator([CORPUS] * 3, trainer)
    tokenizer.add_special_tokens(list(SPECIAL))
    return tokenizer


def split_by(pattern: str, *before: Any) -> Any:
    return pre_tokenizers.Sequence(
        [
            *before,
            pre_tokenizers.Split(Regex(pattern), "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )


def weights(config: dict[str, Any], seed: int = 0) -> dict[str, np.ndarray]:
    """Random tensors under the names that transformers gives them; norms near 1."""
    random = np.random.default_rng(seed)
    width, head = config["hidden_size"], config["head_dim"]
    queries, keys = config["num_attention_heads"] * head, config["num_key_value_heads"] * head
    shapes = {"model.embed_tokens": (config["vocab_size"], width), "model.norm": (width,)}
    if not config["tie_word_embeddings"]:
        shapes["lm_head"] = (config["vocab_size"], width)
    for layer in range(config["num_hidden_layers"]):
        at = f"model.layers.{layer}."
        shapes |= {f"{at}input_layernorm": (width,), f"{at}post_attention_layernorm": (width,)}
        shapes |= {f"{at}self_attn.{name}_norm": (head,) for name in "qk"}
        shapes |= {f"{at}self_attn.q_proj": (queries, width), f"{at}self_attn.o_proj": (width, queries)}
        shapes |= {f"{at}self_attn.{name}_proj": (keys, width) for name in "kv"}
        if "num_experts" in config:
            shapes[f"{at}mlp.gate"] = (config["num_experts"], width)
            for expert in range(config["num_experts"]):
                shapes |= _gated(f"{at}mlp.experts.{expert}.", width, config["moe_intermediate_size"])
        else:
            shapes |= _gated(f"{at}mlp.", width, config["intermediate_size"])
    return {
        f"{name}.weight": (
            random.standard_normal(shape) * shape[-1] ** -0.5 if len(shape) > 1 else random.uniform(0.5, 1.5, shape)
        ).astype(np.float32)
        for name, shape in shapes.items()
    }


def _gated(at: str, width: int, inner: int) -> dict[str, tuple[int, ...]]:
    return {f"{at}gate_proj": (inner, width), f"{at}up_proj": (inner, width), f"{at}down_proj": (width, inner)}


def write_safetensors(path: Path, tensors: dict[str, np.ndarray], type: str = "F32") -> None:
    """As the format is described: a length, a JSON header, the values one after another."""
    header: dict[str, Any] = {"__metadata__": {"format": "pt"}}
    data = bytearray()
    for name, values in tensors.items():
        start = len(data)
        data += encode(values, type)
        header[name] = {"dtype": type, "shape": list(values.shape), "data_offsets": [start, len(data)]}
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    path.write_bytes(len(text).to_bytes(8, "little") + text + data)


def encode(values: np.ndarray, type: str) -> bytes:
    if type == "BF16":
        return (np.ascontiguousarray(values, np.float32).view(np.uint32) >> 16).astype("<u2").tobytes()
    return values.astype({"F32": "<f4", "F16": "<f2", "F64": "<f8"}[type]).tobytes()


def write_checkpoint(
    folder: Path,
    config: dict[str, Any] = DENSE,
    type: str = "F32",
    files: int = 1,
    tokenizer: Tokenizer | None = None,
    about: dict[str, Any] | None = None,
    seed: int = 0,
) -> Path:
    """A whole checkpoint; `about` is tokenizer_config.json."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "tokenizer.json").write_text((tokenizer or make_tokenizer()).to_str())
    about = {"eos_token": "<|im_end|>", "bos_token": None} if about is None else about
    (folder / "tokenizer_config.json").write_text(json.dumps(about))
    tensors = weights(config, seed)
    if files == 1:
        write_safetensors(folder / "model.safetensors", tensors, type)
        return folder
    names, where = list(tensors), {}
    for number in range(files):
        file = f"model-{number + 1:05d}-of-{files:05d}.safetensors"
        mine = names[number::files]
        write_safetensors(folder / file, {name: tensors[name] for name in mine}, type)
        where |= dict.fromkeys(mine, file)
    index = {"metadata": {"total_size": sum(math.prod(t.shape) * 4 for t in tensors.values())}, "weight_map": where}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    return folder
