"""A model as a Hugging Face checkpoint folder."""

# torch is installed for training alone.
# pyright: reportMissingImports=false

import json
import shutil
from collections.abc import Mapping
from pathlib import Path

from safetensors.torch import save_file
from torch import Tensor

from .model import Experts, Model, Shape


def write_checkpoint(model: Model, folder: Path, tokenizer_folder: Path) -> None:
    """Writes config.json, model.safetensors and the tokenizer's files, each at once or not at all."""
    folder.mkdir(parents=True, exist_ok=True)
    named = {name: tensor.detach().float().contiguous().clone() for name, tensor in tensors(model).items()}
    save_file(named, folder / "model.new", metadata={"format": "pt"})
    (folder / "model.new").replace(folder / "model.safetensors")
    (folder / "config.new").write_text(json.dumps(config(model.shape), indent=2))
    (folder / "config.new").replace(folder / "config.json")
    for name in ("tokenizer.json", "tokenizer_config.json"):
        shutil.copyfile(tokenizer_folder / name, folder / (name + ".new"))
        (folder / (name + ".new")).replace(folder / name)


def config(s: Shape) -> dict:
    common = {
        "architectures": ["Qwen3MoeForCausalLM" if s.experts else "Qwen3ForCausalLM"],
        "model_type": "qwen3_moe" if s.experts else "qwen3",
        "vocab_size": s.vocabulary,
        "hidden_size": s.hidden,
        "intermediate_size": s.ffn,
        "num_hidden_layers": s.layers,
        "num_attention_heads": s.heads,
        "num_key_value_heads": s.kv_heads,
        "head_dim": s.head,
        "hidden_act": "silu",
        "max_position_embeddings": s.context,
        "rms_norm_eps": 1e-6,
        "rope_theta": s.theta,
        "tie_word_embeddings": True,
        "attention_bias": False,
        "torch_dtype": "float32",
        "bos_token_id": None,
        "eos_token_id": 2,
        "pad_token_id": 0,
        "use_sliding_window": False,
    }
    if s.experts:
        common |= {
            "num_experts": s.experts,
            "num_experts_per_tok": s.used,
            "moe_intermediate_size": s.ffn,
            "norm_topk_prob": True,
            "decoder_sparse_step": 1,
            "mlp_only_layers": [],
            "router_aux_loss_coef": 0.01,
        }
    return common


def tensors(model: Model) -> Mapping[str, Tensor]:
    """The parameters under the names that transformers gives them."""
    named: dict[str, Tensor] = {"model.embed_tokens.weight": model.embedding, "model.norm.weight": model.norm.weight}
    for number, layer in enumerate(model.stack()):
        at = f"model.layers.{number}."
        attention = layer.attention
        named |= {
            at + "input_layernorm.weight": layer.norm1.weight,
            at + "post_attention_layernorm.weight": layer.norm2.weight,
            at + "self_attn.q_proj.weight": attention.q,
            at + "self_attn.k_proj.weight": attention.k,
            at + "self_attn.v_proj.weight": attention.v,
            at + "self_attn.o_proj.weight": attention.o,
            at + "self_attn.q_norm.weight": attention.q_norm.weight,
            at + "self_attn.k_norm.weight": attention.k_norm.weight,
        }
        ffn = layer.ffn
        if isinstance(ffn, Experts):
            named[at + "mlp.gate.weight"] = ffn.router
            for e in range(model.shape.experts):
                named |= _feed(f"{at}mlp.experts.{e}.", ffn.gate_up[e], ffn.down[e])
        else:
            named |= _feed(at + "mlp.", ffn.gate_up, ffn.down)
    return named


def _feed(at: str, gate_up: Tensor, down: Tensor) -> dict[str, Tensor]:
    return {at + "gate_proj.weight": gate_up[0], at + "up_proj.weight": gate_up[1], at + "down_proj.weight": down}
