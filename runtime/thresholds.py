"""Which thresholds for stand-ins suit a model: those with which a token reads the fewest bytes and loses little. Pure.

Candidates are tried on a part of the tokens, by their estimate alone; the best of them must then hold on all tokens,
its error added. So what was chosen for a lucky part is found out, and the error of a part rules nothing out.
"""

from collections.abc import Callable

from .quality import OFF, Quality

LOWS = (0.9, 0.8, 0.7, 0.6, 0.5)  # from careful to bold, as the next
SKIPS = (OFF, 0.95, 0.9, 0.8, 0.75, 0.7)
MOST_LOSS = 0.01  # of perplexity
_ALIKE = 0.02  # of what an exact token reads: a smaller difference decides nothing

# (low, skip). Where both are one, nothing stands in: stand-ins of small experts take nearly as many pages as they do.
CANDIDATES = tuple(
    (low, skip) for skip in SKIPS for low in sorted({skip, *LOWS}, reverse=True) if low <= skip and low < OFF
)
# Of (low, skip, whether on all tokens).
Measure = Callable[[float, float, bool], Quality]


def choose(
    measure: Measure, boldest: tuple[float, float] = (LOWS[-1], SKIPS[-1]), most: float = MOST_LOSS
) -> Quality | None:
    """As measured on all tokens; None where even the most careful thresholds lose more than `most`. None bolder in
    either than `boldest` are tried."""
    refused: list[tuple[float, float]] = []

    def hopeless(low: float, skip: float) -> bool:
        """No more careful in either than some that lost too much."""
        return any(low <= other[0] and skip <= other[1] for other in refused)

    passing: list[Quality] = []
    for low, skip in CANDIDATES:
        if low >= boldest[0] and skip >= boldest[1] and not hopeless(low, skip):
            tried = measure(low, skip, False)
            if tried.loss <= most:
                passing.append(tried)
            else:
                refused.append((low, skip))
    for best in sorted(passing, key=_rank):
        if not hopeless(best.low, best.skip):
            found = measure(best.low, best.skip, True)
            if found.worst_loss <= most:
                return found
            refused.append((best.low, best.skip))
    return None


def _rank(quality: Quality) -> tuple[int, float]:
    """The fewest bytes, and of those that hardly differ the least loss."""
    return round(quality.read / max(1.0, _ALIKE * quality.read_exact)), quality.kl
