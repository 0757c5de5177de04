"""Keys let in who has one, and are nowhere to be read."""

import stat

import pytest

from accel.errors import StateError
from accel.runtime.serve.keys import PREFIX, Keys, add_key, key_file, read_keys


def test_a_key_lets_in_who_has_it_and_nobody_else(tmp_path):
    file = tmp_path / "own" / "keys.json"
    one, other = add_key(file), add_key(file)
    keys = read_keys(file)
    assert keys and one != other and one.startswith(PREFIX)
    assert keys.lets_in(one) and keys.lets_in(other)
    for wrong in ("", "x", one[:-1], one + "x", one.upper(), "\0", "€" * 10_000):
        assert not keys.lets_in(wrong)


def test_the_file_is_its_owners_alone_and_holds_no_key(tmp_path):
    file = tmp_path / "keys.json"
    key = add_key(file)
    assert key not in file.read_text() and key.removeprefix(PREFIX) not in file.read_text()
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_without_a_file_there_are_no_keys_and_no_key_is_one(tmp_path):
    keys = read_keys(tmp_path / "keys.json")
    assert not keys and not keys.lets_in("") and keys == Keys()


@pytest.mark.parametrize(
    "content",
    [b"", b"[", b"{}x", b'{"hashes": ["x"]}', b'{"hashes": ["\xc3\xa9"]}', b'{"hash": []}', b"\xff", b"[" * 10**6],
    ids=lambda content: repr(content[:20]),
)
def test_of_a_damaged_file_nobody_is_let_in_by_mistake(tmp_path, content):
    file = tmp_path / "keys.json"
    file.write_bytes(content)
    with pytest.raises(StateError, match="delete"):
        read_keys(file)
    with pytest.raises(StateError):
        add_key(file)
    assert file.read_bytes() == content


def test_keys_lie_with_the_settings(home):
    assert key_file() == home / "config" / "keys.json"
