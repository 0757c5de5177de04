"""Whether one model can draft for another, by what their files say: no engine is asked."""

from ...offload.gguf_header import Array, Header
from ..model import ModelSpec

_SILENT = (2, 3, 5)  # ggml's numbers for tokens that write nothing: unknown, control, unused


def why_not(target: ModelSpec, draft: ModelSpec) -> str:
    """Why it can never draft for this target, or nothing."""
    if target.recurrent:
        return "the target's state cannot be taken back, so it cannot check what others guess"
    if draft.fingerprint == target.fingerprint:
        return "it is the target itself"
    if draft.recurrent:
        return "its state cannot be taken back after a wrong guess"
    if draft.size >= target.size:
        return f"it is no smaller than the target's {target.size}"
    return ""


def has_same_tokens(target: Header, draft: Header) -> bool:
    """Whether a token of one is the same in the other; what only the larger has must write nothing. As
    `retokenise.same_tokens`, without loading a vocabulary."""
    one, other = (header.metadata.get("tokenizer.ggml.tokens") for header in (target, draft))
    if not isinstance(one, Array) or not isinstance(other, Array):
        return False
    if target.metadata.get("tokenizer.ggml.model") != draft.metadata.get("tokenizer.ggml.model"):
        return False
    kinds, others = _kinds(target, one.count), _kinds(draft, other.count)
    both = min(one.count, other.count)
    rest = (*kinds[both:], *others[both:])
    return (
        one.begins_as(other)
        and all(kind in _SILENT for kind in rest)
        and all(_alike(kind, with_) for kind, with_ in zip(kinds[:both], others[:both], strict=True))
    )


def _alike(kind: int, other: int) -> bool:
    return kind == other or (kind in _SILENT and other in _SILENT)


def _kinds(header: Header, count: int) -> tuple[int, ...]:
    """Of each token; ordinary where the file does not say."""
    said = header.metadata.get("tokenizer.ggml.token_type")
    numbers = said.numbers() if isinstance(said, Array) else ()
    return numbers if len(numbers) == count else (1,) * count
