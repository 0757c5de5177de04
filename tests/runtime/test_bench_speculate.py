"""accel bench speculate: what drafts give and take, measured beside what was planned."""

import json
import os
import subprocess
import sys

import pytest

from accel.errors import EngineError
from accel.runtime import bench_speculate, demo
from accel.runtime.bench_speculate import Budget, Result
from accel.runtime.settings import Settings
from accel.runtime.speculation import ENOUGH
from accel.units import Bytes

from .planning import MIB, a_machine, a_model
from .test_plan_drafting import TIMED, Goal, drafting

PLAN = drafting(a_machine(), a_model(), Goal(), TIMED)


def budgets(*speeds: float) -> Result:
    rows = (Budget(n, 10 * s, s, n, n, Bytes(0), Bytes(n * MIB), Bytes(n * MIB)) for n, s in enumerate(speeds))
    return Result(PLAN, tuple(rows))


def test_the_smallest_budget_that_keeps_enough_of_the_best_is_named():
    assert budgets(1.0, 1.5, 1.99, 2.05).enough.nodes == 2
    assert budgets(1.0, 1.01, 0.9).enough.nodes == 0
    assert budgets(1.0, 1.5, 2.0 * ENOUGH + 0.001, 2.0).enough.nodes == 2


@pytest.fixture
def small(monkeypatch, home):
    if not demo.draft().is_file():
        pytest.skip("the demo models are not here")
    for name, value in {"NODES": (1, 31), "ROUNDS": 1, "ANSWER": 24}.items():
        monkeypatch.setattr(bench_speculate, name, value)
    return Settings(model=str(demo.draft()), context=256)


def test_every_budget_is_measured_in_a_worker_of_its_own_beside_what_was_planned(small, capsys):
    assert bench_speculate.run(small, memory=True, json=True) == 0
    found = json.loads(capsys.readouterr().out)
    plain, few, many = found["budgets"]
    assert [budget["nodes"] for budget in found["budgets"]] == [0, 1, 31] and plain["speed_up"] == 1
    assert found["curve"] and found["choices"]["context"] == 256 and "memory" in found["enough"]
    assert few["predicted"] < many["predicted"]
    assert 0.5 * few["predicted"] < few["measured"] < 1.2 * few["predicted"]


def test_a_table_says_what_keeps_the_speed_and_what_would_be_planned(small, capsys):
    assert bench_speculate.run(small, memory=False) == 0
    shown = " ".join(capsys.readouterr().out.split())
    for words in ("tokens/s", "speed-up", "stood", f"keep {ENOUGH:.0%} of the best", "planned: "):
        assert words in shown
    assert "off by" not in shown


def test_where_nothing_can_be_drafted_it_is_said(small, monkeypatch):
    monkeypatch.setattr(bench_speculate, "NODES", (0,))
    with pytest.raises(EngineError, match="nothing is drafted"):
        bench_speculate.run(small, memory=False)


def test_it_is_a_command_of_two_words(tmp_path):
    words = [sys.executable, "-m", "accel.runtime.cli", "bench", "speculate", "nothing.gguf", "--memory"]
    environment = {**os.environ, "ACCEL_HOME": str(tmp_path)}
    done = subprocess.run(words, capture_output=True, text=True, timeout=100, env=environment, check=False)
    assert done.returncode and "nothing.gguf" in done.stderr and "usage" not in done.stderr
