"""`POST /v1/embeddings`: what the model makes of texts, as vectors."""

import struct
from base64 import b64encode
from collections.abc import Sequence
from typing import Any

from ...messages import Embedded
from ..parsing import BadField
from .completions import parts_of
from .shapes import EmbeddingsRequest

_MOST_TEXTS = 2048


def texts(request: EmbeddingsRequest) -> list[Any]:
    """Texts, or their tokens. Raises BadField."""
    return parts_of(request.input, "input", _MOST_TEXTS)


def check_dimensions(request: EmbeddingsRequest, width: int) -> None:
    """Raises BadField where vectors of this model have others; `width` is 0 where it makes none."""
    if width and request.dimensions not in (None, width):
        raise BadField(f"vectors of this model have {width} dimensions, and are not made shorter", "dimensions")


def written(request: EmbeddingsRequest, model: str, found: Sequence[Embedded]) -> dict[str, Any]:
    tokens = sum(each.tokens for each in found)
    vectors = [_vector(each.vector, request.encoding_format == "base64") for each in found]
    return {
        "object": "list",
        "data": [{"object": "embedding", "index": at, "embedding": vector} for at, vector in enumerate(vectors)],
        "model": model,
        "usage": {"prompt_tokens": tokens, "total_tokens": tokens},
    }


def _vector(vector: bytes, base64: bool) -> Any:
    return b64encode(vector).decode() if base64 else struct.unpack(f"<{len(vector) // 4}f", vector)
