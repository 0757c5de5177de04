"""Costs are measured once, in a process of their own, and kept; what is damaged is measured again."""

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from accel.devices.files import take_room
from accel.devices.probe import probe
from accel.errors import DiskFull, EngineError, ModelUnsupported
from accel.runtime import calibrate
from accel.runtime.calibrate import keep_rows, known_costs, time_kernels
from accel.runtime.costs import Kernel, Look, Overhead, RowTimes
from accel.runtime.measure_costs import KernelResult
from accel.runtime.model import ModelSpec
from accel.runtime.plan import Plan, make_plan
from accel.runtime.probe_model import ProbeShape, write_probe
from accel.runtime.search import Goal, placements_to_try
from accel.units import Rate

MACHINE = probe()
GOAL = Goal(context=1024)


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """A model of zeros that the engine takes for a real one."""
    path = tmp_path_factory.mktemp("model") / "probe.gguf"
    write_probe(path, ProbeShape("Q4_0", width=256, layers=32))
    return ModelSpec.read(path)


@pytest.fixture(scope="module")
def first(model, tmp_path_factory):
    """(cache, costs) of a first look."""
    cache = tmp_path_factory.mktemp("cache")
    return cache, known_costs(MACHINE, model, GOAL, cache)


def kept(cache: Path) -> Path:
    (file,) = (cache / "costs").glob("model-*.json")
    return file


def no_child(*_: object) -> None:
    raise AssertionError("measured again")


def test_a_probe_model_is_as_large_as_it_says_and_takes_no_room_on_the_disk(tmp_path):
    shape = ProbeShape("Q8_0", width=512, layers=3)
    write_probe(tmp_path / "probe.gguf", shape)
    model = ModelSpec.read(tmp_path / "probe.gguf")
    assert model.bytes_by_format["Q8_0"] == shape.size == model.bytes_of("attention") + model.bytes_of("dense")
    about = tmp_path / "probe.gguf"
    assert about.stat().st_blocks * 512 < about.stat().st_size / 4
    assert shape.of_size(shape.size * 5).layers == 15


def test_every_buffer_that_a_plan_may_weigh_was_asked_of_the_engine(model, first):
    _, costs = first
    asked = {(run.context, run.kv_type, run.ubatch, run.outputs): run.size for run in costs.dry_runs}
    for placement in placements_to_try(model, GOAL):
        assert asked[placement.context, placement.kv_type, placement.ubatch, placement.outputs] > 0
    assert all(size > 2**20 for size in costs.process)
    assert isinstance(make_plan(MACHINE, model, GOAL, costs), Plan)


def test_a_second_look_asks_no_engine_and_another_goal_only_for_what_is_new(model, first, monkeypatch):
    cache, costs = first
    with monkeypatch.context() as patch:
        patch.setattr(calibrate, "_child", no_child)
        assert known_costs(MACHINE, model, GOAL, cache) == costs
    asked = []
    child = calibrate._child
    monkeypatch.setattr(calibrate, "_child", lambda what, job, kind: asked.append(job) or child(what, job, kind))
    known_costs(MACHINE, model, replace(GOAL, context=2048), cache)
    assert {options.context for job in asked for options in job.options} == {2048}


@pytest.mark.parametrize("damage", [b"{", b'{"dry_runs": 7}'])
def test_a_damaged_cache_is_measured_again(model, first, tmp_path, damage):
    cache, costs = first
    name = kept(cache).name
    (tmp_path / "costs").mkdir()
    (tmp_path / "costs" / name).write_bytes(damage)
    again = known_costs(MACHINE, model, GOAL, tmp_path)
    assert {run for run in again.dry_runs} <= {run for run in costs.dry_runs}
    assert known_costs(MACHINE, model, GOAL, tmp_path) == again


def test_rows_that_a_worker_measured_are_kept_and_replaced(model, tmp_path):
    known_costs(MACHINE, model, GOAL, tmp_path)
    slow, fast = (RowTimes(2, True, (1, 2), seconds) for seconds in ((3.0, 4.0), (1.0, 2.0)))
    other = RowTimes(1, True, (1, 2), (5.0, 6.0))
    for times in (slow, other, fast):
        keep_rows(MACHINE, model, times, tmp_path)
    assert known_costs(MACHINE, model, GOAL, tmp_path).rows == (other, fast)


def test_what_the_engine_says_to_a_header_is_raised_here(model, tmp_path):
    path = tmp_path / "strange.gguf"
    raw = model.path.read_bytes().replace(b"llama", b"lxama")
    path.write_bytes(raw)
    with pytest.raises(ModelUnsupported, match="lxama"):
        known_costs(MACHINE, ModelSpec.read(path), GOAL, tmp_path)


def test_a_child_that_dies_or_hangs_is_an_engine_error(model, tmp_path, monkeypatch):
    monkeypatch.setattr(calibrate.sys, "executable", "/bin/false")
    with pytest.raises(EngineError, match="exit code 1"):
        known_costs(MACHINE, model, GOAL, tmp_path)
    monkeypatch.setattr(calibrate.sys, "executable", "/nowhere/python")
    with pytest.raises(EngineError):
        known_costs(MACHINE, model, GOAL, tmp_path)
    assert not list(tmp_path.rglob("*.json"))


