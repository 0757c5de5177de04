"""Logits -> token: one rule, a pure function of the logits, the law, the seed and the position.

    token = argmax over the tokens left of  logit / temperature + gumbel(seed, position, token)

with the lowest token on a tie; at temperature 0 the same without noise. Which tokens are left, in this order:

1. *penalties* on the logits of tokens among the last `penalty_last`: a logit x becomes x / repeat_penalty where x > 0,
   else x * repeat_penalty, then loses count * frequency_penalty + presence_penalty;
2. *bias*: added to the logits of the tokens named;
3. *grammar*: tokens that it does not allow go;
4. *top-k*: the k greatest logits stay, of equals at the k-th place those of lowest token;
5. *top-p*: of what is left, sorted by logit, the fewest whose probabilities (softmax at temperature 1) reach p stay;
6. *min-p*: tokens less probable than min_p times the most probable go;
7. the temperature, then the noise.

No generator with a state: nothing that batching, caching, drafting or a restart could disturb.

sampling.c is the same rule compiled, for the laws that nearly everybody uses; this file defines it, and does the rest.
"""

import ctypes
import math
from collections import deque
from collections.abc import Iterable
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np

from ..compiled import library
from ..errors import EngineError, GrammarError, SettingError, UsageError
from .engines.base import CompiledLaw
from .law import Law
from .noise import gumbel_of, least_bits, noise_bits, seed_key

if TYPE_CHECKING:
    from .grammar import Grammar

_LOWEST = np.finfo(np.float32).min  # of what is not -inf
_SMALL = 16_384  # a vocabulary that is quicker compared whole
_MOST_COMPILED = 256  # of top-k, in sampling.c


