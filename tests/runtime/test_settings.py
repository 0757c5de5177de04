"""Settings: one table, three places to set them, and an error that names the nearest for what is not in it."""

import os
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from accel.errors import SettingError
from accel.runtime import settings
from accel.runtime.settings import TABLE, Settings, resolve
from accel.units import Bytes

ROOT = Path(__file__).resolve().parents[2]
NOWHERE = Path("/nowhere/accel.toml")


def written(tmp_path: Path, text: str) -> Path:
    file = tmp_path / "accel.toml"
    file.write_text(text)
    return file


def test_nothing_given_gives_the_defaults():
    assert resolve({}, {}, NOWHERE) == Settings()


def test_flags_come_before_environment_before_file_before_default(tmp_path):
    file = written(tmp_path, "top_k = 1\ntemperature = 0.1\nseed = 1")
    found = resolve({"top_k": "3"}, {"ACCEL_TOP_K": "2", "ACCEL_TEMPERATURE": "0.2"}, file)
    assert (found.top_k, found.temperature, found.seed, found.top_p) == (3, 0.2, 1, 0.95)


def test_a_flag_that_was_not_given_hides_nothing():
    assert resolve({"top_k": None}, {"ACCEL_TOP_K": "2"}, NOWHERE).top_k == 2


@pytest.mark.parametrize(
    ("text", "name", "value"),
    [
        ("memory = '6GiB'", "memory", Bytes.from_gib(6)),
        ("memory = 4096", "memory", Bytes(4096)),
        ("stop = ['a', 'b']", "stop", ("a", "b")),
        ("stop = 'a'", "stop", ("a",)),
        ("sessions = false", "sessions", False),
        ("sessions = 'off'", "sessions", False),
        ("temperature = 1", "temperature", 1.0),
        ("kv_type = 'q8_0'", "kv_type", "q8_0"),
        ("system = ''", "system", ""),
    ],
)
def test_the_file_holds_values_of_their_own_types(tmp_path, text, name, value):
    assert getattr(resolve({}, {}, written(tmp_path, text)), name) == value


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("temprature = 1", "temperature"),
        ("TOP_K = 1", "top_k"),
        ("[chat]\ntop_k = 1", "nearest"),
        ("top_k = 1.5", "whole number"),
        ("top_k = true", "whole number"),
        ("top_p = 1.01", "from 0 to 1"),
        ("temperature = nan", "number"),
        ("threads = 0", "from 1 to 1024"),
        ("memory = 'much'", "6GiB"),
        ("memory = true", "6GiB"),
        ("top_k = 9999999999", "from 0 to 2147483647"),
        ("max_tokens = 99999999999999999999999", "from 1 to 2147483647"),
        ("seed = -1", "from 0 to 18446744073709551615"),
        ("stop = ['']", "each of 1 to 256 characters"),
        (f"stop = ['{'x' * 257}']", "each of 1 to 256 characters"),
        (f"stop = {['x'] * 65}", "at most 64"),
        ("kv_type = 'q2'", "f16, q8_0"),
        ("system = ['a']", "text"),
        ("sessions = 1", "true or false"),
        ("top_k = ", "no TOML"),
        ("a = " + "[" * 5000, "no TOML"),
    ],
)
def test_a_wrong_file_is_one_line_that_says_what_to_do(tmp_path, text, says):
    with pytest.raises(SettingError) as caught:
        resolve({}, {}, written(tmp_path, text))
    assert says in str(caught.value)
    assert "accel.toml" in caught.value.what
    assert caught.value.do


def test_a_file_of_bytes_is_no_settings_file(tmp_path):
    file = tmp_path / "accel.toml"
    file.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(SettingError, match="no TOML"):
        resolve({}, {}, file)


def test_a_folder_in_the_place_of_the_file_is_said(tmp_path):
    with pytest.raises(SettingError, match="cannot read"):
        resolve({}, {}, tmp_path)


def test_a_pipe_in_the_place_of_the_file_is_said_at_once(tmp_path):
    if not hasattr(os, "mkfifo"):
        pytest.skip("needs a pipe with a name")
    os.mkfifo(tmp_path / "accel.toml")
    with pytest.raises(SettingError, match="no regular file"):
        resolve({}, {}, tmp_path / "accel.toml")


def test_a_device_in_the_place_of_the_file_is_said_at_once():
    if not Path("/dev/zero").is_char_device():
        pytest.skip("needs a device that never ends")
    with pytest.raises(SettingError, match="no regular file"):
        resolve({}, {}, Path("/dev/zero"))


def test_of_a_huge_file_no_more_is_read_than_settings_take(tmp_path):
    file = tmp_path / "accel.toml"
    file.touch()
    os.truncate(file, 2**40)  # bytes that no disk holds
    with pytest.raises(SettingError, match="longer than"):
        resolve({}, {}, file)


def test_a_file_below_a_file_is_no_file(tmp_path):
    assert resolve({}, {}, written(tmp_path, "") / "accel.toml") == Settings()


def test_an_unknown_key_is_named_before_the_file(tmp_path):
    with pytest.raises(SettingError) as caught:
        resolve({}, {}, written(tmp_path, "contxt = 5"))
    assert str(caught.value) == f"unknown key contxt in {tmp_path / 'accel.toml'}; the nearest is context"


@pytest.mark.parametrize("value", ["1" * 5000, "0x" + "f" * 5000, f"'{'x' * 5000}'"])
def test_a_value_of_any_length_is_an_error_of_readable_length(tmp_path, value):
    with pytest.raises(SettingError) as caught:
        resolve({}, {}, written(tmp_path, f"top_k = {value}"))
    assert len(str(caught.value)) < 500


def test_an_unknown_environment_variable_names_the_nearest():
    with pytest.raises(SettingError, match="ACCEL_THREADS"):
        resolve({}, {"ACCEL_THREAD": "2"}, NOWHERE)


def test_the_folder_of_accel_is_no_setting_and_no_error():
    assert resolve({}, {"ACCEL_HOME": "/tmp", "ACCELERATE_X": "1"}, NOWHERE) == Settings()


@pytest.mark.parametrize("name", ["model", "system", "stop"])
def test_bytes_that_are_no_text_are_refused_before_anything_is_done_with_them(name):
    with pytest.raises(SettingError, match="udcff"):
        resolve({name: "\udcff"}, {}, NOWHERE)


def test_an_unknown_flag_names_the_nearest():
    with pytest.raises(SettingError, match="max_tokens"):
        resolve({"max_token": "2"}, {}, NOWHERE)


@given(st.sampled_from(sorted(TABLE)), st.text(max_size=30).filter(lambda text: "\0" not in text))
def test_any_text_is_a_value_or_a_setting_error(name, text):
    try:
        value = getattr(resolve({}, {TABLE[name].variable: text}, NOWHERE), name)
    except SettingError as error:
        assert TABLE[name].variable in error.what
    else:
        assert TABLE[name].read(value, "again") == value


def test_every_row_has_help_and_a_default_in_words():
    assert all(row.help and row.default_words for row in TABLE.values())


def test_the_readme_holds_the_table():
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    between = re.search(r"<!-- settings -->\n(.*?)\n<!-- /settings -->", readme, re.DOTALL)
    if between is None:
        pytest.skip("the README has no settings table yet")
    assert between[1].strip() == settings.markdown()
