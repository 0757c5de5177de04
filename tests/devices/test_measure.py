"""Measurements: plausible, kept per machine, believed only when whole, and nothing left behind."""

import json
import os
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import accel.devices.bandwidth as bandwidth
import accel.devices.disk_speed as disk_speed
import accel.devices.measure as measure
from accel.devices.bandwidth import read_rates
from accel.devices.machine import Memory
from accel.devices.measure import measured
from accel.devices.probe import probe
from accel.units import Bytes


@pytest.fixture(autouse=True)
def brief(monkeypatch) -> None:
    """The same work in less time: what is measured is not tested here, what becomes of it is."""
    monkeypatch.setattr(bandwidth, "_SECONDS", 0.01)
    monkeypatch.setattr(bandwidth, "_WINDOW", 0.001)
    monkeypatch.setattr(bandwidth, "_BUFFER", Bytes.from_mib(16))
    monkeypatch.setattr(bandwidth, "_LEAST", Bytes.from_mib(16))
    monkeypatch.setattr(disk_speed, "_FILE", Bytes.from_mib(4))
    monkeypatch.setattr(measure, "is_busy", lambda: False)  # whatever else this machine does


def test_this_machines_memory_and_disk_are_measured(tmp_path: Path) -> None:
    machine = measured(probe(), tmp_path)
    rates = machine.processor.bandwidth
    assert len(rates) == machine.processor.threads
    assert all(1e8 < rate < 1e13 for rate in rates)
    assert any(disk.read and 1e5 < disk.read < 1e12 for disk in machine.disks)


def test_only_the_measurement_is_left_in_the_cache(tmp_path: Path) -> None:
    machine = measured(probe(), tmp_path)
    assert [file.name for file in tmp_path.iterdir()] == [f"measured-1-{machine.fingerprint}.json"]


def test_what_is_kept_is_not_measured_again_unless_asked(tmp_path: Path) -> None:
    first = measured(probe(), tmp_path)
    (file,) = tmp_path.iterdir()
    file.write_text(json.dumps(json.loads(file.read_text()) | {"read": 12345.0}))
    said: list[str] = []
    assert 12345.0 in [disk.read for disk in measured(probe(), tmp_path, say=said.append).disks]
    assert said == []
    renewed = measured(probe(), tmp_path, again=True, say=said.append)
    assert 12345.0 not in [disk.read for disk in renewed.disks] and len(said) == 2
    assert renewed.fingerprint == first.fingerprint


@pytest.mark.parametrize("busy", [(True,), (False, True)], ids=["before", "after"])
def test_what_was_measured_on_a_busy_machine_serves_and_is_not_kept(tmp_path: Path, monkeypatch, busy) -> None:
    seen = iter(busy)
    monkeypatch.setattr(measure, "is_busy", lambda: next(seen))
    said: list[str] = []
    warned: list[str] = []
    machine = measured(probe(), tmp_path, say=said.append, warn=warned.append)
    assert machine.processor.bandwidth and any(disk.read for disk in machine.disks)
    assert len(warned) == 1 and "busy" in warned[0] and not any("busy" in line for line in said)
    assert list(tmp_path.iterdir()) == []
    monkeypatch.setattr(measure, "is_busy", lambda: False)
    measured(probe(), tmp_path, say=said.append)
    assert len(said) == 4 and len(list(tmp_path.iterdir())) == 1


