"""`accel plan` prints what a model needs, tier by tier, and says why it does not fit."""

import pytest

from accel.devices.cards import load_card
from accel.devices.probe import probe
from accel.errors import ModelMissing, PlanRefused, UsageError
from accel.runtime import calibrate, show_plan
from accel.runtime.footprint import MEMORY, Allocation, total
from accel.runtime.plan import Plan, Refusal, make_plan
from accel.runtime.planning import refused
from accel.runtime.probe_model import ProbeShape, write_probe
from accel.runtime.search import Goal
from accel.runtime.settings import resolve
from accel.units import Bytes, from_json

from .planning import MIB, a_machine, a_model
from .test_plan import COSTS, planned


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    return tmp_path_factory.mktemp("home")


@pytest.fixture
def plan(home, monkeypatch):
    """Runs `accel plan` for a model of zeros."""
    monkeypatch.setenv("ACCEL_HOME", str(home))
    monkeypatch.setattr(show_plan, "this_machine", lambda say: probe())
    monkeypatch.setattr(calibrate, "is_busy", lambda: True)  # no kernels are timed
    write_probe(home / "probe.gguf", ProbeShape("Q4_0", width=256, layers=32))

    def run(machine=None, explain=False, json=False, **flags):
        settings = resolve({"model": str(home / "probe.gguf"), **flags}, {}, home / "absent.toml")
        return show_plan.run(settings, machine, explain, json)

    return run


def test_a_plan_shows_every_part_every_choice_and_both_speeds(plan, capsys):
    assert plan(context="1024", explain=True) == 0
    shown = capsys.readouterr().out
    for words in ("weights", "KV cache", "compute buffer", "mapped", "█", "as asked", "prefill", "decode", "tokens/s"):
        assert words in shown


def test_small_parts_share_a_line_and_the_process_for_templates_has_its_own(plan, capsys):
    assert plan(context="1024") == 0
    shown = capsys.readouterr().out
    assert "template process" in shown and "small parts" in shown and "text and tokens" not in shown
    assert plan(context="1024", json=True) == 0
    assert "text and tokens" in capsys.readouterr().out


def test_json_is_the_plan_itself(plan, capsys):
    assert plan(context="1024", json=True) == 0
    found = from_json(capsys.readouterr().out.encode(), Plan)
    assert found.choices["context"].value == 1024 and found.model.layers == 32


def test_with_drafting_the_curve_of_memory_against_speed_up_is_shown_and_what_is_chosen_on_it(plan, capsys):
    assert plan(context="1024", explain=True, drafting="yes") == 0
    shown = capsys.readouterr().out
    for words in ("draft nodes", "more memory", "chosen", "drafters' tables", "draft model", "none was named"):
        assert words in shown
    assert plan(context="1024", json=True, drafting="yes") == 0
    found = from_json(capsys.readouterr().out.encode(), Plan)
    nodes = found.choices["draft_nodes"].value
    assert nodes in [point.nodes for point in found.drafting]
    assert [point.memory for point in found.drafting] == sorted(point.memory for point in found.drafting)


def test_a_draft_model_is_planned_for_with_its_own_buffers(plan, home, capsys):
    write_probe(home / "draft.gguf", ProbeShape("Q4_0", width=256, layers=1))
    flags = {"context": "1024", "drafting": "yes", "draft_model": str(home / "draft.gguf")}
    assert plan(json=True, **flags) == 0
    found = from_json(capsys.readouterr().out.encode(), Plan)
    assert any(point.model for point in found.drafting) and found.choices["draft_model"].reason
    assert plan(machine="desktop-rtx3060", explain=True, **flags) == 0
    assert "with the model" in capsys.readouterr().out
    with pytest.raises(ModelMissing):
        plan(**{**flags, "draft_model": "nowhere.gguf"})


def test_a_card_is_planned_for_with_its_own_memory(plan, capsys):
    assert plan(machine="desktop-rtx3060") == 0
    shown = capsys.readouterr().out
    card = load_card("desktop-rtx3060").accelerators[0]
    assert card.name in shown and str(card.free) in shown


def test_no_name_is_no_name_of_a_card(plan):
    with pytest.raises(UsageError, match="no machine card ''"):
        plan(machine="")


def test_what_does_not_fit_is_an_error_of_one_line_and_json_all_the_same(plan, capsys):
    with pytest.raises(PlanRefused) as raised:
        plan(memory="10MB", json=True)
    refusal = from_json(capsys.readouterr().out.encode(), Refusal)
    assert refusal == raised.value.refusal
    assert "\n" not in str(raised.value) and "--memory" in raised.value.do
    asked = Bytes.parse(raised.value.do.split("--memory ")[1].split(",")[0])
    assert plan(memory=str(int(asked))) == 0


def test_a_refusal_names_every_way_out():
    model = a_model(layers=16, width=2048, format="Q8_0")
    need = total(planned(a_machine(), model, Goal(context=256), COSTS).memory)[MEMORY]
    refusal = make_plan(a_machine(), model, Goal(context=32768, memory=Bytes(need + 40 * MIB)), COSTS)
    assert isinstance(refusal, Refusal)
    said = refused(model.path, refusal)
    assert "model.gguf" in said.what and "--context" in said.do and "--memory" in said.do and "take its Q" in said.do


@pytest.mark.parametrize("size", [0, 1, 10, 4096, 10**6])
def test_a_bar_is_as_long_as_what_is_free_and_shows_the_least(size):
    parts = [Allocation(MEMORY, "a", Bytes(size), "mapped"), Allocation(MEMORY, "b", Bytes(1), "anonymous")]
    text = str(show_plan.bar(parts, Bytes(4096)))
    assert len(text) in (48, 49) and text.count("█") >= (2 if size else 1)
