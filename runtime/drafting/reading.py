"""What it takes drafters to read texts, and whether they may: a prompt is read for every answer, whether anybody
guesses or not. Pure."""

from collections.abc import Sequence

from .draft import Context

_MANY = 32  # tokens, beyond which all the time that a look takes is reading, as it is when a text is first seen
_SHARE = 0.0015  # of the time, that reading may take each
_FREE = 0.003  # of a prompt's forward, beside which reading it is not counted
_MEMORY = 0.7  # of what reading takes, when it is seen once more


class Reading:
    """By drafter."""

    def __init__(self) -> None:
        self._lengths: dict[str, dict[int, int]] = {}  # of texts, as far as they were read
        self._each: dict[str, float] = {}  # seconds of a token
        self._elapsed = 0.0  # seconds
        self._paid: dict[str, float] = {}  # seconds

    def elapsed(self, seconds: float) -> None:
        """In which tokens were decoded."""
        self._elapsed += seconds

    def paid(self, drafter: str, seconds: float) -> None:
        """What a drafter read, as far as no gains paid for it. The first time tells what it takes, and is free."""
        self._paid[drafter] = self._paid[drafter] + seconds if drafter in self._paid else 0.0

    def knows(self, drafter: str) -> bool:
        """Whether it was seen what reading takes it."""
        return drafter in self._each

    def cost(self, drafter: str, context: Context) -> float:
        """Seconds that it should take to read what the drafter has not of a text."""
        unread = len(context.tokens) - self._lengths.get(drafter, {}).get(context.number, 0)
        return unread * self._each.get(drafter, 0.0)

    def affords(self, drafter: str, context: Context, row: float, gains: float) -> bool:
        """Whether the drafter may read a text: in next to no time beside the forward that a prompt passes through, at
        `row` seconds a token; in what is left for it; or paid from so many seconds that guesses have gained."""
        each = self._each.get(drafter, 0.0)
        left = _SHARE * self._elapsed - self._paid.get(drafter, 0.0) + gains
        return each <= _FREE * row or self.cost(drafter, context) <= left

    def took(self, drafter: str, contexts: Sequence[Context], seconds: float, told: float | None = None) -> float:
        """A drafter looked at these texts, in so many seconds: how many of them it read, as it told itself or may be
        thought."""
        lengths = self._lengths.setdefault(drafter, {})
        grown = sum(len(context.tokens) - lengths.get(context.number, 0) for context in contexts)
        new = any(context.number not in lengths for context in contexts)
        lengths.update((context.number, len(context.tokens)) for context in contexts)
        if grown < _MANY:
            thought = seconds if new else min(seconds, grown * self._each.get(drafter, 0.0))
            return thought if told is None else told
        reading = seconds if told is None else told
        before = self._each.get(drafter, reading / grown)
        self._each[drafter] = _MEMORY * before + (1 - _MEMORY) * reading / grown
        return reading

    def forget(self, number: int) -> None:
        for lengths in self._lengths.values():
            lengths.pop(number, None)
