"""What stand-ins for a model's experts cost its text, as measured, and what is to be expected between what was. Pure.

Over tokens that an exact engine and an approximate one were given alike, one at a time. What is lost is told in nats of
log-likelihood a token: perplexity grows by the factor exp(loss). There are two estimates of it:

- the mean difference of both engines' log-likelihoods of the tokens that came (paired: most of what makes a token hard
  or easy is hard or easy for both);
- the mean of KL(exact || approximate), which is what that difference is expected to be of a token that the exact engine
  itself has drawn.

Of a model's own writing at temperature 1 both have the same expectation, and only the difference adds to it which token
happened to be drawn: for a small loss its variance is about twice the loss for every token, which over 512 tokens and
at 0.005 nats is an error nearly as large as the loss; that of KL is several times smaller. So KL decides there. Nothing
says that a text which somebody gave is distributed as the model believes: there the difference decides. Errors are of
means over runs of tokens, because neighbours share a cache and a topic.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

from ..units import Bytes

OWN, GIVEN = "its own writing", "a given text"
OFF = 1.0  # a threshold that nothing is above
_MOST_NATS = 50.0


@dataclass(frozen=True, slots=True)
class Quality:
    """Of one model at one share of its experts in memory, with one choice of thresholds. Errors are standard errors."""

    model: str  # its fingerprint
    stand_ins: str  # of their file
    low: float  # thresholds of offload/precision.py
    skip: float
    deterministic: bool
    share: float  # of the experts, in memory
    text: str  # OWN or GIVEN
    tokens: int
    kl: float  # mean KL(exact || approximate), nats
    kl_error: float
    exact: float  # perplexity
    approximate: float
    error: float  # of the mean difference of log-likelihoods, nats
    same: float  # of the tokens: both engines hold the same one for the likeliest next
    missed: float  # of the uses: not in memory in a precision that would do
    served_low: float  # of the uses
    skipped: float
    read_exact: Bytes  # for one token, in the mean: by uses, not in vain
    read: Bytes

    @property
    def nats(self) -> float:
        """Log-likelihood that a token loses, as estimated best: see the module's docstring."""
        return self.kl if self.text == OWN else math.log(self.approximate / self.exact)

    @property
    def loss(self) -> float:
        """By which perplexity grows, as a share of it."""
        return math.expm1(self.nats)

    @property
    def worst_loss(self) -> float:
        """With one standard error."""
        return math.expm1(self.nats + (self.kl_error if self.text == OWN else self.error))

    @property
    def reading(self) -> float:
        """Bytes read, as a share of what an exact token reads of the same text."""
        return self.read / self.read_exact if self.read_exact else 1.0

    @property
    def sound(self) -> bool:
        """Whether this can have been measured."""
        shares = (self.low, self.skip, self.share, self.same, self.missed, self.served_low, self.skipped)
        nats = (self.kl, self.kl_error, self.error)
        perplexities = (self.exact, self.approximate)
        return (
            all(0 <= share <= 1 for share in shares)
            and self.share > 0
            and all(0 <= value <= _MOST_NATS for value in nats)
            and all(1 <= value < math.exp(_MOST_NATS) for value in perplexities)
            and self.text in (OWN, GIVEN)
            and 0 < self.tokens < 2**31
            and 0 <= self.read < 2**62
            and 0 <= self.read_exact < 2**62
        )

    @property
    def words(self) -> str:
        """What it costs, as a user reads it."""
        stand_ins = f"stand-ins for {self.served_low:.0%} of uses" if self.low < self.skip else ""
        left_out = f"{self.skipped:.0%} {'' if stand_ins else 'of uses '}left out" if self.skipped else ""
        served = ", ".join(filter(None, (stand_ins, left_out))) or "nothing is left out"
        cost = f"perplexity {self.loss:+.1%}, KL {self.kl:.3f} nats"
        measured = f"measured on {self.tokens} tokens of {self.text}"
        return f"{served}: {cost}, {measured}"


