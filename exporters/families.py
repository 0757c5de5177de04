"""What each family of models calls things: in a Hugging Face checkpoint, and in a GGUF.

A family is added by one entry of FAMILIES: its facts are the models' configuration class in transformers (defaults) and
the tensors and keys that llama.cpp's graph of that architecture reads.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from ..errors import ConvertError
from .checkpoint import Config
from .gguf_file import Value


@dataclass(frozen=True, slots=True)
class Family:
    """Names on the left are GGUF's, those on the right the checkpoint's; `.weight` is left out of both."""

    architecture: str
    counts: Mapping[str, str]  # keys whose value is a whole number
    whole: Mapping[str, str]  # tensors outside the layers
    layer: Mapping[str, str]  # tensors of one layer
    experts: Mapping[str, str] = field(default_factory=dict)  # tensors of one expert, stacked in a GGUF
    expert_count: str = ""
    taken_for_granted: Mapping[str, Any] = field(default_factory=dict)  # what the graph does, and no key can change
    defaults: Mapping[str, Any] = field(default_factory=dict)  # of the checkpoint's configuration


_COUNTS = {
    "context_length": "max_position_embeddings",
    "embedding_length": "hidden_size",
    "block_count": "num_hidden_layers",
    "feed_forward_length": "intermediate_size",
    "attention.head_count": "num_attention_heads",
    "attention.head_count_kv": "num_key_value_heads",
    "vocab_size": "vocab_size",
}
_WHOLE = {"token_embd": "model.embed_tokens", "output_norm": "model.norm", "output": "lm_head"}
_ATTENTION = {
    "attn_norm": "input_layernorm",
    "attn_q": "self_attn.q_proj",
    "attn_k": "self_attn.k_proj",
    "attn_v": "self_attn.v_proj",
    "attn_output": "self_attn.o_proj",
    "ffn_norm": "post_attention_layernorm",
}
_HEAD_NORMS = {"attn_q_norm": "self_attn.q_norm", "attn_k_norm": "self_attn.k_norm"}
_QWEN3 = {"hidden_act": "silu", "attention_bias": False, "use_sliding_window": False}

FAMILIES: dict[str, Family] = {  # by the `model_type` of config.json
    "qwen3": Family(
        architecture="qwen3",
        counts=_COUNTS,
        whole=_WHOLE,
        layer=_ATTENTION
        | _HEAD_NORMS
        | {"ffn_gate": "mlp.gate_proj", "ffn_up": "mlp.up_proj", "ffn_down": "mlp.down_proj"},
        taken_for_granted=_QWEN3,
        defaults={"head_dim": 128, "rope_theta": 10000.0},
    ),
    "qwen3_moe": Family(
        architecture="qwen3moe",
        counts=_COUNTS
        | {
            "expert_count": "num_experts",
            "expert_used_count": "num_experts_per_tok",
            "expert_feed_forward_length": "moe_intermediate_size",
        },
        whole=_WHOLE,
        layer=_ATTENTION | _HEAD_NORMS | {"ffn_gate_inp": "mlp.gate"},
        experts={
            "ffn_gate_exps": "mlp.experts.{}.gate_proj",
            "ffn_up_exps": "mlp.experts.{}.up_proj",
            "ffn_down_exps": "mlp.experts.{}.down_proj",
        },
        expert_count="num_experts",
        taken_for_granted=_QWEN3 | {"norm_topk_prob": True, "decoder_sparse_step": 1, "mlp_only_layers": []},
        defaults={"rope_theta": 10000.0, "norm_topk_prob": False, "mlp_only_layers": [], "decoder_sparse_step": 1},
    ),
}


def family_of(config: Config) -> Family:
    """Raises ConvertError where no family here is meant, or where its engine would compute something else."""
    name = config.get("model_type", str)
    if name not in FAMILIES:
        raise ConvertError(
            f"{config.path} is of the family '{name[:80]}', which is not converted here",
            f"families that are: {', '.join(sorted(FAMILIES))}",
        )
    if config.values.get("quantization_config"):
        raise ConvertError(f"{config.path} is of a quantised checkpoint", "convert the one it was made from")
    family = FAMILIES[name]
    for key, value in family.taken_for_granted.items():
        found = config.values.get(key, family.defaults.get(key, value))
        if found != value:
            raise ConvertError(
                f"{config.path} has '{key}': {found!r:.80}, and the engine computes '{name}' with {value!r} only",
                "this checkpoint cannot be converted",
            )
    return family


def metadata(family: Family, config: Config) -> dict[str, Value]:
    """The keys of a GGUF that tell the model's shape, without the architecture before them. Raises ConvertError."""
    heads = config.count("num_attention_heads")
    head = config.count("head_dim", family.defaults.get("head_dim") or config.count("hidden_size") // heads or None)
    keys: dict[str, Value] = {name: config.count(key) for name, key in family.counts.items()}
    keys |= {"attention.key_length": head, "attention.value_length": head}
    keys["attention.layer_norm_rms_epsilon"] = config.positive("rms_norm_eps", 1e-6)
    return keys | _rope(config, config.positive("rope_theta", family.defaults.get("rope_theta")))


def _rope(config: Config, theta: float) -> dict[str, Value]:
    scaling = config.inner("rope_parameters" if config.values.get("rope_parameters") else "rope_scaling")
    keys: dict[str, Value] = {"rope.freq_base": scaling.positive("rope_theta", theta)}
    kind = scaling.get("rope_type", str, scaling.get("type", str, "default"))
    if kind not in _SCALINGS:
        raise ConvertError(
            f"{config.path} stretches its positions by '{kind[:80]}'", f"known are {', '.join(sorted(_SCALINGS))}"
        )
    return keys | _SCALINGS[kind](config, scaling)


def _linear(config: Config, scaling: Config) -> dict[str, Value]:
    return {"rope.scaling.type": "linear", "rope.scaling.factor": scaling.positive("factor")}


def _yarn(config: Config, scaling: Config) -> dict[str, Value]:
    for key in ("attention_factor", "mscale", "mscale_all_dim"):
        if scaling.values.get(key) is not None:
            raise ConvertError(f"{config.path} sets '{key}' for YaRN", "this checkpoint cannot be converted")
    trained = scaling.count("original_max_position_embeddings", config.count("max_position_embeddings"))
    factor = scaling.positive("factor")
    return {
        "context_length": max(config.count("max_position_embeddings"), min(round(trained * factor), 2**31 - 1)),
        "rope.scaling.type": "yarn",
        "rope.scaling.factor": factor,
        "rope.scaling.original_context_length": trained,
        "rope.scaling.yarn_beta_fast": scaling.positive("beta_fast", 32.0),
        "rope.scaling.yarn_beta_slow": scaling.positive("beta_slow", 1.0),
    }


_SCALINGS: dict[str, Callable[[Config, Config], dict[str, Value]]] = {
    "default": lambda config, scaling: {},
    "linear": _linear,
    "yarn": _yarn,
}
