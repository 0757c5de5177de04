"""How far to turn a cache's size and two thresholds until a model is served as another one was. Pure.

What is missed falls with the experts in memory, what is left out with one threshold, what stand-ins serve with the
other; each depends a little on the other two. So they are turned one after another, and again, along straight lines
between what was seen.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

from accel.offload.counts import Shares

OFF_BY = 0.01  # what is missed may be, either way
_ABOVE, _AT_LEAST = 0.1, 0.004  # that the others may be more than is asked: a part of it, or so much
_FIRST_STEPS = (0.1, 0.03, 0.01, 0.01)  # in each round of turning all three
_TRIES = 8  # for one of them in one round
_EDGE = 0.15  # of what lies between two values: so near to either the next one is not
_MOST_IN_MEMORY = 0.95


@dataclass(frozen=True, slots=True)
class Setting:
    share: float  # of the experts, in memory
    low: float  # thresholds of offload/precision.py
    skip: float


START = Setting(0.3, 0.6, 0.9)
Measure = Callable[[Setting], Shares]


@dataclass(frozen=True, slots=True)
class Match:
    setting: Setting
    found: Shares
    met: bool  # within what is allowed


def match(measure: Measure, asked: Shares, least: float, start: Setting = START) -> Match:
    """The setting at which stand-ins serve, and are left out, no fewer uses than `asked` and few more, where about as
    many are missed; or what came nearest. `least`: the smallest share of the experts that holds a token's."""
    search = _Search(measure, asked, replace(start, share=max(start.share, least)))
    for step in _FIRST_STEPS:
        search.turn("skip", asked.skipped, asked.skipped + _room(asked.skipped), 0.0, 1.0, step)
        search.turn("share", asked.missed - OFF_BY, asked.missed + OFF_BY, least, _MOST_IN_MEMORY, step)
        search.turn("low", asked.served_low, asked.served_low + _room(asked.served_low), 0.0, 1.0, step)
        if search.best.met:
            break
    return search.best


def meets(found: Shares, asked: Shares) -> bool:
    return (
        abs(found.missed - asked.missed) <= OFF_BY
        and 0 <= found.served_low - asked.served_low <= _room(asked.served_low)
        and 0 <= found.skipped - asked.skipped <= _room(asked.skipped)
    )


class _Search:
    def __init__(self, measure: Measure, asked: Shares, start: Setting) -> None:
        self._measure, self._asked = measure, asked
        self.best = self._at = self._try(start)

    def turn(self, name: str, from_: float, to: float, least: float, most: float, step: float) -> None:
        """One of the setting's three, of which less gives more, until what it decides lies between: by steps that
        double until that lies between two of them, then along the line between those."""
        decides = {"share": "missed", "low": "served_low", "skip": "skipped"}[name]
        bounds: dict[bool, tuple[float, float]] = {}  # by whether that gave too much: a value, and what it gave
        for _ in range(_TRIES):
            has, value = getattr(self._at.found, decides), getattr(self._at.setting, name)
            if self._at.met or from_ <= has <= to:
                return
            much = has > to
            bounds[much] = value, has
            if len(bounds) == 2:
                (more, gave_more), (less, gave_less) = bounds[True], bounds[False]
                part = (gave_more - (from_ + to) / 2) / (gave_more - gave_less)
                following = more + (less - more) * min(max(part, _EDGE), 1 - _EDGE)
            else:
                following = min(max(value + (step if much else -step), least), most)
                step *= 2
            if following == value:
                return  # it cannot be turned further
            self._at = self._try(replace(self._at.setting, **{name: following}))
            if _rank(self._at, self._asked) < _rank(self.best, self._asked):
                self.best = self._at

    def _try(self, setting: Setting) -> Match:
        found = self._measure(setting)
        return Match(setting, found, meets(found, self._asked))


def _room(asked: float) -> float:
    return max(_ABOVE * asked, _AT_LEAST)


def _rank(match: Match, asked: Shares) -> tuple[bool, float]:
    return not match.met, sum(abs(one - other) for one, other in zip(match.found, asked, strict=True))
