"""Whether a text that was written with drafts is one that its target writes alone, token by token in single rows.

Kernels may round n rows at once otherwise than single ones, and a near-tie falls to the other side then: a flip. What
follows a flip is another text, so texts are not compared; each token is, given those before it (teacher forcing).
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ..engines.base import Batch, Engine
from ..sampling import Sampler

_RIVALS = 16  # choices of the target's that a flipped token is looked for among


@dataclass(frozen=True, slots=True)
class Forced:
    tokens: int
    gaps: tuple[float, ...] = ()  # of each flip: how far behind the target's own choice it was, in logits; or infinite

    @property
    def flips(self) -> int:
        return len(self.gaps)


def teacher_forced(engine: Engine, seq: int, tokens: Sequence[int], prompt: int, sampler: Sampler) -> Forced:
    """Of a text whose first `prompt` tokens were given. The sequence is emptied first, and holds all but the last
    token then; the sampler is of the text's law, and has seen none of it. Raises what the engine and the law do."""
    engine.truncate(seq, 0)
    for first in range(0, prompt - 1, engine.can.rows):
        part = tokens[first : min(first + engine.can.rows, prompt - 1)]
        engine.forward(Batch.chain(seq, part, wants="none"))
        engine.commit(seq, range(len(part)))
    sampler.observe(tokens[:prompt])
    gaps: list[float] = []
    for position in range(prompt, len(tokens)):
        logits = engine.forward(Batch.chain(seq, [tokens[position - 1]])).row(0)
        engine.commit(seq, [0])
        if sampler.choose(logits, position) != tokens[position]:
            gaps.append(_gap(sampler, logits, position, tokens[position]))
        sampler.accept(tokens[position])
    return Forced(len(tokens) - prompt, tuple(gaps))


def _gap(sampler: Sampler, logits: np.ndarray, position: int, token: int) -> float:
    rivals, shares = sampler.likeliest(logits, position, _RIVALS)
    found = (rivals == token).nonzero()[0]
    return float(np.log(shares[0] / shares[found[0]])) if len(found) else math.inf
