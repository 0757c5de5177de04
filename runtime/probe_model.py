"""A model without a content: a header over a sparse file, whose matrices read as zeros. A kernel takes the same time
for them, and no disk holds them."""

import math
import os
import struct
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from ..offload.gguf_header import FORMATS, NUMBER_OF
from ..units import Bytes

EXPERTS_USED = 2
_ALIGNMENT = 32
_UINT32, _FLOAT32, _STRING = 4, 6, 8


@dataclass(frozen=True, slots=True)
class ProbeShape:
    """A Llama of matrices of one format, dense or with experts; those used compute as much as a dense one."""

    format: str
    width: int  # a multiple of 256
    layers: int = 4
    vocabulary: int = 64
    head: int = 64  # values in one head
    heads: int = 4  # of the queries; half as many of keys and values
    experts: int = 0

    @property
    def ff_width(self) -> int:
        return 3 * self.width

    @property
    def size(self) -> Bytes:
        """Of the matrices of all layers."""
        matrices = (_size(dimensions, format) for name, dimensions, format in _tensors(self) if _is_matrix(name))
        return Bytes(sum(matrices))

    def of_size(self, size: Bytes) -> "ProbeShape":
        """As many layers of this width as have about so many bytes, one at least."""
        return replace(self, layers=max(1, round(self.layers * size / self.size)))


def write_probe(path: Path, shape: ProbeShape) -> None:
    """Raises OSError."""
    keys, tensors = list(_keys(shape)), list(_tensors(shape))
    head, offset = [b"GGUF", struct.pack("<IQQ", 3, len(tensors), len(keys)), *keys], 0
    for name, dimensions, format in tensors:
        shown = struct.pack(f"<I{len(dimensions)}Q", len(dimensions), *dimensions)
        head.append(_text(name) + shown + struct.pack("<IQ", NUMBER_OF[format], offset))
        offset += _padded(_size(dimensions, format))
    raw = b"".join(head)
    path.write_bytes(raw)
    os.truncate(path, _padded(len(raw)) + offset)


def _keys(shape: ProbeShape) -> Iterator[bytes]:
    for key, text in (("general.architecture", "llama"), ("tokenizer.ggml.model", "no_vocab")):
        yield _text(key) + struct.pack("<I", _STRING) + _text(text)
    counts = {
        "vocab_size": shape.vocabulary,
        "context_length": 4096,
        "block_count": shape.layers,
        "embedding_length": shape.width,
        "feed_forward_length": shape.ff_width,
        "attention.head_count": shape.heads,
        "attention.head_count_kv": shape.heads // 2,
        "attention.key_length": shape.head,
        "attention.value_length": shape.head,
        "rope.dimension_count": shape.head // 2 * 2,
    }
    yield _text("accel.probe") + struct.pack("<II", _UINT32, 1)  # `ModelSpec` wants words of all others
    if shape.experts:
        counts |= {"expert_count": shape.experts, "expert_used_count": EXPERTS_USED}
        counts["feed_forward_length"] //= EXPERTS_USED
    for key, count in counts.items():
        yield _text(f"llama.{key}") + struct.pack("<II", _UINT32, count)
    yield _text("llama.attention.layer_norm_rms_epsilon") + struct.pack("<If", _FLOAT32, 1e-5)


def _tensors(shape: ProbeShape) -> Iterator[tuple[str, tuple[int, ...], str]]:
    width, ff_width, experts = shape.width, shape.ff_width, shape.experts
    q_width, kv_width = shape.heads * shape.head, shape.heads // 2 * shape.head
    dense = (("ffn_gate", (width, ff_width)), ("ffn_up", (width, ff_width)), ("ffn_down", (ff_width, width)))
    expert_width = ff_width // EXPERTS_USED
    many = (
        ("ffn_gate_exps", (width, expert_width, experts)),
        ("ffn_up_exps", (width, expert_width, experts)),
        ("ffn_down_exps", (expert_width, width, experts)),
    )
    yield "token_embd.weight", (width, shape.vocabulary), "F32"
    yield "output_norm.weight", (width,), "F32"
    yield "output.weight", (width, shape.vocabulary), "F32"
    for layer in range(shape.layers):
        for norm in ("attn_norm", "ffn_norm"):
            yield f"blk.{layer}.{norm}.weight", (width,), "F32"
        for name, dimensions in (
            ("attn_q", (width, q_width)),
            ("attn_k", (width, kv_width)),
            ("attn_v", (width, kv_width)),
            ("attn_output", (q_width, width)),
            *(many if experts else dense),
        ):
            yield f"blk.{layer}.{name}.weight", dimensions, shape.format
        if experts:
            yield f"blk.{layer}.ffn_gate_inp.weight", (width, experts), "F32"


def _is_matrix(name: str) -> bool:
    return name.startswith("blk.") and "norm" not in name and "gate_inp" not in name


def _size(dimensions: tuple[int, ...], format: str) -> int:
    values, size = FORMATS[format]
    return math.prod(dimensions) // values * size


def _padded(size: int) -> int:
    return -(-size // _ALIGNMENT) * _ALIGNMENT


def _text(value: str) -> bytes:
    return struct.pack("<Q", len(value)) + value.encode()
