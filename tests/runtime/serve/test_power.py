"""How much of the machine models may use."""

from types import SimpleNamespace

import psutil
import pytest

from accel.devices.machine import Processor
from accel.runtime.serve import run
from accel.runtime.serve.power import on_battery, power_now, threads_of
from accel.runtime.settings import Settings


@pytest.mark.parametrize(
    ("wanted", "battery", "now"),
    [
        ("auto", False, "balanced"),
        ("auto", True, "eco"),
        ("eco", False, "eco"),
        ("balanced", True, "balanced"),
        ("full", True, "full"),
    ],
)
def test_auto_spares_the_battery_and_what_is_asked_for_by_name_holds(wanted, battery, now):
    assert power_now(wanted, battery) == now


def test_eco_takes_half_of_the_cores_full_every_thread_and_balanced_is_the_plans():
    assert [threads_of("eco", cores, 2 * cores) for cores in (1, 2, 3, 8)] == [1, 1, 1, 4]
    assert threads_of("full", 8, 16) == 16
    assert threads_of("balanced", 8, 16) is None


@pytest.mark.parametrize(
    ("battery", "lives_on_it"),
    [(None, False), (SimpleNamespace(power_plugged=True), False), (SimpleNamespace(power_plugged=None), False),
     (SimpleNamespace(power_plugged=False), True)],
)  # fmt: skip
def test_only_a_battery_that_is_not_plugged_in_is_lived_on(monkeypatch, battery, lives_on_it):
    monkeypatch.setattr(psutil, "sensors_battery", lambda: battery, raising=False)
    assert on_battery() is lives_on_it


def test_a_system_that_cannot_tell_has_no_battery(monkeypatch):
    monkeypatch.delattr(psutil, "sensors_battery", raising=False)
    assert not on_battery()


def test_threads_follow_the_power_unless_their_number_was_asked_for(monkeypatch):
    processor, unplugged = Processor("any", 8, 16), True
    monkeypatch.setattr(run, "on_battery", lambda: unplugged)
    threads = run.threads_by(Settings(), processor)
    assert threads() == 4
    unplugged = False
    assert threads() is None
    assert run.threads_by(Settings(power="full"), processor)() == 16
    assert run.threads_by(Settings(power="eco", threads=3), processor)() == 3
