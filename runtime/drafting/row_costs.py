"""What a forward of n rows costs here and now: the measured curve, corrected by what is seen as it runs. Pure.

A curve may be wrong: the machine was busy while it was measured. So rows together are told to cost no more than one
after the other, what is seen of some rows at once corrects all counts but one, and with hope, as long as nothing was
seen, they are thought to cost half as much.
"""

from dataclasses import dataclass, field

from ..costs import RowTimes

_MEMORY = 0.9  # of a correction, when one more is seen
_MOST = 3.0  # times what was expected, that a forward is believed to take: another program had the processor
_SURE = 4  # observations after which a row count's own correction counts in full
_HOPED = 0.1  # of a row's cost, that each further one is hoped to add
_UNKNOWN = 1e-3  # seconds of a row, before any was seen
_DOUBTED = 0.5  # of what a curve says of several rows, that may be untrue


@dataclass(slots=True)
class _Seen:
    value: float = 1.0
    count: int = 0

    def add(self, value: float, before: int = 0) -> None:
        """`before`: as how many observations what was thought counts before there was any."""
        self.value += max(1 - _MEMORY, 1 / (self.count + 1 + before)) * (value - self.value)
        self.count += 1


@dataclass(slots=True)
class RowCosts:
    """`times` is None where nothing was measured: rows beyond those that were seen are then thought to cost as much as
    the first one each, the worst there is, or with hope a tenth of that."""

    times: RowTimes | None = None
    _all: _Seen = field(default_factory=_Seen)  # how all counts differ from the curve: a longer context, a busy machine
    _many: _Seen = field(default_factory=_Seen)  # how counts beyond one differ from that
    _each: dict[int, _Seen] = field(default_factory=dict)  # how a count differs from that; without a curve, its seconds
    _told: dict[int, float] = field(default_factory=dict)  # seconds, by the curve
    _known: dict[tuple[int, bool], float] = field(default_factory=dict)  # what was said, but for `_all`

    def of(self, rows: int, hope: bool = False) -> float:
        """Seconds."""
        if (found := self._known.get((rows, hope))) is None:
            found = self._corrected(self.times, rows, hope) if self.times else self._beyond_seen(rows, hope)
            self._known[rows, hope] = found
        return found * self._all.value

    def seen(self, rows: int, seconds: float, doubted: bool = True) -> float:
        """A forward took so long; as how long that counts: it may have been held up by what has nothing to do with it.
        It is not `doubted` where many took so long: the curve counts for nothing beside them."""
        if doubted and (self.times or rows in self._each):
            seconds = min(seconds, _MOST * self.of(rows))
        counted = seconds
        if rows > 1 or not self.times or not self._all.count:
            self._known.clear()  # what single rows correct is the same for all
        if self.times:
            seconds /= self._of_curve(self.times, rows)
            if rows == 1 or not self._all.count:
                self._all.add(seconds)
            seconds /= self._all.value
            if rows > 1:
                self._many.add(seconds, before=int(doubted))
        self._each.setdefault(rows, _Seen()).add(seconds, before=int(doubted and self.times is not None))
        return counted

    def _corrected(self, times: RowTimes, rows: int, hope: bool) -> float:
        told = self._of_curve(times, rows)
        if rows == 1:
            return told
        if hope and not self._many.count:
            return max(told * _DOUBTED, times.of(1))
        own = self._each.get(rows, _Seen())
        share = min(1, own.count / _SURE)
        return told * (share * own.value + (1 - share) * self._many.value)

    def _of_curve(self, times: RowTimes, rows: int) -> float:
        if (found := self._told.get(rows)) is None:
            found = self._told[rows] = max(min(times.of(rows), rows * times.of(1)), 1e-9)
        return found

    def _beyond_seen(self, rows: int, hope: bool) -> float:
        if not self._each:
            return _UNKNOWN * rows
        fewest = min(self._each)
        below = max((each for each in self._each if each <= rows), default=fewest)
        a_row = self._each[fewest].value / fewest
        return max(self._each[below].value + (rows - below) * a_row * (_HOPED if hope else 1.0), a_row)
