"""accel draft suggest: every model here that could draft, what it would bring, and why others cannot."""

import json
import os
import shutil
import signal
import struct
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings

from accel.devices.measure import measured
from accel.devices.probe import probe
from accel.errors import STATUS, EngineError, ModelMissing, PlanRefused
from accel.runtime import demo
from accel.runtime.costs import Costs
from accel.runtime.draft_candidates import candidates
from accel.runtime.draft_costs import beside
from accel.runtime.drafting.payoff import ASSUMED
from accel.runtime.library.downloaded import Library
from accel.runtime.measure_drafts import DraftsJob, measure
from accel.runtime.model import ModelSpec
from accel.runtime.plan import Plan, engine_options, make_plan
from accel.runtime.search import Goal
from accel.tools.random_model import Fading, Shapes, write_random_model
from accel.units import Bytes

from .library.models import text
from .planning import a_machine, a_model, costs, goals, machines, models

STORIES = Path(__file__).parents[3] / "shared/assets/models/stories260K.gguf"
TINY = Shapes(layers=4, width=64, heads=4, kv_heads=2, head=32, ff_width=96, vocabulary=2000, context=1024)
PLAIN = Costs(process=(Bytes(2**20), Bytes(2**20)))


@pytest.fixture(scope="module")
def measurements(tmp_path_factory) -> Path:
    """A cache in which this machine has been measured, which takes seconds."""
    folder = tmp_path_factory.mktemp("measured")
    measured(probe(), folder, again=True)
    return folder


@pytest.fixture
def suggest(home, measurements, tmp_path):
    """Runs the real command."""
    shutil.copytree(measurements, home / "cache")

    def run(*words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            command(*words), capture_output=True, text=True, timeout=300, cwd=tmp_path, env=environment(home),
            check=False,
        )  # fmt: skip

    return run


def command(*words: str) -> list[str]:
    return [sys.executable, "-m", "accel.runtime.cli", "draft", "suggest", *words]


def environment(home: Path) -> dict[str, str]:
    clean = {name: value for name, value in os.environ.items() if not name.startswith("ACCEL_")}
    return {**clean, "ACCEL_HOME": str(home), "COLUMNS": "200"}


@pytest.fixture
def pair(tmp_path) -> tuple[Path, Path]:
    """A target, and its first layers, in a folder of their own."""
    folder = tmp_path / "pair"
    folder.mkdir()
    write_random_model(folder / "big.gguf", TINY, "Q8_0", fading=Fading(1, 0.1))
    write_random_model(folder / "small.gguf", replace(TINY, layers=1), "Q8_0")
    return folder / "big.gguf", folder / "small.gguf"


def an_adapter() -> bytes:
    """A sound file that holds no language model."""
    head = b"GGUF" + struct.pack("<IQQ", 3, 1, 1) + text("general.type") + struct.pack("<I", 8) + text("adapter")
    head += text("w") + struct.pack("<IQIQ", 1, 10, 0, 0)
    return head + b"\0" * (-len(head) % 32 + 40)


def test_models_beside_downloaded_and_named_are_found_once_and_what_is_no_model_is_left_out(pair, home, tmp_path):
    big, small = pair
    (big.parent / "notes.gguf").write_bytes(an_adapter())
    (big.parent / "cut.gguf").write_bytes(small.read_bytes()[:5000])
    elsewhere = tmp_path / "named.gguf"
    shutil.copy(demo.draft(), elsewhere)
    assert not Library().entries()
    found = {each.name: each for each in candidates(big, {str(elsewhere): elsewhere, "again": small})}
    assert set(found) == {str(elsewhere), "again", "cut.gguf"}
    assert found["again"].same_tokens and not found["again"].trouble
    assert not found[str(elsewhere)].same_tokens
    assert "not whole" in found["cut.gguf"].trouble and found["cut.gguf"].model is None
    named = candidates(big, {"notes": big.parent / "notes.gguf"})
    assert any(each.name == "notes" and each.trouble for each in named)  # it was asked about


def test_the_larger_of_two_cannot_draft_for_the_smaller(pair):
    big, small = pair
    (found,) = candidates(small, {})
    assert found.path == big and "no smaller" in found.trouble


@settings(deadline=None)  # other work on the machine only slows it down
@given(machines, models, goals, costs)
def test_what_is_left_beside_a_model_is_less_by_all_that_it_takes(machine, model, goal, known):
    plan = make_plan(machine, model, goal, known)
    if not isinstance(plan, Plan):
        return
    rest, less = beside(machine, goal, plan)
    other = make_plan(rest, a_model(layers=1, width=256), less, known)
    if isinstance(other, Plan):
        taken = sum(part.size for each in (plan, other) for part in each.memory if part.tier == "memory")
        assert taken <= machine.memory.free and (goal.memory is None or taken <= goal.memory)


def test_the_demo_models_draft_is_found_and_what_it_needs_is_said(suggest):
    done = suggest("--json")
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    (draft,) = found["drafts"]
    assert draft["name"] == demo.draft().name and draft["usable"] and draft["same_tokens"] and draft["words"]
    assert list(draft["assumed"]) == [str(share) for share in ASSUMED] and "measured" not in draft
    speeds = [each["speed_up"] for each in draft["assumed"].values()]
    assert speeds == sorted(speeds) and found["rests_on"]
    assert demo.draft().name in suggest().stdout


