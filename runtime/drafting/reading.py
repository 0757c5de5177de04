"""What it takes drafters to read texts. Beside a token of a tiny model that is much, and who takes so long is not
asked: reading is paid for every token, whether anybody guesses or not. Pure."""

from collections.abc import Iterable, Sequence

from .draft import Context

_MANY = 32  # tokens, beyond which all the time that a look takes is reading, as it is when a text is first seen
_SHARE = 0.003  # of a plain token's time, that it may take all who are asked to read one
_MEMORY = 0.7  # of what reading takes, when it is seen once more
_FADING = 0.97  # of the same, every time that somebody was too dear to be asked


class Reading:
    """By drafter."""

    def __init__(self) -> None:
        self._lengths: dict[str, dict[int, int]] = {}  # of texts, as far as they were read
        self._each: dict[str, float] = {}  # seconds of a token

    def affordable(self, drafters: Iterable[str], plain: float) -> list[str]:
        """Those of them, in their order, who together read a token in a small share of the seconds that one takes to
        decode plainly."""
        left, found = _SHARE * plain, list[str]()
        for name in drafters:
            each = self._each.get(name, 0.0)
            if each <= left:
                left -= each
                found.append(name)
            else:
                self._each[name] *= _FADING
        return found

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