@dataclass(frozen=True, slots=True)
class StandIns:
    """What may stand in for a model's experts: a sound file, and what it costs at several shares, fewest experts first.

    Without `qualities` nothing stands in, and `problem` says what is to be done about that."""

    path: str = ""
    staging: Bytes = Bytes(0)  # noqa: RUF009 - memory that is read into
    qualities: tuple[Quality, ...] = ()
    problem: str = ""

    def of(self, deterministic: bool) -> "StandIns | None":
        """With what was measured so; None where nothing was."""
        known = [quality for quality in self.qualities if quality.deterministic == deterministic]
        known.sort(key=lambda quality: quality.share)
        return replace(self, qualities=tuple(known)) if known else None

    def expected(self, share: float, missing: Callable[[float], float]) -> Quality:
        """What is to be expected where this share of the experts is in memory: between two that were measured the line;
        with more than the most, as with the most, which is too much if anything; with fewer than the fewest, what is
        lost grows as what is missing, unless it depends on gate scores alone. `missing`: bytes that an exact token
        lacks, by the share that is kept."""
        known = self.qualities
        if share >= known[-1].share:
            return known[-1]
        if share > known[0].share:
            left, right = next(pair for pair in pairwise(known) if share <= pair[1].share)
            return _between(left, right, (share - left.share) / (right.share - left.share))
        return known[0] if known[0].deterministic else _with_fewer(known[0], share, missing)

    def read(self, share: float, missing: Callable[[float], float]) -> float:
        """Bytes that are read for a token. At the shares that were measured as much less than for an exact one as they
        were there, on the same text; between them the line, down to none where every expert is in memory. Never more
        than for an exact one, nor more with more experts in memory."""
        known = [(quality.share, missing(quality.share) * quality.reading) for quality in self.qualities]
        least, most = known[0]
        if share < least:
            return min(missing(share), _grown(most, share, least, missing))
        points = [*_falling(known), (1.0, 0.0)]
        (x0, y0), (x1, y1) = next(pair for pair in pairwise(points) if share <= pair[1][0])
        return min(missing(share), y0 + (y1 - y0) * (share - x0) / (x1 - x0) if x1 > x0 else y1)


def _falling(points: list[tuple[float, float]]) -> list[tuple[float, float]]:
    """Each no higher than those before: what was measured with more experts in memory may have come out higher."""
    least, found = math.inf, []
    for x, y in points:
        least = min(least, y)
        found.append((x, least))
    return found


def _grown(value: float, share: float, least: float, missing: Callable[[float], float]) -> float:
    """What was `value` where `least` is kept, where a smaller share is."""
    before = missing(least)
    return value * max(1.0, missing(share) / before) if before > 0 else value


def _between(left: Quality, right: Quality, part: float) -> Quality:
    def mean(name: str) -> float:
        a, b = float(getattr(left, name)), float(getattr(right, name))
        return a + (b - a) * part

    names = ("share", "kl", "kl_error", "error", "same", "missed", "served_low", "skipped")
    logarithm = math.log(left.approximate) * (1 - part) + math.log(right.approximate) * part
    found = {name: mean(name) for name in names}
    reads = {name: Bytes(mean(name)) for name in ("read", "read_exact")}
    return replace(left, approximate=math.exp(logarithm), **found, **reads)


def _with_fewer(least: Quality, share: float, missing: Callable[[float], float]) -> Quality:
    """Each use that is missed loses as much as those did which were."""
    more = _grown(1.0, share, least.share, missing)
    nats = min(_MOST_NATS, math.log(least.approximate / least.exact) * more)
    return replace(
        least,
        share=share,
        kl=least.kl * more,
        approximate=least.exact * math.exp(nats),
        missed=min(1.0, least.missed * more),
        served_low=min(1.0, least.served_low * more),
        skipped=min(1.0, least.skipped * more),
        read=Bytes(least.read * more),
        read_exact=Bytes(least.read_exact * more),
    )


def standard_error(values: Sequence[float], run: int = 16) -> float:
    """Of the mean of values whose neighbours are alike: by the spread of the means of runs of so many; of fewer than
    two runs, by that of the values."""
    whole = len(values) // run
    means = [sum(values[i * run : (i + 1) * run]) / run for i in range(whole)] if whole > 1 else list(values)
    if len(means) < 2:
        return 0.0
    middle = sum(means) / len(means)
    return math.sqrt(sum((mean - middle) ** 2 for mean in means) / (len(means) - 1) / len(means))