class Sampler:
    """One sequence's law at work: `choose` a token for a row, `accept` the token that stands."""

    def __init__(self, law: Law, vocabulary_size: int, grammar: "Grammar | None" = None) -> None:
        if any(token >= vocabulary_size for token, _ in law.logit_bias):
            raise SettingError("logit_bias names a token beyond the vocabulary", f"there are {vocabulary_size} tokens")
        self.law = law
        self.grammar = grammar
        self._size = vocabulary_size
        self._key = seed_key(law.seed)
        self._recent = Recent(law.penalty_last) if law.penalises else None
        self._biased = np.array([token for token, _ in law.logit_bias], np.int64)
        self._bias = np.array([bias if bias > -1e30 else -np.inf for _, bias in law.logit_bias], np.float32)
        changes = law.penalises or law.logit_bias or grammar
        self._scratch = np.empty(vocabulary_size, np.float32) if changes else None
        self._largest = Largest(vocabulary_size, min(law.top_k or 256, vocabulary_size))
        greedy = law.temperature == 0
        self._compiled: Any = compiled() if greedy or 0 < law.top_k <= _MOST_COMPILED else None
        self._cuts = (1.0, 1, 1.0, 0.0) if greedy else (law.temperature, law.top_k, law.top_p, law.min_p)
        self.compiled: CompiledLaw | None = None  # where the logits and nothing else decide
        if self._compiled and not changes:
            self.compiled = CompiledLaw(ctypes.cast(self._compiled, ctypes.c_void_p).value or 0, self._key, *self._cuts)
        self._row: np.ndarray | None = None  # the last one, and its address: engines give the same array many times
        self._address = 0

    def observe(self, tokens: Iterable[int]) -> None:
        """Tokens of the prompt: they count for penalties and nothing else."""
        if self._recent:
            for token in tokens:
                self._recent.add(token)

    def accept(self, token: int) -> None:
        """The token that stands at the position just chosen for. Raises GrammarError where the grammar forbids it."""
        if self._recent:
            self._recent.add(token)
        if self.grammar:
            self.grammar.accept(token)

    def fork(self, apart: bool = False) -> "Sampler":
        """A sampler that goes its own way from here. It shares working memory, so that all forks belong to one thread,
        unless it is to be `apart`."""
        twin = object.__new__(Sampler)
        twin.__dict__.update(self.__dict__)
        twin.grammar = self.grammar.fork() if self.grammar else None
        twin._recent = self._recent.fork() if self._recent else None
        if apart:
            twin._scratch = None if self._scratch is None else np.empty_like(self._scratch)
            twin._largest = Largest(self._size, self._largest.k)
            twin._row = None
        return twin

    def choose(self, logits: np.ndarray, position: int) -> int:
        """The next token. `logits`: float32 of shape (vocabulary,), left as it is; `position`: where it will stand.

        Raises EngineError where the logits are no numbers, GrammarError where the grammar leaves no token.
        """
        row = logits if self._scratch is None else self._adjusted(logits, self._scratch)
        if self._compiled:
            return self._choose_compiled(row, position)
        law = self.law
        if law.temperature == 0:
            return self._greatest(row)
        if law.top_k == 0 and law.top_p >= 1 and law.min_p == 0:
            return self._uncut(row, position)
        tokens, x = self._left(row)
        if len(tokens) == 1:
            return int(tokens[0])
        scores = x / law.temperature
        scores += gumbel_of(noise_bits(self._key, position, tokens))
        return int(tokens[scores.argmax()])

    def probabilities(self, logits: np.ndarray) -> np.ndarray:
        """How often `choose` gives each token over all seeds: float64 of shape (vocabulary,). Raises as `choose`."""
        row = logits if self._scratch is None else self._adjusted(logits, self._scratch)
        found = np.zeros(len(row))
        if self.law.temperature == 0:
            found[self._greatest(row)] = 1
        else:
            tokens, x = self._left(row)
            mass = np.exp((x - x.max()) / self.law.temperature)
            found[tokens] = mass / mass.sum()
        return found

    def choose_surely(self, logits: np.ndarray, position: int) -> tuple[int, float]:
        """What `choose` gives, and how probable that is by a softmax over all that penalties, bias and grammar leave:
        the cuts, which cost more to know, are left out. Raises as `choose`."""
        token = self.choose(logits, position)
        row = logits if self._scratch is None else self._scratch
        below = row - row[row.argmax()]
        if self.law.temperature not in (0, 1):
            below /= np.float32(self.law.temperature)
        return token, float(np.exp(below[token]) / np.exp(below).sum())

    def likeliest(self, logits: np.ndarray, position: int, most: int) -> tuple[np.ndarray, np.ndarray]:
        """What `choose` would give if the logits were slightly others: at most so many tokens, its own first, and how
        probable each is by a softmax of logit + temperature * noise. Raises as `choose`."""
        row = logits if self._scratch is None else self._adjusted(logits, self._scratch)
        temperature = self.law.temperature
        if temperature == 0:
            tokens, scores = self._largest(row)
        else:
            tokens, x = self._left(row)
            scores = x / temperature + gumbel_of(noise_bits(self._key, position, tokens))
        best = (-scores).argsort(kind="stable")[:most]
        mass = np.exp((scores - scores[best[0]]) * (temperature or 1))
        return tokens[best], mass[best] / mass.sum()

    def _choose_compiled(self, row: np.ndarray, position: int) -> int:
        if row is not self._row:
            self._row = row = np.ascontiguousarray(row, np.float32)
            self._address = row.ctypes.data
        token = self._compiled(self._address, row.size, self._key, position, *self._cuts)
        if token < 0:
            raise _no_numbers()
        return token

    def _adjusted(self, logits: np.ndarray, row: np.ndarray) -> np.ndarray:
        """Penalties, bias and grammar, into `row`."""
        np.copyto(row, logits)
        if self._recent:
            self._recent.penalise(row, self.law)
        if len(self._biased):
            row[self._biased] += self._bias
            if row[row.argmax()] == -np.inf and np.isfinite(logits[logits.argmax()]):
                raise UsageError("the logit bias leaves no token", "leave some token without it")
        if self.grammar:
            allowed = self.grammar.mask()
            if not np.isfinite(logits[logits.argmax()]):
                raise _no_numbers()
            np.copyto(row, -np.inf, where=~allowed)
            if row[row.argmax()] == -np.inf:
                raise GrammarError("the grammar leaves no token", "loosen it, or take a bias away")
        return row

    def _greatest(self, row: np.ndarray) -> int:
        token = row.argmax()
        if not math.isfinite(row[token]):
            raise _no_numbers()
        return int(token)

    def _left(self, row: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """(tokens, logits in float64) that the cuts leave, tokens ascending."""
        law = self.law
        tokens, x = self._largest(row)
        total = 0.0
        if not law.top_k:
            tokens, x, total = self._enough(row, tokens, x)
        n = len(x)
        if law.top_p < 1:
            mass = np.exp(x - x[0]).cumsum()
            n = min(n, int(mass.searchsorted(law.top_p * (total or mass[-1]))) + 1)
        if law.min_p > 0:
            n = min(n, int((-x).searchsorted(-(x[0] + math.log(law.min_p)), "right")))
        if n == 1:
            return tokens[:1], x[:1]
        order = tokens[:n].argsort()
        return tokens[order], x[order]

    def _enough(self, row: np.ndarray, tokens: np.ndarray, x: np.ndarray) -> tuple[np.ndarray, np.ndarray, float]:
        """As many of the greatest as top-p and min-p can keep, and the mass of all, where no top-k bounds them."""
        law, total = self.law, 0.0
        bound = x[0] + math.log(law.min_p) if law.min_p > 0 else -np.inf
        if law.top_p < 1:
            depth = row[tokens[0]] - row
            mass = np.exp(-depth)
            total = float(mass.sum(dtype=np.float64))
            if np.exp(x - x[0]).sum() >= law.top_p * total:
                return tokens, x, total
            steps = np.minimum(depth * 8, 1023).astype(np.intp)  # eighths of a nat below the greatest
            reached = np.bincount(steps, mass).cumsum().searchsorted(law.top_p * total)
            bound = max(bound, x[0] - (reached + 2) / 8) if reached < 1000 else bound
        if x[-1] >= bound and len(x) < self._size:
            tokens = (row >= max(bound, _LOWEST)).nonzero()[0]
            x = row[tokens].astype(np.float64)
            order = (-x).argsort(kind="stable")
            tokens, x = tokens[order], x[order]
        return tokens, x, total

    def _uncut(self, row: np.ndarray, position: int) -> int:
        """Every token is left: the noise of all is hashed, its logarithms taken only where it could matter."""
        temperature = self.law.temperature
        tokens, x = self._largest(row)
        best = float((x / temperature + gumbel_of(noise_bits(self._key, position, tokens))).max())
        bits = noise_bits(self._key, position, np.arange(self._size))
        needed = least_bits(best - float(x[-1]) / temperature)
        bits[tokens] = 2**53  # those already seen stay in the running
        rest = (bits >= needed).nonzero()[0]
        scores = row[rest] / np.float64(temperature)
        scores += gumbel_of(noise_bits(self._key, position, rest))
        return int(rest[scores.argmax()])


@cache
def compiled() -> Any:
    """`accel_choose` of sampling.c, or None where it was not compiled, or does not load."""
    loaded = library(f"{__package__}._sampling", with_lock=True)
    if loaded is None:
        return None
    choose = loaded.accel_choose
    choose.restype = ctypes.c_int64
    choose.argtypes = (
        *(ctypes.c_void_p, ctypes.c_int64, ctypes.c_uint64, ctypes.c_int64),
        *(ctypes.c_double, ctypes.c_int32, ctypes.c_double, ctypes.c_double),
    )
    return choose


class Recent:
    """The last tokens and how often each is among them."""

    def __init__(self, last: int) -> None:
        self._window: deque[int] = deque(maxlen=last)
        self._counts: dict[int, int] = {}

    def add(self, token: int) -> None:
        window, counts = self._window, self._counts
        if len(window) == window.maxlen:
            oldest = window[0]
            counts[oldest] -= 1
            if not counts[oldest]:
                del counts[oldest]
        window.append(token)
        counts[token] = counts.get(token, 0) + 1

    def fork(self) -> "Recent":
        twin = Recent(self._window.maxlen or 0)
        twin._window = self._window.copy()
        twin._counts = self._counts.copy()
        return twin

    def penalise(self, row: np.ndarray, law: Law) -> None:
        """In place."""
        if not self._counts:
            return
        tokens = np.fromiter(self._counts, np.int64, len(self._counts))
        counts = np.fromiter(self._counts.values(), np.float32, len(self._counts))
        x = row[tokens]
        x = np.where(x > 0, x / np.float32(law.repeat_penalty), x * np.float32(law.repeat_penalty))
        x -= counts * np.float32(law.frequency_penalty) + np.float32(law.presence_penalty)
        row[tokens] = x


class Largest:
    """The k greatest of a row, greatest first, of equals the lowest token first; -inf is never among them.

    The row is seen as a grid, and the k-th greatest of its columns' maxima is a bound that at least k tokens reach and
    few more: only columns that reach it are looked at, so that a vocabulary of 150,000 costs little more than one pass.
    """

    def __init__(self, size: int, k: int) -> None:
        self.k = k
        self._rows = max(1, 1 << max(0, round(math.log2(math.sqrt(size) / 6))))
        while self._rows > 1 and size // self._rows < 4 * k:
            self._rows //= 2
        self._columns = size // self._rows
        self._grid = self._rows * self._columns
        self._maxima = np.empty(self._columns + size - self._grid, np.float32)

    def __call__(self, row: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """(tokens int64, logits float64). Raises EngineError where the row holds NaN or +inf, or only -inf."""
        columns, maxima = self._columns, self._maxima
        grid = row[: self._grid].reshape(self._rows, columns)
        np.maximum.reduce(grid, axis=0, out=maxima[:columns])
        if len(maxima) > columns:
            maxima[columns:] = row[self._grid :]
        if not math.isfinite(maxima[maxima.argmax()]):
            raise _no_numbers()
        place = max(len(maxima) - self.k, 0)
        bound = max(np.partition(maxima, place)[place], _LOWEST)
        tokens = (row >= bound).nonzero()[0] if len(row) < _SMALL else self._reaching(grid, bound)
        x = row[tokens].astype(np.float64)
        order = (-x).argsort(kind="stable")[: self.k]
        return tokens[order], x[order]

    def _reaching(self, grid: np.ndarray, bound: np.float32) -> np.ndarray:
        """Tokens whose logits reach the bound, ascending."""
        columns = self._columns
        places = (self._maxima >= bound).nonzero()[0]
        split = int(places.searchsorted(columns))
        lines, hits = (grid.take(places[:split], axis=1) >= bound).nonzero()
        return np.concatenate((places[hits] + lines * columns, places[split:] + (self._grid - columns)))


def _no_numbers() -> EngineError:
    return EngineError("the engine gave logits that are no numbers", "load the model again, or try another file of it")
