"""What it takes drafters to read texts. Beside a token of a tiny model that is much, and whoever takes so long is not
asked: reading is paid for every token, whether anybody guesses or not. Pure."""

from collections.abc import Sequence

from .draft import Context

_MANY = 32  # tokens, beyond which all the time that a look takes is reading, as it is when a text is first seen
_DEAR = 0.004  # of a plain token's time, that reading a token may take
_MEMORY = 0.7  # of what reading takes, when it is seen once more
_FADING = 0.97  # of the same, every time that somebody was too dear to be asked


class Reading:
    """By drafter."""

    def __init__(self) -> None:
        self._lengths: dict[str, dict[int, int]] = {}  # of texts, as far as they were read
        self._each: dict[str, float] = {}  # seconds of a token

    def is_dear(self, drafter: str, plain: float) -> bool:
        """Whether it takes too long beside a token that is decoded plainly in so many seconds."""
        if self._each.get(drafter, 0.0) <= _DEAR * plain:
            return False
        self._each[drafter] *= _FADING
        return True

    def took(self, drafter: str, contexts: Sequence[Context], seconds: float) -> float:
        """A drafter looked at these texts, in so many seconds: how many of them it read."""
        lengths = self._lengths.setdefault(drafter, {})
        grown = sum(len(context.tokens) - lengths.get(context.number, 0) for context in contexts)
        new = any(context.number not in lengths for context in contexts)
        lengths.update((context.number, len(context.tokens)) for context in contexts)
        if grown < _MANY:
            return seconds if new else min(seconds, grown * self._each.get(drafter, 0.0))
        before = self._each.get(drafter, seconds / grown)
        self._each[drafter] = _MEMORY * before + (1 - _MEMORY) * seconds / grown
        return seconds

    def forget(self, number: int) -> None:
        for lengths in self._lengths.values():
            lengths.pop(number, None)
