"""How sure a drafter may be of its guesses: what such guesses came to so far, and the rule that ends a draft. Pure."""

from collections.abc import Sequence

from .draft import Draft

_TRUST = 4.0  # trials that what is assumed beforehand counts for
_MEMORY = 400.0  # trials of one kind, after which the older ones count half


class Odds:
    """How often guesses of each kind stood where they could have. `assumed`: for every kind, what holds until some of
    it were tried."""

    def __init__(self, assumed: Sequence[float]) -> None:
        self._stood = [_TRUST * share for share in assumed]
        self._tried = [_TRUST] * len(assumed)

    def of(self, kind: int) -> float:
        return self._stood[kind] / self._tried[kind]

    def learn(self, kind: int, stood: bool) -> None:
        self._stood[kind] += stood
        self._tried[kind] += 1
        if self._tried[kind] > _MEMORY:
            self._stood[kind] /= 2
            self._tried[kind] /= 2

    def judge(self, draft: Draft, kinds: Sequence[int], chosen: Sequence[int]) -> None:
        """`chosen`: tokens that stood in the place of a draft whose nodes are of these kinds. Guesses that hang on one
        that did not stand say nothing. Raises EngineError where the draft is no tree."""
        children, at = draft.children(), -1
        for token in chosen:
            for guess, node in children[at + 1].items():
                self.learn(kinds[node], guess == token)
            at = children[at + 1].get(token, -1)
            if at < 0:
                return


def confident(draft: Draft, doubt: float) -> Draft:
    """SpecDec++'s rule (arXiv 2405.19715) without its trained head: a node stays as long as the drafter's own
    probability that its path fails, 1 minus the product along it, is `doubt` at most. Where nodes come in the order of
    that probability, as in every chain, the first ones stay. A draft without probabilities stays as it is."""
    if draft.probabilities is None or doubt >= 1:
        return draft
    places, reached = [-1], [1.0]  # of the last token that stands and of every node: its new number, its path's product
    kept: list[int] = []
    for node, (parent, share) in enumerate(zip(draft.parents, draft.probabilities, strict=True)):
        whole = places[parent + 1] >= 0 or parent < 0
        reached.append(reached[parent + 1] * share)
        places.append(len(kept) if whole and 1 - reached[-1] <= doubt else -2)
        if places[-1] >= 0:
            kept.append(node)
    if len(kept) == len(draft):
        return draft
    return Draft(
        tuple(draft.tokens[node] for node in kept),
        tuple(places[draft.parents[node] + 1] for node in kept),
        tuple(draft.probabilities[node] for node in kept),
    )
