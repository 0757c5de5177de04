"""What drafters keep is there whole or not at all, and is believed only where it is exactly what it should be."""

import os

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from accel.errors import AccelError, DiskFull, UsageError
from accel.runtime.drafting.kept import FILES, load_kept, save_kept

MODEL, OTHER = "0" * 32, "1" * 32


def test_what_was_kept_is_read_back(tmp_path):
    folder = tmp_path / "new"
    path = save_kept(folder, "copying", MODEL, b"payload")
    assert load_kept(folder, "copying", MODEL, 7) == b"payload"
    assert list(folder.iterdir()) == [path]


def test_each_model_and_each_drafter_has_a_file_of_its_own(tmp_path):
    save_kept(tmp_path, "one", MODEL, b"1")
    save_kept(tmp_path, "two", MODEL, b"2")
    save_kept(tmp_path, "one", OTHER, b"3")
    kept = [load_kept(tmp_path, *of, 1) for of in (("one", MODEL), ("two", MODEL), ("one", OTHER), ("two", OTHER))]
    assert kept == [b"1", b"2", b"3", None]


def test_a_file_under_another_name_is_not_believed(tmp_path):
    path = save_kept(tmp_path, "one", MODEL, b"1")
    for drafter, model in (("two", MODEL), ("one", OTHER)):
        (tmp_path / f"{drafter}-{model}.kept").write_bytes(path.read_bytes())
        assert load_kept(tmp_path, drafter, model, 1) is None


def test_another_size_than_the_drafter_has_is_not_believed(tmp_path):
    save_kept(tmp_path, "one", MODEL, b"1234")
    assert [load_kept(tmp_path, "one", MODEL, size) for size in (3, 4, 5)] == [None, b"1234", None]


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_no_damaged_file_is_believed(tmp_path_factory, data):
    folder = tmp_path_factory.mktemp("kept")
    path = save_kept(folder, "one", MODEL, bytes(range(64)))
    whole = path.read_bytes()
    at = data.draw(st.integers(0, len(whole) - 1))
    damage = data.draw(st.sampled_from(["cut", "changed", "longer"]))
    if damage == "cut":
        path.write_bytes(whole[:at])
    elif damage == "changed":
        path.write_bytes(whole[:at] + bytes([whole[at] ^ data.draw(st.integers(1, 255))]) + whole[at + 1 :])
    else:
        path.write_bytes(whole + bytes(at + 1))
    assert load_kept(folder, "one", MODEL, 64) is None


def test_no_memory_is_taken_for_what_a_header_promises(tmp_path):
    path = save_kept(tmp_path, "one", MODEL, b"1234")
    os.truncate(path, 2**40)
    assert load_kept(tmp_path, "one", MODEL, 4) is None


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs pipes")
def test_a_pipe_or_a_folder_is_no_file(tmp_path):
    path = tmp_path / f"one-{MODEL}.kept"
    os.mkfifo(path)
    assert load_kept(tmp_path, "one", MODEL, 1) is None
    path.unlink()
    path.mkdir()
    assert load_kept(tmp_path, "one", MODEL, 1) is None


def test_a_full_disk_leaves_what_was_there(tmp_path):
    resource = pytest.importorskip("resource", reason="no limit of a file's size here")
    save_kept(tmp_path, "one", MODEL, bytes(500))
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (300, limits[1]))
    try:
        with pytest.raises(DiskFull):
            save_kept(tmp_path, "one", MODEL, b"1" * 500)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert load_kept(tmp_path, "one", MODEL, 500) == bytes(500) and len(list(tmp_path.iterdir())) == 1


def test_a_folder_that_cannot_be_made_is_said(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(AccelError, match="cannot make"):
        save_kept(tmp_path / "file" / "folder", "one", MODEL, b"")


def test_of_one_drafter_few_files_stay_those_of_the_models_used_last(tmp_path):
    other = save_kept(tmp_path, "other", MODEL, b"")
    for number in range(FILES + 3):
        path = save_kept(tmp_path, "one", f"{number:032}", b"1")
        os.utime(path, (number, number))
    left = {path.name for path in tmp_path.glob("one-*")}
    assert left == {f"one-{number:032}.kept" for number in range(3, FILES + 3)} and other.exists()


@pytest.mark.parametrize("name", ["", "../x", "a/b", "a.b", "a" * 200])
def test_what_is_no_fingerprint_names_no_file(tmp_path, name):
    with pytest.raises(UsageError, match="fingerprint"):
        save_kept(tmp_path, "one", name, b"")
    with pytest.raises(UsageError, match="fingerprint"):
        load_kept(tmp_path, "one", name, 1)
