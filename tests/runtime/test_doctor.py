"""The doctor: says what is there, believes an engine only when it ran, and survives one that does not."""

import json
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import accel.devices.bandwidth as bandwidth
import accel.devices.disk_speed as disk_speed
import accel.devices.measure as measuring
import accel.runtime.doctor as doctor
from accel.devices.cards import card_names, load_card
from accel.devices.machine import Machine, Memory
from accel.errors import STATUS, EngineError
from accel.runtime.prove import Proof, _best, prove
from accel.units import Bytes

RAN = Proof("llamacpp", True, 0.3, "read 5 tokens and decoded one")
BROKEN = Proof("llamacpp", False, 0.1, "its process was ended by signal 4")


def text(machine: Machine, *proofs: Proof) -> str:
    return "\n".join(f"{what}: {value}" for what, value in doctor.rows(machine, proofs))


@pytest.mark.parametrize("name", card_names())
def test_every_fact_of_a_machine_is_shown(name: str) -> None:
    machine = load_card(name)
    shown = text(machine, RAN)
    sizes = [machine.memory.total, machine.memory.free]
    sizes += [size for a in machine.accelerators for size in (a.memory, a.free)]
    sizes += [size for d in machine.disks for size in (d.total, d.free)]
    rates = [machine.processor.bandwidth[0], machine.processor.bandwidth[-1], *(d.read for d in machine.disks)]
    assert all(str(fact) in shown for fact in (*sizes, *rates, machine.processor.name))
    assert all(feature in shown for feature in machine.processor.features)
    assert ("shared with the processor" in shown) == any(a.unified for a in machine.accelerators)


def test_what_is_not_known_is_said() -> None:
    card = load_card("laptop-16gb")
    bare = replace(card, processor=replace(card.processor, bandwidth=(), features=()), disks=())
    assert "read speed not measured" in text(bare) and "disks: none found" in text(bare)
    assert "free; read speed not measured" in text(replace(card, disks=(replace(card.disks[0], read=None),)))


def test_the_one_who_limits_the_memory_is_named() -> None:
    machine = replace(load_card("laptop-16gb"), memory=Memory(Bytes(100), Bytes(50), "cgroup v2 /box memory.max"))
    assert "cgroup v2 /box memory.max" in text(machine)


def test_an_engine_that_did_not_run_stands_out() -> None:
    assert "llamacpp: ran" in text(load_card("laptop-16gb"), RAN)
    assert "llamacpp: DID NOT RUN; its process was ended by signal 4" in text(load_card("laptop-16gb"), BROKEN)


@pytest.mark.parametrize("engine", ["llamacpp", "fake"])
def test_the_engines_of_this_version_run_here(engine: str) -> None:
    proof = prove(engine)
    assert proof.ran, proof.why


def test_an_engine_that_is_not_there_is_told_in_its_own_words() -> None:
    proof = prove("abacus")
    assert not proof.ran and "'abacus' is no engine" in proof.why


def program(folder: Path, does: str) -> str:
    path = folder / "python"
    path.write_text(f"#!/bin/sh\n{does}\n")
    path.chmod(0o700)
    return str(path)


@pytest.mark.skipif(sys.platform == "win32", reason="needs a shell")
@pytest.mark.parametrize(
    ("does", "says"),
    [
        ("kill -ILL $$", "built for another processor"),
        ("kill -ABRT $$", "signal 6"),
        ("echo some noise >&2; echo ImportError: no such library >&2; exit 1", "ImportError: no such library"),
        ("exit 3", "ended with 3"),
        ("exec sleep 30", "did not answer within 0.3 s"),
    ],
)
def test_an_engine_that_dies_or_hangs_is_outlived(does: str, says: str, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(sys, "executable", program(tmp_path, does))
    proof = prove("llamacpp", limit=0.3 if "sleep" in does else 30)
    assert not proof.ran and says in proof.why


class Logits:
    def __init__(self, values: list[float]) -> None:
        self.values = values

    def row(self, i: int) -> np.ndarray:
        return np.array(self.values, np.float32)


@pytest.mark.parametrize("values", [[np.nan, 1, 2], [np.inf, 1, 2], [0, 0, 0], [1, 2]])
def test_logits_of_a_model_that_does_not_work_prove_nothing(values: list[float]) -> None:
    assert _best(Logits([0, 2, 1]), 0, 3) == 1
    with pytest.raises(EngineError):
        _best(Logits(values), 0, 3)


@pytest.fixture
def home(tmp_path: Path, monkeypatch) -> Path:
    """An own home for measurements, which are brief here."""
    monkeypatch.setenv("ACCEL_HOME", str(tmp_path))
    monkeypatch.setattr(bandwidth, "_SECONDS", 0.01)
    monkeypatch.setattr(bandwidth, "_BUFFER", Bytes.from_mib(16))
    monkeypatch.setattr(bandwidth, "_LEAST", Bytes.from_mib(16))
    monkeypatch.setattr(disk_speed, "_FILE", Bytes.from_mib(4))
    monkeypatch.setattr(measuring, "is_busy", lambda: False)
    return tmp_path


def test_a_busy_machine_is_told_in_one_line_on_stderr_unless_it_is_to_be_measured(home: Path, capsys, monkeypatch):
    monkeypatch.setattr(doctor, "ENGINES", {"fake": "FakeOptions"})
    monkeypatch.setattr(measuring, "is_busy", lambda: True)
    assert doctor.run(json=True) == 0
    out, err = capsys.readouterr()
    assert json.loads(out)["machine"]["processor"]["bandwidth"]
    assert "busy" in err and len(err.splitlines()) == 1
    assert not list(home.rglob("measured-*"))
    assert doctor.run(json=True, measure=True) == 0
    assert capsys.readouterr().err == "" and list(home.rglob("measured-*"))


def test_json_is_one_object_with_a_machine_in_it(home: Path, capsys, monkeypatch) -> None:
    monkeypatch.setattr(doctor, "ENGINES", {"fake": "FakeOptions"})
    assert doctor.run(json=True) == 0
    out, err = capsys.readouterr()
    said = json.loads(out)
    machine = Machine.from_json(json.dumps(said["machine"]).encode())
    assert len(machine.processor.bandwidth) == machine.processor.threads
    assert said["fingerprint"] == machine.fingerprint
    assert [(engine["engine"], engine["ran"]) for engine in said["engines"]] == [("fake", True)]
    assert err == ""


def test_the_table_is_the_rows_and_a_failed_engine_fails_the_doctor(home: Path, capsys, monkeypatch) -> None:
    monkeypatch.setattr(doctor, "ENGINES", {"abacus": "Beads"})
    assert doctor.run() == STATUS[EngineError].exit
    out, _ = capsys.readouterr()
    assert "abacus: DID NOT RUN" in out and "processor" in out and "memory" in out
