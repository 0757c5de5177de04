"""What a token wants of each expert that it uses: in full, a stand-in of low precision, or nothing. Pure.

HOBBIT (arXiv 2411.01433), section 3.2: the experts of a token in the order of their gate scores, the scores' sum taken
as one. The score of those before an expert says how little is lost without it: up to one threshold it is wanted in
full, up to another a stand-in will do, beyond that it may be left out. The others then count for as much as they would
beside it: to share its weight out among them loses more, since its output is seldom like theirs.
"""

from dataclasses import dataclass

import numpy as np

from .residency import FULL, LOW, SKIP


@dataclass(frozen=True, slots=True)
class Thresholds:
    """Of the share, 0 to 1, of a token's gate scores that lies before an expert."""

    low: float = 0.6  # above it a stand-in will do
    skip: float = 0.9  # above it nothing is needed

    def wanted(self, scores: np.ndarray) -> np.ndarray:
        """FULL, LOW or SKIP for every expert that one token uses, from their gate scores (none below zero, in any
        order): uint8. The one with the highest score is always wanted in full."""
        order = np.argsort(-scores, kind="stable")
        total = scores.sum()
        if not total > 0:
            return np.full(len(scores), FULL, np.uint8)
        shares = scores[order] / total
        before = np.cumsum(shares) - shares
        wanted = np.empty(len(scores), np.uint8)
        wanted[order] = np.where(before <= self.low, FULL, np.where(before <= self.skip, LOW, SKIP))
        wanted[order[0]] = FULL
        return wanted