def test_kernels_are_timed_only_when_the_machine_is_calm_and_only_once(model, first, monkeypatch):
    cache, costs = first
    monkeypatch.setattr(calibrate, "_child", no_child)
    monkeypatch.setattr(calibrate, "is_busy", lambda: True)
    assert time_kernels(MACHINE, model, costs, cache) is costs
    monkeypatch.setattr(calibrate, "is_busy", lambda: False)
    asked = []

    def child(what, job, kind):
        asked.append(job.formats)
        rates = [Kernel(format, False, 1, Rate(2e9), Rate(1e9), Rate(3e9)) for format in job.formats]
        looks = tuple(Look(head, 1, 4e-8, 3e-8) for head in job.heads)
        return KernelResult(tuple(rates), ("Q4_0",), {1: Overhead(1e-4, 1e-5, 1e-5)}, looks)

    monkeypatch.setattr(calibrate, "_child", child)
    timed = time_kernels(MACHINE, model, costs, cache)
    assert asked == [("Q4_0",)] and timed.repacked["Q4_0"] > 0
    again = known_costs(MACHINE, model, GOAL, cache)
    assert (again.kernels, again.overhead, again.looks) == (timed.kernels, timed.overhead, timed.looks)
    assert [look.head for look in again.looks] == [model.key_size]
    assert time_kernels(MACHINE, model, again, cache) is again and len(asked) == 1


@pytest.fixture
def calm(monkeypatch):
    monkeypatch.setattr(calibrate, "is_busy", lambda: False)


def test_a_child_that_dies_is_told_by_what_it_did(model, first, monkeypatch, calm):
    cache, costs = first
    monkeypatch.setattr(calibrate.sys, "executable", "/bin/false")
    with pytest.raises(EngineError, match="while its kernels were timed"):
        time_kernels(MACHINE, model, replace(costs, kernels=(), looks=()), cache)
    with pytest.raises(EngineError, match="while its buffers were measured"):
        known_costs(MACHINE, model, replace(GOAL, context=4096), cache)


def test_without_room_for_what_is_timed_a_plan_goes_on_untimed(model, first, monkeypatch, calm, tmp_path):
    cache, costs = first[0], replace(first[1], kernels=(), looks=())

    def full(*_):
        raise DiskFull("no room for /x", "free some space")

    said = []
    monkeypatch.setattr(calibrate, "_child", full)
    assert time_kernels(MACHINE, model, costs, cache, say=said.append) is costs
    assert "not timed: no room for /x; free some space" in said[-1]
    assert time_kernels(MACHINE, model, costs, tmp_path / "absent", say=said.append) is costs
    assert "not timed: cannot write" in said[-1]


def test_what_was_timed_holds_where_it_cannot_be_kept(model, first, monkeypatch, calm):
    cache, costs = first[0], replace(first[1], kernels=(), looks=())
    found = KernelResult((Kernel("Q4_0", False, 1, Rate(2e9), Rate(1e9), Rate(3e9)),), (), {}, ())
    monkeypatch.setattr(calibrate, "_child", lambda *_: found)

    def full(*_):
        raise DiskFull("no room for /x", "free some space")

    said = []
    monkeypatch.setattr(calibrate, "write_atomic", full)
    assert time_kernels(MACHINE, model, costs, cache, say=said.append).kernels == found.kernels
    assert "not kept: no room" in said[-1]


SMALL_DISK = """
import sys
from pathlib import Path
from accel.devices.probe import probe
from accel.runtime import calibrate
from accel.runtime.costs import usual_costs
from accel.runtime.model import ModelSpec
calibrate.is_busy = lambda: False
machine, cache = probe(), Path(sys.argv[2])
costs = calibrate.time_kernels(machine, ModelSpec.read(Path(sys.argv[1])), usual_costs(machine), cache, say=print)
print(len(costs.kernels), list(cache.iterdir()))
"""


@pytest.mark.parametrize("taken", [0, 2**20], ids=["small", "full"])
def test_a_small_disk_in_memory_ends_no_child_by_a_signal(model, tmp_path, taken):
    (tmp_path / "cache").mkdir()
    mount = 'mount -t tmpfs -o size=1m none "$0" && { head -c $1 /dev/zero >"$0/x" || :; } && shift && exec "$@"'
    small = ["unshare", "--mount", "sh", "-c", mount, str(tmp_path / "cache"), str(taken)]
    if subprocess.run([*small, "true"], capture_output=True, check=False).returncode:
        pytest.skip("a disk of 1 MiB cannot be mounted here")
    words = [*small, sys.executable, "-c", SMALL_DISK, str(model.path), str(tmp_path / "cache")]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "not timed: no room for" in done.stdout and "free some space on the disk that holds" in done.stdout
    assert done.stdout.splitlines()[-1].startswith("0 [") and "probe-" not in done.stdout.splitlines()[-1]


def test_a_sparse_file_has_its_room_taken_or_is_refused(tmp_path, monkeypatch):
    path = tmp_path / "sparse"
    path.touch()
    os.truncate(path, 2**20)
    with path.open("r+b") as file:
        take_room(file, tmp_path, 2**20)
    assert path.stat().st_blocks * 512 >= 2**20 and not any(path.read_bytes())
    monkeypatch.delattr(os, "posix_fallocate", raising=False)  # as where there is no such call
    with path.open("r+b") as file:
        take_room(file, tmp_path, 2**20)
        with pytest.raises(OSError, match="No space left"):
            take_room(file, tmp_path, 2**43)


@pytest.mark.heavy
def test_kernels_are_timed_on_probe_models_which_are_removed(model, tmp_path, monkeypatch):
    monkeypatch.setattr(calibrate, "is_busy", lambda: False)
    timed = time_kernels(MACHINE, model, known_costs(MACHINE, model, GOAL, tmp_path), tmp_path)
    assert {kernel.format for kernel in timed.kernels} == {"Q4_0"}
    assert {kernel.threads for kernel in timed.kernels} == {1, MACHINE.processor.cores} == set(timed.overhead)
    assert all(kernel.cached >= kernel.streamed > 0 and kernel.batched > 0 for kernel in timed.kernels)
    assert not list(tmp_path.glob("probe-*"))
