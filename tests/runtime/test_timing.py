"""Forwards are timed on an engine that is left as it was."""

from accel.runtime.costs import ROWS
from accel.runtime.engines import open_engine
from accel.runtime.engines.options import FakeOptions
from accel.runtime.timing import measure_rows


def test_rows_are_timed_on_an_engine_which_is_left_empty():
    engine = open_engine("fake", FakeOptions(batch=16, outputs=16, seconds_per_row=1e-4))
    times = measure_rows(engine, threads=3, repack=True, seconds=0.01, fused=False)
    assert times.rows == tuple(rows for rows in ROWS if rows <= 16)
    assert len(times.seconds) == len(times.rows) and times.seconds[-1] > times.seconds[0] > 0
    assert (times.threads, times.repack, times.fused, engine.length(0)) == (3, True, False, 0)
