"""What a draft model would bring, from what forwards and guesses cost and how many guesses stand. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate

DEEPEST = 8  # guesses in a row that are thought of
ASSUMED = (0.5, 0.7, 0.9)  # of the guesses that stand, where nothing was measured
_STEPS = 40  # of halving


@dataclass(frozen=True, slots=True)
class Pace:
    """`rows`: seconds of the target's forwards of 1, 2, ... rows; `guess`: seconds of one token of the draft model."""

    rows: tuple[float, ...]
    guess: float

    @property
    def share(self) -> float:
        """What a guess takes of the time of a token of the target's own."""
        return self.guess / self.rows[0]

    @property
    def checking(self) -> float:
        """What one more row takes of it."""
        return self.rows[min(1, len(self.rows) - 1)] / self.rows[0] - 1


@dataclass(frozen=True, slots=True)
class Payoff:
    """The best number of guesses in a row, and how many times as fast as plain decoding that is: it may be slower."""

    length: int
    speed_up: float


def payoff(pace: Pace, standing: Sequence[float]) -> Payoff:
    """`standing`: how often the first guess stands, how often the first two do, and so on; never increasing."""
    found, tokens = Payoff(0, 0.0), 1.0
    for length, share in enumerate(standing[: len(pace.rows) - 1], 1):
        tokens += share
        speed_up = tokens * pace.rows[0] / (pace.rows[length] + length * pace.guess)
        if speed_up > found.speed_up:
            found = Payoff(length, speed_up)
    return found


def cleared(rows: Sequence[float]) -> tuple[float, ...]:
    """Measured times of 1, 2, ... rows, none longer than of more rows: whatever else runs only ever adds to some."""
    return tuple(accumulate(reversed(rows), min))[::-1]


def alike(acceptance: float) -> tuple[float, ...]:
    """What stands where every guess after one that stood is as likely to."""
    return tuple(acceptance**length for length in range(1, DEEPEST + 1))


def standing_of(texts: Sequence[Sequence[bool]], deepest: int = DEEPEST) -> tuple[float, ...]:
    """What stands, by which tokens of some texts would have been guessed with all before them known. Where a draft may
    begin so many tokens are left; shorter texts tell nothing."""
    starts = [text[at : at + deepest] for text in texts for at in range(len(text) - deepest + 1)]
    if not starts:
        return ()
    lengths = range(1, deepest + 1)
    return tuple(sum(all(start[:length]) for start in starts) / len(starts) for length in lengths)


def needed(pace: Pace) -> float | None:
    """The share of guesses that must stand for drafting to be as fast as plain decoding; None where none would do."""
    if payoff(pace, alike(1.0)).speed_up < 1:
        return None
    low, high = 0.0, 1.0
    for _ in range(_STEPS):
        middle = (low + high) / 2
        low, high = (low, middle) if payoff(pace, alike(middle)).speed_up >= 1 else (middle, high)
    return high


def in_words(pace: Pace) -> str:
    """What it comes to, as far as costs tell."""
    least, checking = needed(pace), max(pace.checking, 0.0)
    costs = f"a draft token costs {pace.share:.0%} of the target's own, and checking it {checking:.0%}"
    return f"cannot pay here: {costs}" if least is None else f"pays if {least:.0%} of its guesses stand: {costs}"


def seen_in_words(pace: Pace, seen: Payoff, stood: float) -> str:
    """The same, where `stood` of its guesses were seen to stand."""
    if seen.speed_up >= 1:
        return f"{seen.speed_up:.2f} times as fast with {seen.length} in a row: {stood:.0%} of its guesses stand"
    least = needed(pace)
    return f"would be slower: {stood:.0%} of its guesses stand; " + (
        in_words(pace) if least is None else f"{least:.0%} must"
    )
