"""What was measured of stand-ins lies beside them, and is believed only where it can be theirs and sound."""

import os
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from accel.exporters.experts import export_experts as export
from accel.offload.planes import sidecar_of
from accel.runtime import demo
from accel.runtime.engines.options import READERS
from accel.runtime.model import ModelSpec
from accel.runtime.quality import Quality
from accel.runtime.quality_file import load_qualities, quality_file_of, save_qualities, stand_ins_of
from accel.units import to_json

from .planning import a_quality

MODEL, THEIRS = "0" * 32, "1" * 32


@pytest.fixture
def path(tmp_path) -> Path:
    return tmp_path / "moe.low.gguf"


def write(path: Path, *qualities: Quality) -> None:
    save_qualities(path, qualities)


def test_what_was_measured_is_read_back_from_beside_the_stand_ins(path):
    measured = (a_quality(0.25), a_quality(0.4), a_quality(0.25, deterministic=True, low=0.8))
    assert save_qualities(path, measured) == path.with_name("moe.low.json")
    assert load_qualities(path, MODEL, THEIRS) == (measured, "")
    assert [file.name for file in path.parent.iterdir()] == ["moe.low.json"]


def test_without_a_file_nothing_was_measured(path):
    assert load_qualities(path, MODEL, THEIRS) == ((), "what its stand-ins cost was never measured")


@pytest.mark.parametrize("other", [{"model": "2" * 32}, {"stand_ins": "2" * 32}], ids=["model", "stand-ins"])
def test_of_another_model_or_other_stand_ins_it_is_ignored_and_said(path, other):
    write(path, a_quality(0.25), a_quality(0.4, **other))
    found, why = load_qualities(path, MODEL, THEIRS)
    assert not found and "moe.low.json was measured on another model" in why


@pytest.mark.parametrize(
    "measured",
    [
        (a_quality(0.25, kl=1e9),),
        (a_quality(0.25), a_quality(0.4, served_low=1.5)),
        (a_quality(0.25), a_quality(0.25)),
        (a_quality(0.25), a_quality(0.4, low=0.9)),
        tuple(a_quality(0.01 * (i + 1)) for i in range(65)),
    ],
    ids=["loss", "share", "twice", "thresholds", "many"],
)
def test_what_cannot_have_been_measured_is_ignored_and_said(path, measured):
    write(path, *measured)
    found, why = load_qualities(path, MODEL, THEIRS)
    assert not found and why.startswith("moe.low.json ")


@pytest.mark.parametrize(
    "raw",
    [
        b"", b"null", b"{}", b"[[]]", b"[" * 100_000, b"\xff\xfe", b'[{"low": 1e999}]', b" " * (2**20 + 1),
        to_json([a_quality()])[:-2], to_json([a_quality()]).replace(b'"kl":0.004', b'"kl":NaN'),
        to_json([a_quality()]).replace(b'"tokens":512', b'"tokens":' + b"9" * 5000),
        to_json([a_quality()]).replace(b'"read":700000', b'"read":1e300'),
        to_json([a_quality()]).replace(b'"read":700000', b'"read":"much"'),
    ],
    ids=range(13),
)  # fmt: skip
def test_a_hostile_file_is_ignored_and_said(path, raw):
    quality_file_of(path).write_bytes(raw)
    found, why = load_qualities(path, MODEL, THEIRS)
    assert not found and why.startswith("moe.low.json ")


@given(st.binary(max_size=300), st.integers(0, 10**6))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_no_damage_of_a_file_raises(path, noise, at):
    raw = bytearray(to_json([a_quality(0.25), a_quality(0.4)]))
    at %= len(raw)
    raw[at : at + len(noise)] = noise
    quality_file_of(path).write_bytes(raw)
    found, why = load_qualities(path, MODEL, THEIRS)
    assert bool(found) != bool(why) and all(quality.sound for quality in found)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs pipes")
def test_a_pipe_or_a_folder_is_no_file_of_qualities(path):
    os.mkfifo(quality_file_of(path))
    assert load_qualities(path, MODEL, THEIRS)[1]
    quality_file_of(path).unlink()
    quality_file_of(path).mkdir()
    assert load_qualities(path, MODEL, THEIRS)[1]


@pytest.fixture(scope="module")
def exported(tmp_path_factory) -> Path:
    if not demo.target().is_file():
        pytest.skip("the demo models are not here")
    model = tmp_path_factory.mktemp("stand-ins") / "demo.gguf"
    shutil.copy(demo.target(), model)
    export(model)
    return model


def measured(model: Path) -> Quality:
    from accel.offload.gguf_header import read_header

    theirs = read_header(sidecar_of(model)).fingerprint
    return a_quality(model=ModelSpec.read(model).fingerprint, stand_ins=theirs)


def test_sound_stand_ins_that_were_measured_are_found_beside_the_model(exported):
    write(sidecar_of(exported), measured(exported))
    found = stand_ins_of(ModelSpec.read(exported))
    assert found.path == str(sidecar_of(exported)) and found.qualities == (measured(exported),) and not found.problem
    assert found.staging > 0 and found.staging % (4096 * READERS) == 0


def test_what_is_missing_or_wrong_is_said_with_what_to_do(exported, tmp_path):
    model = tmp_path / "demo.gguf"
    shutil.copy(exported, model)
    low = sidecar_of(model)

    def problem() -> str:
        found = stand_ins_of(ModelSpec.read(model))
        assert not found.path and not found.qualities
        return found.problem

    assert problem() == "no stand-ins lie beside the model: `accel-export experts demo.gguf` would make it faster"
    shutil.copy(sidecar_of(exported), low)
    assert "never measured: `accel-export experts demo.gguf` measures" in problem()
    write(low, replace(measured(exported), model="2" * 32))
    assert "another model" in problem()
    write(low)
    assert "lose as little" in problem()
    write(low, measured(exported))
    os.truncate(low, low.stat().st_size // 2)
    assert "of no use" in problem() and "accel-export experts" in problem()
    low.unlink()
    shutil.copy(demo.draft(), low)
    assert "of no use" in problem()


def test_a_dense_model_has_none_and_nothing_is_read(exported):
    assert "dense" in stand_ins_of(ModelSpec.read(demo.draft())).problem
