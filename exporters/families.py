"""What each family of models calls things: in a Hugging Face checkpoint, and in a GGUF.

A family is added by one entry of FAMILIES: its facts are the models' configuration class in transformers (defaults) and
the tensors and keys that llama.cpp's graph of that architecture reads.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from ..errors import ConvertError
from .checkpoint import Config
from .gguf_file import Value

_NOT_THIS = "this checkpoint cannot be converted"


class Tensor(NamedTuple):
    """A tensor as the checkpoint has it: its name without `.weight`, and its dimensions by name."""

    name: str
    shape: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Family:
    """Names on the left are GGUF's, without `.weight`."""

    architecture: str
    counts: Mapping[str, str]  # keys that tell whole numbers, by the checkpoint's
    whole: Mapping[str, Tensor]  # outside the layers
    layer: Mapping[str, Tensor]
    experts: Mapping[str, Tensor] = field(default_factory=dict)  # of one expert; a GGUF has them stacked
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
_WHOLE = {
    "token_embd": Tensor("model.embed_tokens", ("vocabulary", "width")),
    "output_norm": Tensor("model.norm", ("width",)),
    "output": Tensor("lm_head", ("vocabulary", "width")),
}
_ATTENTION = {
    "attn_norm": Tensor("input_layernorm", ("width",)),
    "attn_q": Tensor("self_attn.q_proj", ("queries", "width")),
    "attn_k": Tensor("self_attn.k_proj", ("keys", "width")),
    "attn_v": Tensor("self_attn.v_proj", ("keys", "width")),
    "attn_output": Tensor("self_attn.o_proj", ("width", "queries")),
    "ffn_norm": Tensor("post_attention_layernorm", ("width",)),
}
_HEAD_NORMS = {
    "attn_q_norm": Tensor("self_attn.q_norm", ("head",)),
    "attn_k_norm": Tensor("self_attn.k_norm", ("head",)),
}
_GATED = {
    "ffn_gate": Tensor("mlp.gate_proj", ("inner", "width")),
    "ffn_up": Tensor("mlp.up_proj", ("inner", "width")),
    "ffn_down": Tensor("mlp.down_proj", ("width", "inner")),
}
_QWEN3 = {"hidden_act": "silu", "attention_bias": False, "use_sliding_window": False}

FAMILIES: dict[str, Family] = {  # by the `model_type` of config.json
    "qwen3": Family(
        architecture="qwen3",
        counts=_COUNTS,
        whole=_WHOLE,
        layer=_ATTENTION | _HEAD_NORMS | _GATED,
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
        layer=_ATTENTION | _HEAD_NORMS | {"ffn_gate_inp": Tensor("mlp.gate", ("experts", "width"))},
        experts={
            "ffn_gate_exps": Tensor("mlp.experts.{}.gate_proj", ("expert", "width")),
            "ffn_up_exps": Tensor("mlp.experts.{}.up_proj", ("expert", "width")),
            "ffn_down_exps": Tensor("mlp.experts.{}.down_proj", ("width", "expert")),
        },
        taken_for_granted=_QWEN3 | {"norm_topk_prob": True, "decoder_sparse_step": 1, "mlp_only_layers": []},
        defaults={"rope_theta": 10000.0, "norm_topk_prob": False},
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
                _NOT_THIS,
            )
    return family


def metadata(family: Family, config: Config) -> dict[str, Value]:
    """The keys of a GGUF that tell the model's shape, without the architecture before them. Raises ConvertError."""
    keys: dict[str, Value] = {name: config.count(key) for name, key in family.counts.items()}
    heads, kv_heads = config.count("num_attention_heads"), config.count("num_key_value_heads")
    head = config.count("head_dim", family.defaults.get("head_dim") or config.count("hidden_size") // heads or None)
    if heads % kv_heads or head % 2:
        raise ConvertError(f"{config.path} has {heads} heads of {head} over {kv_heads} KV heads", "this cannot be")
    keys |= {"attention.key_length": head, "attention.value_length": head}
    keys["attention.layer_norm_rms_epsilon"] = config.positive("rms_norm_eps", 1e-6)
    return keys | _rope(config, config.positive("rope_theta", family.defaults.get("rope_theta")))


def dimensions(keys: Mapping[str, Value]) -> dict[str, int]:
    """What the names in a Tensor's shape stand for."""

    def count(key: str) -> int:
        return int(keys.get(key, 0))

    head = count("attention.key_length")
    return {
        "vocabulary": count("vocab_size"),
        "width": count("embedding_length"),
        "head": head,
        "queries": count("attention.head_count") * head,
        "keys": count("attention.head_count_kv") * head,
        "inner": count("feed_forward_length"),
        "experts": count("expert_count"),
        "expert": count("expert_feed_forward_length"),
    }


def _rope(config: Config, theta: float) -> dict[str, Value]:
    scaling = config.inner("rope_parameters" if config.values.get("rope_parameters") else "rope_scaling")
    kind = scaling.get("rope_type", str, scaling.get("type", str, "default"))
    if kind not in _SCALINGS:
        raise ConvertError(
            f"{config.path} stretches its positions by '{kind[:80]}'", f"known are {', '.join(sorted(_SCALINGS))}"
        )
    return {"rope.freq_base": scaling.positive("rope_theta", theta)} | _SCALINGS[kind](config, scaling)


def _linear(config: Config, scaling: Config) -> dict[str, Value]:
    return {"rope.scaling.type": "linear", "rope.scaling.factor": scaling.positive("factor")}


def _yarn(config: Config, scaling: Config) -> dict[str, Value]:
    # The engine computes with these values, whatever other keys a GGUF has.
    for key, value in {"beta_fast": 32, "beta_slow": 1, "truncate": True}.items():
        if scaling.values.get(key, value) != value:
            raise ConvertError(f"{config.path} sets '{key}' for YaRN to other than {value}", _NOT_THIS)
    for key in ("attention_factor", "mscale", "mscale_all_dim"):
        if scaling.values.get(key) is not None:
            raise ConvertError(f"{config.path} sets '{key}' for YaRN", _NOT_THIS)
    trained = scaling.count("original_max_position_embeddings", config.count("max_position_embeddings"))
    factor = scaling.positive("factor")
    return {
        "context_length": max(config.count("max_position_embeddings"), min(round(trained * factor), 2**31 - 1)),
        "rope.scaling.type": "yarn",
        "rope.scaling.factor": factor,
        "rope.scaling.original_context_length": trained,
    }


_SCALINGS: dict[str, Callable[[Config, Config], dict[str, Value]]] = {
    "default": lambda config, scaling: {},
    "linear": _linear,
    "yarn": _yarn,
}
