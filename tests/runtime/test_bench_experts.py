"""accel bench experts: a model's routing through every policy, from a file or recorded first."""

import json
import os
import shutil
import subprocess
import sys
import zlib
from pathlib import Path

import numpy as np
import pytest

from accel.errors import STATUS, AccelError, EngineError, ModelMissing, StateError, UsageError
from accel.offload.compare import SHARES, even_quotas
from accel.offload.trace import Trace, load_trace, save_trace
from accel.runtime import demo, picture
from accel.units import Bytes

POLICIES = ["lru", "lfu", "hobbit", "cost", "belady"]


def bench(home: Path, *words: str, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    clean = {name: value for name, value in os.environ.items() if not name.startswith("ACCEL_")}
    return subprocess.run(
        [sys.executable, "-m", "accel.runtime.cli", "bench", "experts", *words],
        capture_output=True, text=True, timeout=100, env={**clean, "ACCEL_HOME": str(home)}, check=False, cwd=cwd,
    )  # fmt: skip


@pytest.fixture(scope="module")
def home(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("home")


@pytest.fixture(scope="module")
def trace() -> Trace:
    rng = np.random.default_rng(0)
    chosen = np.array([[rng.permutation(16)[:2] for _ in range(5)] for _ in range(80)], np.uint16)
    return Trace("f" * 32, "drawn \x1b[31m", 16, (Bytes(1000),) * 5, chosen)


@pytest.fixture
def file(tmp_path, trace) -> Path:
    save_trace(tmp_path / "routing", trace)
    return tmp_path / "routing"


def test_a_recorded_routing_needs_no_model(home, file):
    done = bench(home, "--trace", str(file), "--json")
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert (found["tokens"], found["layers"], found["experts"], found["used"]) == (80, 5, 16, 2)
    assert [budget["share"] for budget in found["budgets"]] == list(SHARES)
    for budget in found["budgets"]:
        assert list(budget["policies"]) == POLICIES
        for figures in budget["policies"].values():
            assert 0 <= figures["hit_rate"] <= budget["policies"]["belady"]["hit_rate"] <= 1
            assert figures["bytes_per_token"] == pytest.approx(10_000 * (1 - figures["hit_rate"]), abs=1)
            stall = 1e3 * figures["bytes_per_token"] / found["disk"]["rate"]
            assert figures["stall_ms"] == pytest.approx(stall, rel=1e-6)


def test_the_tables_name_every_policy_budget_and_rate_and_obey_no_models_name(home, file):
    done = bench(home, "--trace", str(file))
    assert done.returncode == 0, done.stderr
    assert "\x1b" not in done.stdout and "80 tokens, 2 of 16 experts in each of 5 layers" in done.stdout
    assert all(name in done.stdout for name in POLICIES) and done.stdout.count("*10%") == 3
    assert "GB/s" in done.stdout and ("as measured here" in done.stdout or "as is usual" in done.stdout)


def test_a_models_routing_is_recorded_kept_and_what_the_next_plan_rests_on(home, tmp_path):
    if not demo.target().is_file():
        pytest.skip("the demo models are not here")
    done = bench(home, "--context", "256", "--json", "--trace", "new", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    kept = load_trace(tmp_path / "new")
    assert "recording 512 tokens" in done.stderr and json.loads(done.stdout)["tokens"] == kept.tokens == 512
    (costs,) = (home / "cache" / "costs").glob("model-*.json")
    assert len(json.loads(costs.read_text())["routing"]["hits"]) == kept.layers
    again = bench(home, str(demo.target()), "--json", "--trace", "new", cwd=tmp_path)
    assert json.loads(again.stdout)["budgets"] and "recording" not in again.stderr


def refused(done: subprocess.CompletedProcess[str], kind: type[AccelError], says: str) -> None:
    assert (done.returncode, done.stdout) == (STATUS[kind].exit, ""), done.stderr
    assert says in done.stderr.splitlines()[-1] and "; " in done.stderr.splitlines()[-1]


def test_what_cannot_be_is_one_line(home, file, tmp_path):
    refused(bench(home, "nothing.gguf"), ModelMissing, "nothing.gguf")
    (tmp_path / "noise").write_bytes(b"noise" * 100)
    refused(bench(home, "--trace", str(tmp_path / "noise")), StateError, "is no recorded routing")
    if demo.target().is_file():
        refused(bench(home, str(demo.target()), "--trace", str(file)), UsageError, "is of another model")
        refused(bench(home, str(demo.draft()), "--context", "256"), EngineError, "has no experts")
        nowhere = str(tmp_path / "nowhere" / "trace")
        refused(bench(home, "--context", "256", "--trace", nowhere), AccelError, "cannot write")


def test_a_file_of_that_name_is_still_a_model(home, tmp_path):
    if not demo.target().is_file():
        pytest.skip("the demo models are not here")
    shutil.copy(demo.draft(), tmp_path / "experts")
    clean = {name: value for name, value in os.environ.items() if not name.startswith("ACCEL_")}
    words = [sys.executable, "-m", "accel.runtime.cli", "bench", "./experts", "--context", "256", "--json"]
    environment = {**clean, "ACCEL_HOME": str(home)}
    done = subprocess.run(words, capture_output=True, text=True, env=environment, check=False, cwd=tmp_path)
    assert done.returncode == 0 and json.loads(done.stdout)["measured"]["decode"] > 0


def size_of(png: bytes) -> tuple[int, int]:
    """Raises ValueError for what is no whole PNG."""
    if not png.startswith(b"\x89PNG\r\n\x1a\n"):
        raise ValueError("no PNG")
    at = 8
    while at < len(png):
        length = int.from_bytes(png[at : at + 4])
        if zlib.crc32(png[at + 4 : at + 8 + length]) != int.from_bytes(png[at + 8 + length : at + 12 + length]):
            raise ValueError("a damaged PNG")
        at += 12 + length
    return int.from_bytes(png[16:20]), int.from_bytes(png[20:24])


def test_a_picture_is_drawn_without_a_display(home, file, tmp_path):
    pytest.importorskip("matplotlib")
    done = bench(home, "--trace", str(file), "--picture", str(tmp_path / "out.png"))
    assert done.returncode == 0, done.stderr
    assert min(size_of((tmp_path / "out.png").read_bytes())) > 400 and "40% of the experts" in done.stderr


def test_what_is_drawn_is_what_is_kept(trace):
    states = picture.kept_states(trace, even_quotas(trace, 0.5))
    chosen = trace.chosen.astype(np.intp)
    assert (np.take_along_axis(states, chosen, 2) >= 2).all() and np.count_nonzero(states >= 2) == chosen.size
    assert (np.count_nonzero((states == 1) | (states == 2), axis=2) <= 8).all()
    assert (states[0] != 2).all() and (states == 2).any() and (states == 1).any()


def test_a_picture_of_one_layer_can_be_drawn(tmp_path):
    pytest.importorskip("matplotlib")
    chosen = np.array([[[0]], [[1]], [[0]]], np.uint16)
    picture.draw(tmp_path / "one.png", Trace("f", "one", 2, (Bytes(1),), chosen), 0.5)
    assert min(size_of((tmp_path / "one.png").read_bytes())) > 400


def test_without_matplotlib_it_is_said_what_to_install_before_anything_is_done(file, tmp_path, monkeypatch):
    from accel.runtime.bench_experts import run
    from accel.runtime.settings import Settings

    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(AccelError, match=r"accel-runtime\[picture\]"):
        run(Settings(), file, tmp_path / "out.png")
    assert not (tmp_path / "out.png").exists()
