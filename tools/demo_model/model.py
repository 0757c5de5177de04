"""Qwen3 and Qwen3-MoE in torch, as small as they get: for training only."""

# torch is installed for training alone.
# pyright: reportMissingImports=false

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn


@dataclass(frozen=True, slots=True)
class Shape:
    layers: int
    ffn: int
    experts: int = 0
    used: int = 2
    hidden: int = 256
    heads: int = 4
    kv_heads: int = 2
    head: int = 128
    vocabulary: int = 2048
    context: int = 1024
    theta: float = 10000.0


MOE = Shape(layers=3, ffn=512, experts=16)
DRAFT = Shape(layers=1, ffn=768)


class Norm(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(width))

    def forward(self, x: Tensor) -> Tensor:
        return F.rms_norm(x.float(), x.shape[-1:], self.weight, 1e-6).to(x.dtype)


def matrix(*shape: int) -> nn.Parameter:
    return nn.Parameter(torch.randn(*shape) * shape[-1] ** -0.5)


class Attention(nn.Module):
    def __init__(self, s: Shape) -> None:
        super().__init__()
        self.s = s
        self.q = matrix(s.heads * s.head, s.hidden)
        self.k = matrix(s.kv_heads * s.head, s.hidden)
        self.v = matrix(s.kv_heads * s.head, s.hidden)
        self.o = nn.Parameter(torch.zeros(s.hidden, s.heads * s.head))
        self.q_norm, self.k_norm = Norm(s.head), Norm(s.head)

    def forward(self, x: Tensor, turn: tuple[Tensor, Tensor], mask: Tensor | None, w) -> Tensor:
        s, (rows, length, _) = self.s, x.shape
        q = self.q_norm(F.linear(x, w(self.q)).view(rows, length, s.heads, s.head)).transpose(1, 2)
        k = self.k_norm(F.linear(x, w(self.k)).view(rows, length, s.kv_heads, s.head)).transpose(1, 2)
        v = F.linear(x, w(self.v)).view(rows, length, s.kv_heads, s.head).transpose(1, 2)
        repeat = s.heads // s.kv_heads
        k, v = k.repeat_interleave(repeat, 1), v.repeat_interleave(repeat, 1)
        y = F.scaled_dot_product_attention(rotate(q, turn), rotate(k, turn), v, mask, is_causal=mask is None)
        return F.linear(y.transpose(1, 2).reshape(rows, length, -1), w(self.o))


def rotate(x: Tensor, turn: tuple[Tensor, Tensor]) -> Tensor:
    cos, sin = turn
    left, right = x.chunk(2, -1)
    return torch.cat((left * cos - right * sin, right * cos + left * sin), -1)


class Dense(nn.Module):
    def __init__(self, s: Shape) -> None:
        super().__init__()
        self.gate_up = matrix(2, s.ffn, s.hidden)
        self.down = nn.Parameter(torch.zeros(s.hidden, s.ffn))

    def forward(self, x: Tensor, w) -> tuple[Tensor, Tensor]:
        gate, up = F.linear(x, w(self.gate_up).flatten(0, 1)).chunk(2, -1)
        return F.linear(F.silu(gate) * up, w(self.down)), x.new_zeros(())


class Experts(nn.Module):
    def __init__(self, s: Shape) -> None:
        super().__init__()
        self.s = s
        self.router = nn.Parameter(torch.randn(s.experts, s.hidden) * 0.02)
        self.gate_up = matrix(s.experts, 2, s.ffn, s.hidden)
        self.down = nn.Parameter(torch.zeros(s.experts, s.hidden, s.ffn))

    def forward(self, x: Tensor, w) -> tuple[Tensor, Tensor]:
        s, flat = self.s, x.flatten(0, 1)
        odds = F.linear(flat.float(), self.router).softmax(-1)
        top, chosen = odds.topk(s.used, -1)
        top = top / top.sum(-1, keepdim=True)
        expert, order = chosen.flatten().sort(stable=True)
        counts = torch.bincount(expert, minlength=s.experts)
        # Padded to multiples of 64 rows: few different shapes, so that the matrix library plans each once.
        rooms = (counts + 63) // 64 * 64
        slot = torch.arange(expert.numel()) + ((rooms - counts).cumsum(0) - (rooms - counts))[expert]
        token = order // s.used
        rows = flat.new_zeros(int(rooms.sum()), s.hidden).index_copy(0, slot, flat[token])
        out = []
        gate_up, down = w(self.gate_up).flatten(1, 2).unbind(0), w(self.down).unbind(0)
        for part, into, back in zip(rows.split(rooms.tolist()), gate_up, down, strict=True):
            gate, up = F.linear(part, into).chunk(2, -1)
            out.append(F.linear(F.silu(gate) * up, back))
        out = torch.cat(out)[slot]
        share = top.flatten()[order].unsqueeze(-1).to(out.dtype)
        y = torch.zeros_like(flat).index_add(0, token, out * share)
        balance = s.experts * ((counts / counts.sum()) * odds.mean(0)).sum()
        return y.view_as(x), balance


class Layer(nn.Module):
    def __init__(self, s: Shape) -> None:
        super().__init__()
        self.norm1, self.norm2 = Norm(s.hidden), Norm(s.hidden)
        self.attention = Attention(s)
        self.ffn = Experts(s) if s.experts else Dense(s)

    def forward(self, x: Tensor, turn: tuple[Tensor, Tensor], mask: Tensor | None, w) -> tuple[Tensor, Tensor]:
        x = x + self.attention(self.norm1(x), turn, mask, w)
        y, balance = self.ffn(self.norm2(x), w)
        return x + y, balance


class Model(nn.Module):
    """Logits, and how unevenly the experts were used (1 is even)."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.shape = shape
        self.embedding = nn.Parameter(torch.randn(shape.vocabulary, shape.hidden) * 0.02)
        self.layers = nn.ModuleList(Layer(shape) for _ in range(shape.layers))
        self.norm = Norm(shape.hidden)
        self.rounded: frozenset[int] = frozenset()

    def stack(self) -> list[Layer]:
        return [layer for layer in self.layers if isinstance(layer, Layer)]

    def weight(self, parameter: Tensor) -> Tensor:
        """The parameter as the forward pass uses it: on the grid of its storage format once that is asked for."""
        from .quantise import round_q4_0

        if id(parameter) in self.rounded:
            parameter = round_q4_0(parameter)
        return parameter.to(torch.bfloat16) if self.training else parameter

    def turns(self, length: int) -> tuple[Tensor, Tensor]:
        half = self.shape.head // 2
        rate = self.shape.theta ** (-torch.arange(half, dtype=torch.float32) / half)
        angle = torch.arange(length, dtype=torch.float32)[:, None] * rate
        return angle.cos(), angle.sin()

    def forward(
        self, tokens: Tensor, mask: Tensor | None = None, wanted: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """Logits of all positions (rows, length, vocabulary), or of the `wanted` ones of the flattened batch."""
        embedding = self.weight(self.embedding)
        x = F.embedding(tokens, embedding)
        cos, sin = self.turns(tokens.shape[1])
        turn = (cos.to(x.dtype), sin.to(x.dtype))
        uneven = x.new_zeros((), dtype=torch.float32)
        for layer in self.layers:
            x, balance = layer(x, turn, mask, self.weight)
            uneven = uneven + balance.float() / len(self.layers)
        if wanted is not None:
            x = x.flatten(0, 1)[wanted]
        return F.linear(self.norm(x), embedding), uneven
