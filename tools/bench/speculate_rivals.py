"""What llama.cpp's drafters that need no model would guess: its rules (common/ngram-*.cpp and common/speculative.cpp of
the version vendored by llama-cpp-python 0.3.36) over again, for texts that llama.cpp itself cannot be made to write.

Collisions of its hash tables are left out, in its favour. RIVALS is a small grid of its settings."""

from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from itertools import product
from typing import Protocol


class Rival(Protocol):
    """`tokens` end with the last one that was chosen."""

    def begin(self, tokens: Sequence[int]) -> None: ...

    def draft(self, tokens: Sequence[int]) -> list[int]: ...

    def accept(self, count: int) -> None: ...


class Simple:
    """ngram-simple: where the last n tokens stood before last, the up to m tokens that followed."""

    def __init__(self, n: int, m: int) -> None:
        self._n, self._m = n, m
        self._ends: dict[tuple[int, ...], int] = {}  # of an n-gram: where it ended last
        self._seen = 0  # ends up to here are there

    def begin(self, tokens: Sequence[int]) -> None:
        self._ends, self._seen = {}, self._n

    def draft(self, tokens: Sequence[int]) -> list[int]:
        n, m, old = self._n, self._m, len(tokens) - 1
        if old <= n + m + 1:
            return []
        for end in range(self._seen + 1, old):  # the first token begins no match
            self._ends[tuple(tokens[end - n : end])] = end
        self._seen = max(self._seen, old - 1)
        end = self._ends.get(tuple(tokens[-n:]))
        if end is None or min(m, old - end) < n:
            return []
        return list(tokens[end : end + min(m, old - end)])

    def accept(self, count: int) -> None: ...


class MapK:
    """ngram-map-k: as ngram-simple where m tokens followed, but no more of them than stood the last time."""

    def __init__(self, n: int, m: int) -> None:
        self._n, self._m = n, m
        self._ends: dict[tuple[int, ...], int] = {}
        self._seen = 0
        self._stood: dict[tuple[int, ...], int] = {}
        self._key: tuple[int, ...] = ()

    def begin(self, tokens: Sequence[int]) -> None:
        self._ends, self._seen, self._stood = {}, self._n, {}

    def draft(self, tokens: Sequence[int]) -> list[int]:
        n, m, old = self._n, self._m, len(tokens) - 1
        if old < 2 * n + m:
            return []
        for end in range(self._seen + 1, old - m):
            self._ends[tuple(tokens[end - n : end])] = end
        self._seen = max(self._seen, old - m - 1)
        self._key = tuple(tokens[-n:])
        end = self._ends.get(self._key)
        return [] if end is None else list(tokens[end : end + min(m, self._stood.get(self._key, m))])

    def accept(self, count: int) -> None:
        self._stood[self._key] = count


class Mod:
    """ngram-mod: one table, shared by all texts, from the last n tokens to what followed them last."""

    def __init__(self, n: int, least: int, most: int) -> None:
        self._n, self._least, self._most = n, least, most
        self._next: dict[tuple[int, ...], int] = {}
        self._seen = self._low = self._drafted = 0

    def begin(self, tokens: Sequence[int]) -> None:
        self._seen = 0
        if len(tokens) >= self._n:
            self._learn(tokens, len(tokens))

    def _learn(self, tokens: Sequence[int], end: int) -> None:
        for start in range(self._seen, end - self._n):
            self._next[tuple(tokens[start : start + self._n])] = tokens[start + self._n]
        self._seen = end - self._n

    def draft(self, tokens: Sequence[int]) -> list[int]:
        old = len(tokens) - 1
        if old < self._n:
            return []
        if self._seen + 32 < old:
            self._learn(tokens, old)
        run, found = list(tokens[-self._n :]), list[int]()
        while len(found) < self._most and (token := self._next.get(tuple(run))) is not None:
            found.append(token)
            run = [*run[1:], token]
        self._drafted = len(found) if len(found) >= self._least else 0
        return found if self._drafted else []

    def accept(self, count: int) -> None:
        if count / max(1, self._drafted) >= 0.25:
            self._low = 0
            return
        self._low += 1
        if self._low >= 5:
            self._next, self._low, self._seen = {}, 0, 0


class Cache:
    """ngram-cache, which llama-lookup uses too: what followed the last 4 to 1 tokens most often, where it did so in
    enough of all cases."""

    _SAMPLES, _PERCENT = (2, 2, 1, 1), (66, 50, 50, 50)

    def __init__(self, most: int) -> None:
        self._most = most
        self._counts: defaultdict[tuple[int, ...], Counter[int]] = defaultdict(Counter)
        self._seen = 0

    def begin(self, tokens: Sequence[int]) -> None:
        self._counts.clear()
        self._seen = 0

    def draft(self, tokens: Sequence[int]) -> list[int]:
        for at in range(self._seen, len(tokens)):
            for n in range(1, min(4, at) + 1):
                self._counts[tuple(tokens[at - n : at])][tokens[at]] += 1
        self._seen = len(tokens)
        run, found = list(tokens[-4:]), list[int]()
        while len(found) < self._most and (token := self._likeliest(run)) is not None:
            found.append(token)
            run = [*run[-3:], token]
        return found

    def _likeliest(self, run: Sequence[int]) -> int | None:
        for n in range(min(4, len(run)), 0, -1):
            counts = self._counts.get(tuple(run[-n:]))
            if counts:
                (token, most), *_ = counts.most_common(1)
                total = counts.total()
                if total >= self._SAMPLES[n - 1] and 100 * most >= self._PERCENT[n - 1] * total:
                    return token
        return None

    def accept(self, count: int) -> None: ...


def _grid() -> dict[str, Callable[[], Rival]]:
    found: dict[str, Callable[[], Rival]] = {}
    for n, m in product((3, 4, 8, 12), (3, 4, 7, 8, 15, 16, 31, 48)):
        if m >= n:  # it gives nothing shorter
            found[f"ngram-simple {n} {m}"] = lambda n=n, m=m: Simple(n, m)
        found[f"ngram-map-k {n} {m}"] = lambda n=n, m=m: MapK(n, m)
    for n, least, most in ((16, 1, 15), (16, 8, 31), (16, 15, 31), (24, 48, 64)):
        found[f"ngram-mod {n} {least} {most}"] = lambda n=n, least=least, most=most: Mod(n, least, most)
    for most in (1, 2, 3, 4, 7, 8, 15, 16, 31):
        found[f"ngram-cache {most}"] = lambda most=most: Cache(most)
    return found


RIVALS = _grid()
