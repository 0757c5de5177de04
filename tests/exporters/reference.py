"""The transformer's arithmetic in numpy, float32, from a checkpoint's own config.json: what a GGUF is compared with."""

import json
from pathlib import Path

import numpy as np


def read_weights(folder: Path) -> dict[str, np.ndarray]:
    """Every tensor of the folder's safetensors files as float32."""
    weights = {}
    for path in folder.glob("*.safetensors"):
        data = path.read_bytes()
        start = 8 + int.from_bytes(data[:8], "little")
        header = json.loads(data[8:start])
        header.pop("__metadata__", None)
        for name, about in header.items():
            values = np.frombuffer(
                data[start + about["data_offsets"][0] : start + about["data_offsets"][1]],
                {"F32": "<f4", "F16": "<f2", "BF16": "<u2"}[about["dtype"]],
            )
            if about["dtype"] == "BF16":
                values = np.left_shift(values.astype(np.uint32), 16).view(np.float32)
            weights[name] = values.astype(np.float32).reshape(about["shape"])
    return weights


def logits(folder: Path, tokens: list[int], frequencies: np.ndarray | None = None, turn: float = 1.0) -> np.ndarray:
    """[tokens, vocabulary] of a Qwen3 or Qwen3-MoE; `frequencies` and `turn` stand in for RoPE's where it is scaled."""
    config, w = json.loads((folder / "config.json").read_text()), read_weights(folder)
    x = w["model.embed_tokens.weight"][tokens]
    if frequencies is None:
        frequencies = config["rope_theta"] ** -(np.arange(0, config["head_dim"], 2) / config["head_dim"])
    for layer in range(config["num_hidden_layers"]):
        inner = {
            name.removeprefix(f"model.layers.{layer}."): value
            for name, value in w.items()
            if name.startswith(f"model.layers.{layer}.")
        }
        x = x + _attention(_norm(x, inner["input_layernorm.weight"], config), inner, config, frequencies, turn)
        x = x + _feed_forward(_norm(x, inner["post_attention_layernorm.weight"], config), inner, config)
    return _norm(x, w["model.norm.weight"], config) @ w.get("lm_head.weight", w["model.embed_tokens.weight"]).T


def _norm(x, weight, config):
    return x / np.sqrt(np.mean(x * x, -1, keepdims=True) + config["rms_norm_eps"]) * weight


def _rotate(x, frequencies, turn):
    angles = np.arange(len(x))[:, None, None] * frequencies
    cos, sin = np.cos(angles) * turn, np.sin(angles) * turn
    left, right = np.split(x, 2, -1)
    return np.concatenate([left * cos - right * sin, right * cos + left * sin], -1)


def _attention(x, w, config, frequencies, turn):
    size, length = config["head_dim"], len(x)
    q, k, v = ((x @ w[f"self_attn.{name}_proj.weight"].T).reshape(length, -1, size) for name in ("q", "k", "v"))
    q = _rotate(_norm(q, w["self_attn.q_norm.weight"], config), frequencies, turn)
    k = _rotate(_norm(k, w["self_attn.k_norm.weight"], config), frequencies, turn)
    group = config["num_attention_heads"] // config["num_key_value_heads"]
    k, v = np.repeat(k, group, 1), np.repeat(v, group, 1)
    scores = np.einsum("ihd,jhd->hij", q, k) / np.sqrt(size)
    scores = np.where(np.tri(length, dtype=bool), scores, -np.inf)
    mixed = np.einsum("hij,jhd->ihd", _softmax(scores), v)
    return mixed.reshape(length, -1) @ w["self_attn.o_proj.weight"].T


def _feed_forward(x, w, config):
    if "mlp.gate.weight" not in w:
        return _swiglu(x, w, "mlp.")
    chances = _softmax(x @ w["mlp.gate.weight"].T)
    out = np.zeros_like(x)
    for row, chance in enumerate(chances):
        chosen = np.argsort(-chance)[: config["num_experts_per_tok"]]
        for expert in chosen:
            share = chance[expert] / chance[chosen].sum()
            out[row] += share * _swiglu(x[row], w, f"mlp.experts.{expert}.")
    return out


def _swiglu(x, w, at):
    gate = x @ w[f"{at}gate_proj.weight"].T
    return (gate / (1 + np.exp(-gate)) * (x @ w[f"{at}up_proj.weight"].T)) @ w[f"{at}down_proj.weight"].T


def _softmax(x):
    e = np.exp(x - x.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True)
