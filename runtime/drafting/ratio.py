"""The ratio rules of speculative sampling: what stands of a draft that was drawn by chance, so that every token of the
text follows the target's law exactly.

`verify` keeps a guess where it equals the target's own token, and its text is the same with every draft. These rules
keep a guess x with probability p(x) / q(x), p being the target's law and q the one that x was drawn from; the text has
the right law and still depends on the draft, so they serve to compare.

    chain                the token after a guess that fell is drawn from the residual, max(p - q, 0) normalised
    without replacement  siblings are tried in the order drawn; after one fell, p becomes the residual, and q loses it
                         and is normalised again (Sequoia, arXiv 2402.12374): left as it is, the text's law is wrong
    with replacement     the same with q as it was (SpecInfer, arXiv 2305.09781); siblings may be equal
    given                siblings were not drawn but looked up: q is 1 at each of them

Laws are float64 of shape (vocabulary,), after temperature and cuts.
"""

from collections.abc import Callable, Container, Sequence
from typing import Protocol

import numpy as np

from ...errors import AccelError, EngineError
from ..engines.base import Rows
from ..sampling import Sampler
from .draft import Draft, Verdict

LawOf = Callable[[int], np.ndarray]  # of what follows a node; -1 for the last token that stands


class Chance(Protocol):
    def accepts(self, probability: float) -> bool: ...

    def draw(self, law: np.ndarray) -> int: ...


class Uniform:
    """Chance from a source of independent numbers, uniform in [0, 1). No draft may come from the same numbers."""

    def __init__(self, number: Callable[[], float]) -> None:
        self._number = number

    def accepts(self, probability: float) -> bool:
        return self._number() < probability

    def draw(self, law: np.ndarray) -> int:
        return int(pick(law, self._number()))


def pick(law: np.ndarray, number: float | np.ndarray) -> np.intp | np.ndarray:
    """The token that a uniform number falls on, never one of probability 0; a token each for an array of numbers."""
    mass = law.cumsum()
    return np.minimum(mass.searchsorted(number * mass[-1], "right"), law.nonzero()[0][-1])


def judge(
    draft: Draft,
    target: LawOf,
    drafter: LawOf | None,
    chance: Chance,
    row: int = 0,
    ends: Container[int] = (),
    replaced: bool = False,
) -> Verdict:
    """What stands of a draft, and the token after it.

    `target` is asked for the law after the last token that stands, then for that after every node that was accepted, in
    order. `drafter` gives the law that a node's children were drawn from; whether one more was drawn may depend on all
    that was drawn before it, never on what it became. None: they were given. `replaced`: drawn with replacement. Raises
    what `target` raises at its first call, EngineError for a guess that its law cannot draw; where `target` raises
    later, the token before is left for the next time.
    """
    children: list[list[int]] = [[] for _ in range(len(draft) + 1)]
    for node, parent in enumerate(draft.parents):
        children[parent + 1].append(node)
    path, at, p = list[int](), -1, target(-1)
    while True:
        q = drafter(at) if drafter and children[at + 1] else None
        at, p = _first_accepted(draft, children[at + 1], p, q, chance, replaced)
        if at < 0:
            return Verdict(draft, tuple(path), chance.draw(p), row)
        if draft.tokens[at] in ends:
            return Verdict(draft, tuple(path), draft.tokens[at], row)
        try:
            p = target(at)
        except AccelError:  # asked for again, it is raised
            return Verdict(draft, tuple(path), draft.tokens[at], row)
        path.append(at)


def verify_by_ratio(
    draft: Draft,
    rows: Rows,
    row: int,
    sampler: Sampler,
    ends: Container[int],
    chance: Chance,
    drafter: LawOf | None = None,
    replaced: bool = False,
) -> Verdict:
    """`judge` over the rows of a forward, as `verify` sees them; the sampler's noise has no part in it. The sampler has
    accepted all of `path` and the token after it then."""
    accepted = 0

    def target(node: int) -> np.ndarray:
        nonlocal accepted
        if node >= 0:
            sampler.accept(draft.tokens[node])
            accepted += 1
        return sampler.probabilities(rows.row(row + 1 + node))

    verdict = judge(draft, target, drafter, chance, row, ends, replaced)
    if accepted == len(verdict.path):
        sampler.accept(verdict.next_token)
    return verdict


def _first_accepted(
    draft: Draft, siblings: Sequence[int], p: np.ndarray, q: np.ndarray | None, chance: Chance, replaced: bool
) -> tuple[int, np.ndarray]:
    """The first of these nodes that is accepted, or -1; and what is left of the target's law when all before fell."""
    for node in siblings:
        token = draft.tokens[node]
        drawn = _certain(token, p) if q is None else q
        if not drawn[token] > 0:
            raise EngineError("a draft holds a token that its law cannot draw", "switch the ratio rule off")
        if chance.accepts(min(1, p[token] / drawn[token])):
            return node, p
        p = _residual(p, drawn)
        if q is not None and not replaced:
            q = _without(q, token)
    return -1, p


def _residual(p: np.ndarray, q: np.ndarray) -> np.ndarray:
    """What the target has beyond the drafter; p where rounding leaves nothing."""
    beyond = np.maximum(p - q, 0)
    total = beyond.sum()
    return beyond / total if total > 0 else p


def _without(q: np.ndarray, token: int) -> np.ndarray:
    """The law of the next draw once a token is out; all zero where it was the last."""
    left = q.copy()
    left[token] = 0
    total = left.sum()
    return left / total if total > 0 else left


def _certain(token: int, p: np.ndarray) -> np.ndarray:
    law = np.zeros_like(p)
    law[token] = 1
    return law
