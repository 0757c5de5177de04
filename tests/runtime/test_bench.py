"""accel bench measures the whole path and says what the plan had promised."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

STORIES = Path(__file__).resolve().parents[2].parent / "shared" / "assets" / "models" / "stories260K.gguf"


def bench(home: Path, *words: str, model: Path = STORIES) -> subprocess.CompletedProcess[str]:
    clean = {name: value for name, value in os.environ.items() if not name.startswith("ACCEL_")}
    return subprocess.run(
        [sys.executable, "-m", "accel.runtime.cli", "bench", str(model), "--context", "256", *words],
        capture_output=True, text=True, timeout=100, env={**clean, "ACCEL_HOME": str(home)}, check=False,
    )  # fmt: skip


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    if not STORIES.is_file():
        pytest.skip("../shared/assets/models/stories260K.gguf is not there")
    return tmp_path_factory.mktemp("home")


def test_json_holds_what_was_measured_beside_what_was_predicted(home):
    done = bench(home, "--json")
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    measured = found["measured"]
    assert measured["prompt"] == measured["answer"] == 64 and measured["short_prompt"] == 32
    assert all(measured[name] > 0 for name in ("prefill", "decode", "first_token", "peak", "planned", "loading"))
    assert found["predicted"]["memory"] == measured["planned"]
    assert found["predicted"]["decode"]["low"] <= found["predicted"]["decode"]["high"]
    assert found["choices"]["context"] == 256 and "--json" in found["command"]


def test_the_table_names_every_figure_and_obeys_no_models_name(home, tmp_path):
    raw = STORIES.read_bytes()
    at = raw.index(b"llama", raw.index(b"general.name"))
    hostile = tmp_path / "hostile.gguf"
    hostile.write_bytes(raw[:at] + b"\x1b[/b]" + raw[at + 5 :])
    done = bench(home, model=hostile)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("[/b], ")
    assert all(word in done.stdout for word in ("decode", "prefill", "first token", "peak memory", "loading"))
