"""`accel-export` as a user meets it: data on stdout, errors as one line with a code, nothing half-written."""

import os
import shutil
import signal
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import psutil
import pytest

from accel.compiled import library
from accel.errors import STATUS, ModelMissing, ModelUnsupported, SettingError, UsageError
from accel.exporters import cli
from accel.exporters.measured import text_of
from accel.offload.gguf_header import read_header
from accel.offload.layout import Layout
from accel.offload.planes import Planes, sidecar_of
from accel.runtime import demo, learn_quality

from .expert_files import draw, write_experts

needs_pages = pytest.mark.skipif(library("accel.offload._store") is None, reason="store.c is not compiled here")
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
    done = run("experts", demo.target(), tmp_path / "low.gguf", "--only-file")
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
    assert run("experts", model, "--only-file").returncode == 0
    assert sidecar_of(model).exists()


def test_stand_ins_that_are_there_and_sound_are_not_written_again_and_others_are(tmp_path):
    model = write_experts(tmp_path / "moe.gguf", ("blk.0.ffn_up_exps.weight", "Q4_0", draw("Q4_0", 256)))
    assert run("experts", model, "--only-file").returncode == 0
    low, before = sidecar_of(model), sidecar_of(model).stat().st_mtime_ns
    assert run("experts", model, "--only-file").stdout == f"{low}: up to date\n"
    assert low.stat().st_mtime_ns == before
    sound = low.read_bytes()
    low.write_bytes(sound[:100])
    done = run("experts", model, "--only-file")
    assert done.returncode == 0 and "relative squared error" in done.stdout and low.read_bytes() == sound


@needs_pages
def test_what_they_cost_is_measured_and_told(tmp_path, monkeypatch, capsys):
    model = shutil.copy(demo.target(), tmp_path / "demo.gguf")
    monkeypatch.setattr(learn_quality, "learn_quality", partial(learn_quality.learn_quality, tokens=8))
    assert cli.main(["experts", str(model)]) == 0
    told = capsys.readouterr().out
    assert "relative squared error" in told and "demo.low.json: 6 measured" in told
    assert "25% of experts in memory, " in told and "above 0." in told
    assert "measured on 8 tokens of its own writing" in told
    (tmp_path / "text").write_text("too short")
    done = run("experts", model, "--text", tmp_path / "text")
    assert done.returncode == STATUS[UsageError].exit and "tells too little" in done.stderr
    assert done.stdout == f"{sidecar_of(Path(model))}: up to date\n"


@pytest.mark.parametrize(
    ("raw", "says"), [(b"\xff\xfe\x00", "UTF-8"), (b" \n", "holds no text"), (None, "cannot be read")], ids=str
)
def test_a_file_that_is_no_text_is_told_before_anything_is_done(tmp_path, raw, says):
    if raw is not None:
        (tmp_path / "text").write_bytes(raw)
    done = run("experts", demo.target(), tmp_path / "out", "--text", tmp_path / "text")
    assert done.returncode == STATUS[UsageError].exit and says in done.stderr and not done.stdout
    assert not (tmp_path / "out").exists()


def test_of_a_long_text_the_beginning_is_read_though_a_letter_is_cut(tmp_path):
    (tmp_path / "text").write_text("ä" * 2**20 + "b")
    assert text_of(tmp_path / "text") == "ä" * 2**19
    (tmp_path / "text").write_text("a" + "ä" * 2**20)
    assert text_of(tmp_path / "text") == "a" + "ä" * (2**19 - 1)


@needs_pages
@pytest.mark.skipif(os.name != "posix", reason="needs signals")
def test_an_interrupt_while_measuring_leaves_the_stand_ins_whole_and_no_process(tmp_path):
    model = Path(shutil.copy(demo.target(), tmp_path / "demo.gguf"))
    assert run("experts", model, "--only-file").returncode == 0
    whole = sidecar_of(model).read_bytes()
    child = subprocess.Popen(
        [*COMMAND, "experts", str(model)],
        stderr=subprocess.PIPE,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    measuring: list[psutil.Process] = []
    while not measuring and child.poll() is None:
        measuring = psutil.Process(child.pid).children()
        time.sleep(0.01)
    child.send_signal(signal.SIGINT)
    _, said = child.communicate(timeout=60)
    assert child.returncode == 130 and not said
    assert measuring and not any(process.is_running() for process in measuring)
    assert sidecar_of(model).read_bytes() == whole
    assert sorted(file.name for file in tmp_path.iterdir()) == ["demo.gguf", "demo.low.gguf"]


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
