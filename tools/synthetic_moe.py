"""A Mixture-of-Experts model of random weights whose routing is as local as that of real models, as a GGUF.

    python tools/synthetic_moe.py moe.gguf [--layers 18 --experts 64 ...] [--topics 16] [--type Q4_0] [--seed 7]

The architecture is Qwen3-MoE's. Token i belongs to topic i * topics // vocabulary: embeddings lean towards their topic,
and each layer's router favours some experts for each. A stream of tokens that stays within a topic for a while
(`topical_tokens`) then finds about 64, 75, 81 and 86% of its experts among the quarter, 40%, half and 60% of each layer
that were used last, as is reported of real models. `--topics 0`: every token routes on its own, the worst for a cache.
"""

import argparse
import sys
from collections.abc import Iterator
from dataclasses import dataclass, fields, replace
from pathlib import Path

import numpy as np
from gguf.constants import GGML_QUANT_SIZES

from accel.errors import AccelError, UsageError
from accel.exporters.gguf_file import Head, Planned, Progress, Type, Value, write_gguf
from accel.tools.random_model import TYPES, draw, make_vocabulary
from accel.units import Bytes

EMBEDDING_PULL, ROUTER_PULL = 0.5, 1.5  # how strongly both lean towards a topic
# What makes the weights of a token's experts as uneven as real models': the eighth a quarter to a third of the first.
TOPICAL_SCALE, UNIFORM_SCALE = 0.05, 0.5
SWITCH = 0.03  # how likely the next token belongs to another topic


@dataclass(frozen=True, slots=True)
class Shapes:
    """Of a model whose every layer has experts."""

    layers: int = 18
    experts: int = 64
    used: int = 8
    width: int = 2048
    expert_width: int = 768
    heads: int = 16
    kv_heads: int = 4
    head: int = 128  # values in one head
    vocabulary: int = 4096
    context: int = 8192
    topics: int = 16


def write_synthetic_moe(
    path: Path, shapes: Shapes, type: str = "Q4_0", seed: int = 0, progress: Progress | None = None
) -> None:
    """Writes the model; the same name, shapes, type and seed give the same bytes. Types: those of `random_model`.

    Raises UsageError for shapes that cannot be, DiskFull or AccelError while it writes.
    """
    _check(shapes, type)
    deviations = _tensors(shapes, Type[type])
    tensors = list(deviations)
    topics = _topics(shapes, np.random.default_rng(seed))

    def contents(number: int) -> Iterator[bytes]:
        tensor, random = tensors[number], np.random.default_rng([seed, number])
        if tensor.name in ("token_embd.weight", "output.weight"):
            embedded = _embeddings(shapes, topics, np.random.default_rng([seed, len(tensors)]))
            yield (embedded * deviations[tensor]).astype(np.float16).tobytes()
        elif "gate_inp" in tensor.name:
            yield _router(shapes, topics, random).tobytes()
        elif len(tensor.shape) == 1:
            yield np.ones(tensor.shape, np.float32).tobytes()
        else:
            yield from draw(tensor, deviations[tensor], random)

    head = Head("qwen3moe", path.stem, type, _keys(shapes), make_vocabulary(shapes.vocabulary))
    write_gguf(path, head, tensors, contents, progress)


def topical_tokens(
    count: int, vocabulary: int, topics: int, random: np.random.Generator, switch: float = SWITCH
) -> np.ndarray:
    """Tokens (int32) that stay within a topic and leave it with this probability at each; any tokens without topics."""
    if not topics:
        return random.integers(0, vocabulary, count, np.int32)
    leaves = random.random(count) < switch
    topic = random.integers(0, topics, count)[np.maximum.accumulate(np.where(leaves, np.arange(count), 0))]
    each = vocabulary // topics
    return (topic * each + random.integers(0, each, count)).astype(np.int32)


def _check(shapes: Shapes, type: str) -> None:
    if type not in TYPES:
        raise UsageError(f"'{type}' is no type that is drawn here", f"choose one of {', '.join(TYPES)}")
    counts = {field.name: getattr(shapes, field.name) for field in fields(shapes)}
    if min(count for name, count in counts.items() if name != "topics") < 1 or not 0 <= shapes.topics <= shapes.experts:
        raise UsageError(f"no model has {shapes}", "every count is 1 at least, and topics are no more than experts")
    if shapes.heads % shapes.kv_heads or shapes.head % 2 or shapes.used > shapes.experts:
        raise UsageError(f"no model has {shapes}", "kv_heads must divide heads, head be even, used be in experts")
    block = GGML_QUANT_SIZES[Type[type]][0]
    if any(row % block for row in (shapes.width, shapes.heads * shapes.head, shapes.expert_width)):
        raise UsageError(f"rows of {shapes} do not divide by {block}, as {type} needs", "choose rounder widths")