def test_what_another_tokenizer_and_a_larger_model_come_to_is_said(suggest, pair):
    others = [str(STORIES)] if STORIES.is_file() else []
    done = suggest(str(demo.target()), str(pair[0]), *others, "--json")
    assert done.returncode == 0, done.stderr
    found = {each["name"]: each for each in json.loads(done.stdout)["drafts"]}
    for name in others:
        assert found[name]["usable"] and not found[name]["same_tokens"]
    assert not found[str(pair[0])]["same_tokens"]
    usable = [each["usable"] for each in json.loads(done.stdout)["drafts"]]
    assert usable == sorted(usable, reverse=True)


def test_where_both_do_not_fit_it_is_said_before_anything_is_opened(suggest, pair):
    big, _ = pair
    words = (str(big), "--context", "256", "--json")
    found = json.loads(suggest(*words).stdout)
    alone, other = found["target"]["memory"], found["drafts"][0]["memory"]
    assert alone > 2**20 and other > 2**20
    done = suggest(*words, "--memory", str(alone + other // 2), "--measure")
    assert done.returncode == 0, done.stderr
    (draft,) = json.loads(done.stdout)["drafts"]
    assert not draft["usable"] and "does not fit" in draft["words"] and "beside the target" in draft["words"]
    assert "opening" not in done.stderr
    refused = suggest(str(big), "--memory", "20MiB")
    assert refused.returncode == STATUS[PlanRefused].exit and refused.stdout == ""


def test_what_is_measured_is_what_the_models_do(suggest):
    others = [str(STORIES)] if STORIES.is_file() else []
    done = suggest(str(demo.target()), *others, "--measure", "--json")
    assert done.returncode == 0, done.stderr
    found = {each["name"]: each for each in json.loads(done.stdout)["drafts"]}
    own = found[demo.draft().name]
    assert set(own["measured"]["stood"]) == {"0.0", "0.8"} and own["same_tokens"]
    assert all(0.5 < share <= 1 for share in own["measured"]["stood"].values())
    assert own["guess_seconds"] > 0 and 1 <= own["measured"]["length"] <= 8
    for name in others:  # it tells stories, and the other answers
        assert not found[name]["same_tokens"]
        assert all(share < 0.5 for share in found[name]["measured"]["stood"].values())
    assert "writing texts" in done.stderr and f"{demo.draft().name} reads along" in done.stderr


def test_what_was_measured_is_shown_to_people_too(suggest, pair):
    done = suggest(str(pair[0]), "--measure", "--context", "512")
    assert done.returncode == 0, done.stderr
    assert "by what was measured now" in done.stdout and "speed-up" in done.stdout
    assert "small.gguf: " in done.stdout and "of its guesses stand" in done.stdout


def test_a_draft_model_that_cannot_be_opened_is_said_and_the_others_are_measured(pair):
    _, small = pair
    target, draft = (make_plan(a_machine(), ModelSpec.read(path), Goal(context=256), PLAIN) for path in pair)
    assert isinstance(target, Plan) and isinstance(draft, Plan)
    lost = replace(engine_options(draft), path=str(small.parent / "lost.gguf"))
    job = DraftsJob(engine_options(target), (lost, engine_options(draft)), 12)
    found = measure(job, lambda *_: None)
    assert "lost.gguf" in found.drafts[0].trouble and found.drafts[1].guess > 0 and not found.drafts[1].trouble


def test_an_interrupt_ends_it_and_the_process_that_measures(home, measurements, pair):
    shutil.copytree(measurements, home / "cache")
    words = command(str(pair[0]), "--measure", "--context", "512")
    with subprocess.Popen(
        words, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment(home)
    ) as run:
        assert run.stderr
        for line in run.stderr:
            if line.startswith("opening the target"):
                break
        run.send_signal(signal.SIGINT)
        assert run.wait(60) == 130
    end = time.monotonic() + 10
    while measuring(run.pid) and time.monotonic() < end:
        time.sleep(0.05)
    assert not measuring(run.pid)


def measuring(parent: int) -> list[str]:
    """Processes that measure drafts for this one, which they outlive for a moment at most."""
    import psutil

    try:
        return [child.name() for child in psutil.Process(parent).children(recursive=True)]
    except psutil.NoSuchProcess:
        return []


def test_what_cannot_be_is_one_line(suggest):
    done = suggest("nothing.gguf")
    assert (done.returncode, done.stdout) == (STATUS[ModelMissing].exit, "") and "nothing.gguf" in done.stderr
    done = suggest(str(demo.target()), "nothing.gguf")
    assert done.returncode == STATUS[ModelMissing].exit and "nothing.gguf" in done.stderr.splitlines()[-1]


def test_a_target_that_ends_every_text_at_once_cannot_be_measured(pair):
    plan = make_plan(a_machine(), ModelSpec.read(pair[0]), Goal(context=256), PLAIN)
    assert isinstance(plan, Plan)
    with pytest.raises(EngineError, match="ends every text"):
        measure(DraftsJob(engine_options(plan), (), 1), lambda *_: None)
