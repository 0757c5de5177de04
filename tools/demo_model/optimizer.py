"""Muon for the matrices, AdamW for the rest."""

# torch is installed for training alone.
# pyright: reportMissingImports=false

import torch
from torch import Tensor, nn

from .model import Model


def orthogonal(update: Tensor, steps: int = 5) -> Tensor:
    """About the nearest semi-orthogonal matrix of each in a stack, by a Newton-Schulz iteration."""
    x = update.bfloat16()
    tall = x.shape[-2] > x.shape[-1]
    x = x.mT if tall else x
    x = x / (x.norm(dim=(-2, -1), keepdim=True) + 1e-7)
    for _ in range(steps):
        square = x @ x.mT
        x = 3.4445 * x + (-4.7750 * square + 2.0315 * square @ square) @ x
    return x.mT if tall else x


class Muon(torch.optim.Optimizer):
    """Momentum, made orthogonal per matrix (the last two axes of a parameter)."""

    def __init__(self, parameters: list[nn.Parameter], lr: float, momentum: float = 0.95, decay: float = 0.01) -> None:
        super().__init__(parameters, {"lr": lr, "momentum": momentum, "decay": decay})

    @torch.no_grad()
    def step(self, closure=None) -> None:
        for group in self.param_groups:
            for p in group["params"]:
                if p.grad is None:
                    continue
                state = self.state[p]
                if not state:
                    state["momentum"] = torch.zeros_like(p)
                velocity = state["momentum"].lerp_(p.grad, 1 - group["momentum"])
                ahead = p.grad.lerp(velocity, group["momentum"])
                update = orthogonal(ahead.flatten(0, -3) if p.dim() > 2 else ahead).view_as(p)
                scale = max(1.0, p.shape[-2] / p.shape[-1]) ** 0.5
                p.mul_(1 - group["lr"] * group["decay"]).add_(update, alpha=-group["lr"] * scale)


def is_matrix(name: str, parameter: Tensor) -> bool:
    return parameter.dim() > 1 and not name.endswith(("embedding", "router"))


def matrices(model: Model) -> frozenset[int]:
    """Identities of the parameters that Muon trains and Q4_0 stores."""
    return frozenset(id(p) for name, p in model.named_parameters() if is_matrix(name, p))


def optimizers(model: Model) -> list[torch.optim.Optimizer]:
    big = [p for name, p in model.named_parameters() if is_matrix(name, p)]
    rest = [p for name, p in model.named_parameters() if not is_matrix(name, p)]
    return [Muon(big, lr=0.04), torch.optim.AdamW(rest, lr=4e-3, betas=(0.9, 0.95), weight_decay=0.0, fused=True)]
