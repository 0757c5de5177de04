"""How much of the machine models may use."""

from types import SimpleNamespace

import psutil
import pytest

from accel.runtime.planning import goal_of
from accel.runtime.serve import run
from accel.runtime.serve.power import on_battery, power_now
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


def test_power_follows_the_battery_unless_it_was_asked_for_by_name(monkeypatch):
    unplugged = True
    monkeypatch.setattr(run, "on_battery", lambda: unplugged)
    power = run.power_by(Settings())
    assert power() == "eco"
    unplugged = False
    assert power() == "balanced"
    assert run.power_by(Settings(power="full"))() == "full"
    assert run.power_by(Settings(power="eco"))() == "eco"


@pytest.mark.parametrize(("wanted", "planned"), [("eco", "eco"), ("full", "full"), ("auto", "balanced")])
def test_a_plan_is_made_for_it_and_batteries_are_for_others_to_look_at(wanted, planned):
    assert goal_of(Settings(power=wanted)).power == planned
