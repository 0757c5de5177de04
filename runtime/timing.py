"""Times forwards of a loaded model."""

import math
import time

from .costs import ROWS, RowTimes
from .engines.base import Batch, Chosen, Engine, Stop
from .law import Law
from .sampling import Sampler

_FEWEST = 4  # forwards that are timed, however slow
_EVEN = 8  # rows' worth of time that every count gets
_RUN = 16  # tokens that are decoded in one call at most, to time one


def measure_rows(engine: Engine, threads: int, repack: bool, seconds: float = 0.4, fused: bool = True) -> RowTimes:
    """Times forwards of 1 to 32 rows. Sequence 0 must be empty, and is empty again. Raises EngineError."""
    counts = [rows for rows in ROWS if rows <= min(engine.can.rows, engine.can.context)]
    # A forward of many rows takes longer and is to be seen often too; one row is what most plans rest on.
    share = seconds / sum(rows + _EVEN for rows in counts)
    times = tuple(best_seconds(engine, rows, share * (rows + _EVEN)) for rows in counts)
    return RowTimes(threads, repack, tuple(counts), times, outputs=engine.can.outputs, fused=fused)


def best_seconds(engine: Engine, rows: int, seconds: float, depth: int = 0) -> float:
    """The fastest of several forwards of so many rows: other processes only ever slow one down. Sequence 0 must hold
    `depth` positions, and holds them again."""

    timed = _decoded if rows == 1 and engine.can.decodes else _forwarded
    times: list[float] = []
    end = time.perf_counter() + seconds
    while len(times) < _FEWEST or time.perf_counter() < end:
        left = (end - time.perf_counter()) / _FEWEST / min(times, default=math.inf)
        times.append(timed(engine, rows, max(1, min(_RUN, int(left))), len(times)))
        engine.truncate(0, depth)
    return min(times)


def _forwarded(engine: Engine, rows: int, *_: int) -> float:
    tokens = [7919 * (i + 1) % engine.vocabulary.size for i in range(rows)]  # different ones use different experts
    batch = Batch.chain(0, tokens, wants="all" if rows <= engine.can.outputs else "last")
    start = time.perf_counter()
    engine.forward(batch)
    return time.perf_counter() - start


def _decoded(engine: Engine, _: int, run: int, seed: int) -> float:
    """One token of so many, as a worker decodes: without Python between two of them."""
    sampler, chosen, stop = Sampler(Law(seed=seed), engine.vocabulary.size), Chosen(), Stop()
    start = time.perf_counter()
    tokens = engine.decode(0, 1, sampler, run, chosen, stop)
    spent = time.perf_counter() - start
    return spent / len(tokens) if tokens else _forwarded(engine, 1)
