"""A plan as the page draws it: each tier's parts in a few groups, and every choice with its reason. Pure."""

from typing import Any

from ...units import Bytes
from ..footprint import GPU, Allocation, total
from ..plan import Plan, cautions

# What of a plan a group's reason is: the choices that decided its size.
GROUPS: dict[str, tuple[str, ...]] = {
    "weights": ("repack", "gpu_layers"),
    "KV cache": ("context", "kv_type", "sequences"),
    "experts": ("expert_memory", "experts_in_memory", "low_experts"),
    "draft": ("draft_nodes", "draft_model"),
    "prompts": (),
    "buffers": ("ubatch", "outputs", "flash_attention"),
}
_SPELLED = {  # beginnings of `Allocation.what`, the first that fits
    "weights": ("weights", "dense weights", "GPU weights", "repacked weights"),
    "experts": ("experts", "room to read stand-ins", "pages beside experts"),
    "draft": ("draft", "candidate", "cells of candidates", "compute buffer for drafts", "GPU candidate",
              "GPU compute buffer for drafts"),
    "KV cache": ("KV cache", "GPU KV cache", "cells of the KV cache"),
    "prompts": ("prompts",),
}  # fmt: skip


def group_of(part: Allocation) -> str:
    """What is in no other group is a buffer."""
    return next((group for group, words in _SPELLED.items() if part.what.startswith(words)), "buffers")


def plan_view(plan: Plan) -> dict[str, Any]:
    """As JSON holds it; sizes are bytes, rates tokens a second."""
    model = plan.model
    return {
        "model": {
            "name": model.name,
            "architecture": model.architecture,
            "format": model.format,
            "layers": model.layers,
            "experts": model.experts,
            "experts_used": model.experts_used,
            "size": int(model.size),
        },
        "machine": plan.machine.name,
        "tiers": [_tier(plan, tier) for tier in total(plan.memory)],
        "groups": {
            group: [f"{name.replace('_', ' ')}: {plan.choices[name].reason}" for name in names if name in plan.choices]
            for group, names in GROUPS.items()
        },
        "choices": [
            {"name": name.replace("_", " "), "value": _value(name, choice.value), "reason": choice.reason}
            for name, choice in plan.choices.items()
        ],
        "decode": plan.decode,
        "prefill": plan.prefill,
        "cautions": cautions(plan),
    }


def _value(name: str, value: bool | int | float | str) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return str(Bytes(value)) if name == "expert_memory" and value else str(value) or "none"


def _tier(plan: Plan, tier: str) -> dict[str, Any]:
    """`free` is what the plan may take of it: no more than was allowed."""
    on_gpu = tier == GPU
    free = plan.machine.accelerators[0].free if on_gpu else plan.machine.memory.free
    allowed = None if on_gpu else plan.goal.memory
    parts = sorted((part for part in plan.memory if part.tier == tier), key=lambda part: -part.size)
    return {
        "name": plan.machine.accelerators[0].name if on_gpu else tier,
        "size": int(total(plan.memory)[tier]),
        "free": int(free if allowed is None else min(free, allowed)),
        "parts": [
            {"what": part.what, "group": group_of(part), "size": int(part.size), "kind": part.kind} for part in parts
        ],
    }
