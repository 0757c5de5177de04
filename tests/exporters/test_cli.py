"""`accel-export` as a user meets it: data on stdout, errors as one line with a code, nothing half-written."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from accel.errors import STATUS, ModelMissing, ModelUnsupported, SettingError, UsageError
from accel.offload.gguf_header import read_header
from accel.offload.layout import Layout
from accel.offload.planes import Planes, sidecar_of
from accel.runtime import demo

from .expert_files import draw, write_experts

COMMAND = [sys.executable, "-m", "accel.exporters.cli"]


def run(*words: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*COMMAND, *map(str, words)], capture_output=True, text=True, timeout=100)


def test_help_lists_every_command_and_loads_nothing_heavy():
    done = run("--help")
    assert done.returncode == 0 and "experts" in done.stdout and not done.stderr
    assert run().stdout == done.stdout
    assert "MODEL" in run("experts", "--help").stdout
    code = "import sys; from accel.exporters import cli; cli.main(['--help']); print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert not {"numpy", "gguf", "rich", "llama_cpp"} & set(loaded)


def test_the_demo_models_stand_ins_are_written_and_told_of(tmp_path):
    done = run("experts", demo.target(), tmp_path / "low.gguf")
    assert done.returncode == 0 and not done.stderr
    path, reads, *errors = done.stdout.splitlines()
    assert path.startswith(f"{tmp_path / 'low.gguf'}: ") and path.endswith("iB")
    assert reads.startswith("Q4_0: a stand-in reads ") and reads.endswith("% of its expert")
    assert [line.split(" in Q4_0: relative squared error 0.")[0] for line in errors] == [
        "ffn_down_exps", "ffn_gate_exps", "ffn_up_exps"
    ]  # fmt: skip
    header = read_header(demo.target())
    assert list(Planes.read(tmp_path / "low.gguf", header, Layout.of(header)).layers) == [0, 1, 2]


def test_without_a_name_they_lie_beside_the_model(tmp_path):
    model = write_experts(tmp_path / "moe.gguf", ("blk.0.ffn_up_exps.weight", "Q4_0", draw("Q4_0", 256)))
    assert run("experts", model).returncode == 0
    assert sidecar_of(model).exists()


@pytest.mark.parametrize(
    ("words", "kind", "says"),
    [
        (["experts"], UsageError, "MODEL"),
        (["experts", "a", "b", "c"], UsageError, "'c'"),
        (["expert"], UsageError, "experts"),
        (["experts", "a", "--form", "Q4_0"], SettingError, "--form"),
        (["experts", "nowhere.gguf"], ModelMissing, "nowhere.gguf"),
        (["experts", str(demo.draft()), "low.gguf"], ModelUnsupported, "dense"),
    ],
)
def test_what_cannot_be_done_is_one_line_with_its_own_code(words, kind, says):
    done = run(*words)
    assert done.returncode == STATUS[kind].exit and done.stdout == ""
    (line,) = done.stderr.splitlines()
    assert line.startswith("accel: ") and says in line and "; " in line


@pytest.mark.skipif(os.name != "posix", reason="needs signals")
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 128 + signal.SIGTERM)])
def test_an_interrupted_export_leaves_nothing(tmp_path, number, code):
    blocks = draw("Q8_0", 256)
    model = write_experts(tmp_path / "moe.gguf", ("blk.0.ffn_up_exps.weight", "Q8_0", blocks.repeat(1000, axis=1)))
    child = subprocess.Popen(
        [*COMMAND, "experts", str(model)],
        stderr=subprocess.PIPE,
        # whoever runs the tests in the background has interrupts ignored
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    while not list(tmp_path.glob(".*.part")) and child.poll() is None:
        time.sleep(0.01)
    child.send_signal(number)
    _, said = child.communicate(timeout=60)
    assert child.returncode == code, said
    assert list(tmp_path.iterdir()) == [model]
