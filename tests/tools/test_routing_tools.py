"""Routing is recorded into a file, and what is fitted to it is compared on what it was not fitted to."""

import sys

import pytest

from accel.offload.trace import load_trace, save_trace
from accel.runtime.demo import target
from accel.tools import fit_policy, record_routing

from ..offload.traces import a_trace


@pytest.fixture
def tool(monkeypatch, capsys):
    """Runs a tool's main; (exit code, stdout, stderr)."""

    def run(module, *words: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", [module.__name__, *words])
        code = module.main()
        told = capsys.readouterr()
        return code, told.out, told.err

    return run


@pytest.mark.parametrize("more", [(), ("--topics", "4")], ids=["written", "read"])
def test_a_models_routing_is_recorded(tool, tmp_path, more):
    if not target().is_file():
        pytest.skip("the demo models are not here")
    code, _, told = tool(record_routing, str(target()), str(tmp_path / "trace"), "--tokens", "40", *more)
    assert code == 0, told
    assert load_trace(tmp_path / "trace").chosen.shape == (40, 3, 2)


def test_every_budget_has_a_line_and_both_what_is_fitted_and_what_is_shared_a_verdict(tool, tmp_path):
    save_trace(tmp_path / "trace", a_trace(tokens=60, layers=2))
    code, told, _ = tool(fit_policy, str(tmp_path / "trace"), "--parts", "2", "--shares", "0.25,0.5")
    lines = told.splitlines()
    assert code == 0 and [line.split()[0] for line in lines[2:4]] == ["25%", "50%"]
    for name in (fit_policy.FITTED, fit_policy.SHARED):
        assert name in lines[1]
        assert any(line.startswith(f"{name}: ") and "LRU" in line for line in lines)
    weights = [float(word.strip(",")) for word in lines[-1].split() if word[0].isdigit()]
    assert sum(weights) == pytest.approx(1, abs=0.003)


@pytest.mark.parametrize(
    ("ratios", "says"),
    [([0.9, 0.95], "better in every"), ([0.9, 1.05], "no better than LRU by more"), ([1.01, 1.2], "never better")],
)
def test_a_verdict_is_plain(ratios, says):
    assert says in fit_policy._verdict("fitted", ratios)


def test_a_file_that_holds_no_routing_is_said(tool, tmp_path):
    (tmp_path / "noise").write_bytes(b"noise" * 9)
    code, told, error = tool(fit_policy, str(tmp_path / "noise"))
    assert code == 53 and not told and "no recorded routing" in error
