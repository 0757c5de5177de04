"""How likely a model thought its tokens, before anything was cut off or made likelier. Pure."""

from collections.abc import Callable

import numpy as np

from .messages import Chance


def chance(logits: np.ndarray, token: int, best: int, piece: Callable[[int], bytes]) -> Chance:
    """Of a token at a place with these logits, float32 of shape (vocabulary,); `best`: of how many of the likeliest it
    is told too, those of lower number first where they are equally likely."""
    found = logits.astype(np.float64)
    found -= found.max()
    found -= np.log(np.exp(found).sum())
    order: list[int] = []
    if best:
        least = np.partition(logits, -best)[-best] if best < len(logits) else -np.inf
        likely = np.flatnonzero(logits >= least)
        order = likely[np.argsort(-logits[likely], kind="stable")][:best].tolist()
    return Chance(piece(token), float(found[token]), tuple((piece(each), float(found[each])) for each in order))
