"""How fast this machine's memory can be read, by one thread and by more."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from ..units import Bytes, Rate

if TYPE_CHECKING:
    import numpy as np

_BUFFER = Bytes.from_mib(256)  # several times a desktop processor's last cache
_LEAST = Bytes.from_mib(128)  # below this caches would be measured
_BLOCK = 1 << 20
_SECONDS, _WINDOW = 0.6, 0.01  # all windows together, and one; the best one is what memory can do
_EACH = 16  # up to so many threads every count is measured, beyond it every sixteenth part


def read_rates(threads: int, free: Bytes) -> tuple[Rate, ...]:
    """Rates with 1, 2, ... `threads` threads, taking at most a quarter of `free`; empty where that is too little."""
    import numpy as np

    size = min(int(_BUFFER), free // 4) // _BLOCK * _BLOCK
    if size < _LEAST:
        return ()
    # Every page written: an untouched one would be read from the kernel's single page of zeros.
    blocks = np.ones(size // 8, np.uint64).reshape(-1, _BLOCK // 8)
    counts = [n for n in range(1, threads + 1) if n <= _EACH or n % (threads // _EACH) == 0 or n == threads]
    best = dict.fromkeys(counts, 0.0)
    with ThreadPoolExecutor(threads) as pool:
        began = time.perf_counter()
        while time.perf_counter() - began < _SECONDS:
            best |= {count: max(best[count], _rate(pool, blocks, count)) for count in counts}
    rates = np.interp(np.arange(1, threads + 1), counts, list(best.values()))
    return tuple(Rate(rate) for rate in rates)


def _rate(pool: ThreadPoolExecutor, blocks: "np.ndarray", threads: int) -> float:
    """Bytes a second that all threads read between the first start and the last end."""
    together = threading.Barrier(threads)
    # All go round the same ring, as far apart as can be, so that none finds in a cache what another has just read.
    starts = [n * len(blocks) // threads for n in range(threads)]
    began, ended, done = zip(*pool.map(lambda start: _read(blocks, start, together), starts), strict=True)
    return sum(done) / (max(ended) - min(began))


def _read(blocks: "np.ndarray", start: int, together: threading.Barrier) -> tuple[float, float, int]:
    """(began, ended, bytes) of one thread's window. A reduction reads at the memory's speed, without Python's lock."""
    import numpy as np

    together.wait()
    began, done = time.perf_counter(), 0
    while True:
        np.maximum.reduce(blocks[(start + done) % len(blocks)])
        done += 1
        now = time.perf_counter()
        if now - began >= _WINDOW:
            return began, now, done * _BLOCK
