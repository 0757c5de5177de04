"""llama.cpp's Q4_0 grid in torch, with the gradient passed straight through."""

# torch is installed for training alone.
# pyright: reportMissingImports=false

import torch
from torch import Tensor


class _Round(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x: Tensor) -> Tensor:
        blocks = x.reshape(-1, 32)
        extreme = blocks.gather(1, blocks.abs().argmax(1, keepdim=True))
        scale = extreme / -8
        inverse = torch.where(scale == 0, 0.0, 1 / scale)
        levels = (blocks * inverse + 8.5).floor_().clamp_(0, 15).sub_(8)
        return (levels * scale.half().float()).view_as(x)

    @staticmethod
    def backward(ctx, *gradients: Tensor) -> Tensor:
        return gradients[0]


def round_q4_0(weight: Tensor) -> Tensor:
    """The weight as Q4_0 would hold it: blocks of 32 along the last axis, 16 levels, a half-precision scale."""
    return _Round.apply(weight)  # type: ignore[no-any-return]
