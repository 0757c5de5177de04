"""What names a model is read, and no name leaves its folder."""

import os
from pathlib import PurePosixPath, PureWindowsPath

import pytest
from hypothesis import given
from hypothesis import strategies as st

from accel.errors import UsageError
from accel.runtime.library.reference import HubFile, Reference, grouped, is_model_name
from accel.units import Bytes

from .models import REPO


@pytest.mark.parametrize(
    ("typed", "repo", "file"),
    [
        ("hf:a/b", "a/b", ""),
        ("a/b:c.gguf", "a/b", "c.gguf"),
        ("hf:a-1/b.c_d:sub/c d.gguf", "a-1/b.c_d", "sub/c d.gguf"),
    ],
)
def test_a_reference_is_read(typed, repo, file):
    assert Reference.parse(typed) == Reference(repo, file)


@pytest.mark.parametrize(
    "typed",
    [
        *("hf:", "hf:a", "hf:a/b/c", "hf:../b", "hf:a/..", "hf:a/b..c", "hf:a b/c", "hf:.a/b"),
        *("hf:a/b:c", "hf:a/b:../c.gguf", "hf:a/b:/c.gguf", "hf:a/b:x/../c.gguf", "hf:a/b:x\\c.gguf", "hf:a/b:.gguf"),
    ],
)
def test_what_names_no_model_is_refused(typed):
    with pytest.raises(UsageError):
        Reference.parse(typed)


@given(st.text(st.sampled_from("a./\\:\0\n-"), max_size=12))
def test_no_file_name_leaves_its_folder(name):
    name += ".gguf"
    if is_model_name(name):
        assert not PurePosixPath(name).is_absolute() and not PureWindowsPath(name).is_absolute()
        assert not os.path.normpath(name).startswith("..")
        assert ".." not in name.split("/")


@pytest.mark.parametrize("letter", ["\n", "\x1b", "\x9b", "\u202e", "\ud800"])
def test_no_file_name_makes_a_terminal_obey(letter):
    assert is_model_name("a b.gguf") and not is_model_name(f"a{letter}b.gguf")


def test_an_incomplete_split_is_no_model():
    files = [HubFile(f"a-0000{number}-of-00003.gguf", Bytes(1)) for number in (1, 3)]
    assert grouped(REPO, "", [*files, HubFile("b.gguf", Bytes(1))])[0].name == "b.gguf"
    assert len(grouped(REPO, "", files)) == 0
    parts = [HubFile(f"a-{number:05d}-of-01000.gguf", Bytes(1)) for number in range(1, 1001)]
    assert len(grouped(REPO, "", parts)) == 0  # more than any header may name
