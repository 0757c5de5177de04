"""The models that come with the package: a small Mixture-of-Experts chat model and a draft with its tokenizer."""

from pathlib import Path

_HERE = Path(__file__).parent


def target() -> Path:
    """The chat model: Qwen3-MoE, 3 layers of 16 experts, Q4_0."""
    return _HERE / "accel-demo-moe.gguf"


def draft() -> Path:
    """The draft model: dense Qwen3, 1 layer, Q8_0, the target's tokenizer."""
    return _HERE / "accel-demo-draft.gguf"