def test_who_asks_for_a_measurement_gets_it_kept_on_a_busy_machine_too(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(measure, "is_busy", lambda: True)
    said: list[str] = []
    measured(probe(), tmp_path, again=True, say=said.append)
    assert len(list(tmp_path.iterdir())) == 1 and not any("busy" in line for line in said)


def test_only_what_others_compute_makes_a_machine_busy(monkeypatch) -> None:
    monkeypatch.undo()  # the real one is tested
    spin = "print(1, flush=True)\nwhile True: pass"
    with subprocess.Popen([sys.executable, "-c", spin], stdout=subprocess.PIPE) as child:
        assert child.stdout and child.stdout.readline()
        before = measure._own_seconds()
        time.sleep(0.2)
        own = measure._own_seconds()
        child.kill()
    assert own > before
    assert measure._own_seconds() >= own  # of a child that has ended too
    for used, before, after, busy in (
        (0.0, 0.0, 0.0, False),
        (100.0, 0.0, 0.0, True),
        (100.0, 0.0, 1000.0, False),
        (0.0, 1000.0, 0.0, False),  # a child ended unseen
    ):
        seconds = iter([before, after])
        monkeypatch.setattr("psutil.cpu_percent", lambda interval, used=used: time.sleep(0.01) or used)
        monkeypatch.setattr(measure, "_own_seconds", lambda seconds=seconds: next(seconds))
        assert measure.is_busy() is busy


def test_a_cache_on_a_disk_that_probe_does_not_know_is_a_disk_too(tmp_path: Path) -> None:
    (disk,) = measured(replace(probe(), disks=()), tmp_path).disks
    assert disk.path == str(tmp_path) and disk.read and disk.total >= disk.free > 0


def test_every_disk_stays(tmp_path: Path) -> None:
    machine = probe()
    assert {disk.path for disk in machine.disks} <= {disk.path for disk in measured(machine, tmp_path).disks}


def test_other_hardware_is_measured_for_itself(tmp_path: Path) -> None:
    machine = probe()
    measured(machine, tmp_path)
    measured(replace(machine, processor=replace(machine.processor, name="another")), tmp_path)
    assert len(list(tmp_path.iterdir())) == 2


@settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(
    part=st.floats(0, 0.99),
    rates=st.lists(st.floats(-1, 0), max_size=4),
    kind=st.sampled_from(["cut", "wrong", "zeros", "list", "null"]),
)
def test_a_damaged_cache_is_measured_again(tmp_path: Path, part: float, rates: list[float], kind: str) -> None:
    machine = probe()
    whole = measured(machine, tmp_path)
    (file,) = tmp_path.iterdir()
    good = file.read_bytes()
    wrong = json.dumps(json.loads(good) | {"bandwidth": rates}).encode()
    cut = good[: int(part * len(good))]
    damaged = {"cut": cut, "wrong": wrong, "zeros": bytes(len(good)), "list": b"[]", "null": b"null"}
    file.write_bytes(damaged[kind])
    said: list[str] = []
    again = measured(machine, tmp_path, say=said.append)
    assert said and len(again.processor.bandwidth) == len(whole.processor.bandwidth)
    assert all(rate > 0 for rate in json.loads(file.read_bytes())["bandwidth"])


FULL = """
import resource
from pathlib import Path
import accel.devices.bandwidth as bandwidth
from accel.devices.machine import Memory
from accel.devices.measure import measured
from accel.devices.probe import probe
bandwidth._SECONDS, bandwidth._BUFFER, bandwidth._LEAST = 0.01, 1 << 24, 1 << 24
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
machine = measured(probe(), Path("."))
print(len(machine.processor.bandwidth) > 0, {disk.read for disk in machine.disks})
"""


@pytest.mark.skipif(os.name != "posix", reason="needs a limit on file sizes")
def test_a_disk_without_room_is_left_unmeasured_and_clean(tmp_path: Path) -> None:
    done = subprocess.run([sys.executable, "-c", FULL], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "True {None}" and done.stderr == ""
    assert list(tmp_path.iterdir()) == []


KILLED = """
import accel.devices.disk_speed as speed, os, signal
from pathlib import Path
write = speed._write
def die(file, blocks):
    write(file, 4)
    os.kill(os.getpid(), signal.SIGKILL)
speed._write = die
speed.disk_speed(Path("."), 1 << 26)
"""


@pytest.mark.skipif(os.name != "posix", reason="needs SIGKILL")
def test_a_measurement_that_is_killed_leaves_nothing(tmp_path: Path) -> None:
    done = subprocess.run([sys.executable, "-c", KILLED], cwd=tmp_path, capture_output=True)
    assert done.returncode == -9 and list(tmp_path.iterdir()) == []


def test_a_file_system_without_direct_reads_is_measured_through_the_cache(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.delattr(os, "O_DIRECT", raising=False)
    speed = disk_speed.disk_speed(tmp_path, Bytes.from_mib(4))
    assert not speed.direct and speed.read > 0 and list(tmp_path.iterdir()) == []


def test_with_hardly_any_memory_free_nothing_is_measured_or_kept(tmp_path: Path) -> None:
    assert read_rates(2, Bytes.from_mib(1)) == ()
    machine = probe()
    tight = replace(machine, memory=Memory(machine.memory.total, Bytes.from_mib(40)))
    assert measured(tight, tmp_path).processor.bandwidth == () and list(tmp_path.iterdir()) == []


@given(st.integers(1, 40))
@settings(max_examples=5, deadline=None)
def test_there_is_a_rate_for_every_number_of_threads(threads: int) -> None:
    assert len(read_rates(threads, Bytes.from_mib(64))) == threads


def test_a_platform_with_none_of_the_calls_is_probed_and_measured_all_the_same(tmp_path: Path, monkeypatch) -> None:
    for name in ("O_DIRECT", "preadv", "posix_fadvise", "O_CLOEXEC", "sched_getaffinity"):
        monkeypatch.delattr(os, name, raising=False)
    monkeypatch.setattr("ctypes.CDLL", lambda *_, **__: None)
    machine = probe(tmp_path)
    assert not machine.can_move_pages and not machine.can_read_directly
    known = measured(machine, tmp_path)
    assert known.processor.bandwidth and not any(disk.direct for disk in known.disks)
    assert any(disk.read for disk in known.disks)