def _keys(shapes: Shapes) -> dict[str, Value]:
    return {
        "context_length": shapes.context,
        "embedding_length": shapes.width,
        "block_count": shapes.layers,
        "feed_forward_length": 3 * shapes.width,
        "attention.head_count": shapes.heads,
        "attention.head_count_kv": shapes.kv_heads,
        "attention.key_length": shapes.head,
        "attention.value_length": shapes.head,
        "attention.layer_norm_rms_epsilon": 1e-6,
        "rope.freq_base": 1e6,
        "expert_count": shapes.experts,
        "expert_used_count": shapes.used,
        "expert_feed_forward_length": shapes.expert_width,
        "vocab_size": shapes.vocabulary,
    }


def _tensors(shapes: Shapes, type: Type) -> dict[Planned, float]:
    """In the order of the file, each with the deviation of its values. What a layer adds stays small beside what it
    adds to, as in trained models: that is what makes a router foreseeable from the layer before."""
    width, inner, kv, ff = shapes.width, shapes.heads * shapes.head, shapes.kv_heads * shapes.head, shapes.expert_width
    norms = {"attn_norm": width, "attn_q_norm": shapes.head, "attn_k_norm": shapes.head, "ffn_norm": width}
    even = width**-0.5
    matrices = {
        "attn_q": ((inner, width), even),
        "attn_k": ((kv, width), even),
        "attn_v": ((kv, width), even),
        "attn_output": ((width, inner), 0.3 * even),
        "ffn_gate_exps": ((shapes.experts, ff, width), even),
        "ffn_up_exps": ((shapes.experts, ff, width), even),
        "ffn_down_exps": ((shapes.experts, width, ff), 0.5 * ff**-0.5),
    }
    tensors = {Planned("token_embd.weight", (shapes.vocabulary, width), Type.F16): 1.0}
    for at in (f"blk.{layer}." for layer in range(shapes.layers)):
        tensors |= {Planned(f"{at}{name}.weight", (size,), Type.F32): 0.0 for name, size in norms.items()}
        tensors[Planned(f"{at}ffn_gate_inp.weight", (shapes.experts, width), Type.F32)] = 2 * even
        tensors |= {Planned(f"{at}{name}.weight", shape, type): sigma for name, (shape, sigma) in matrices.items()}
    tensors[Planned("output_norm.weight", (width,), Type.F32)] = 0.0
    tensors[Planned("output.weight", (shapes.vocabulary, width), Type.F16)] = even
    return tensors


def _topics(shapes: Shapes, random: np.random.Generator) -> np.ndarray:
    """Directions of length 1, (topics, width)."""
    directions = random.standard_normal((shapes.topics, shapes.width)).astype(np.float32)
    return directions / np.linalg.norm(directions, axis=1, keepdims=True)


def _embeddings(shapes: Shapes, topics: np.ndarray, random: np.random.Generator) -> np.ndarray:
    rows = random.standard_normal((shapes.vocabulary, shapes.width)).astype(np.float32)
    if not shapes.topics:
        return rows
    mine = np.arange(shapes.vocabulary) * shapes.topics // shapes.vocabulary
    return rows + np.float32(EMBEDDING_PULL * shapes.width**0.5) * topics[mine]


def _router(shapes: Shapes, topics: np.ndarray, random: np.random.Generator) -> np.ndarray:
    rows = random.standard_normal((shapes.experts, shapes.width)).astype(np.float32)
    rows *= np.float32(2 * shapes.width**-0.5)
    if not shapes.topics:
        return rows * np.float32(UNIFORM_SCALE)
    rows += np.float32(ROUTER_PULL) * topics[random.permutation(shapes.experts) % shapes.topics]
    return rows * np.float32(TOPICAL_SCALE)


def main() -> int:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("out", type=Path)
    options.add_argument("--type", choices=TYPES, default="Q4_0")
    options.add_argument("--seed", type=int, default=0)
    for field in fields(Shapes):
        options.add_argument(f"--{field.name.replace('_', '-')}", type=int, default=field.default)
    chosen = options.parse_args()
    shapes = replace(Shapes(), **{field.name: getattr(chosen, field.name) for field in fields(Shapes)})

    def progress(fraction: float) -> None:
        sys.stderr.write(f"\r{fraction:4.0%} ")

    try:
        write_synthetic_moe(chosen.out, shapes, chosen.type, chosen.seed, progress if sys.stderr.isatty() else None)
    except AccelError as error:
        print(error, file=sys.stderr)
        return 1
    print(f"{chosen.out}: {Bytes(chosen.out.stat().st_size)}", file=sys.stderr)
    return 0


if __name__ == "__main__":
    sys.exit(main())
