"""Kept prompts on disk are counted and cleared, by model, and nothing else is."""

from pathlib import Path

import pytest

from accel.errors import AccelError
from accel.runtime.prompt_files import Lying, clear, folder_of, lying
from accel.units import Bytes

NOTHING = Lying(0, Bytes(0))


@pytest.fixture(autouse=True)
def own_home(home: Path) -> Path:
    return home


def a_file(model: str, name: str, size: int = 10) -> Path:
    file = folder_of(model) / name
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(b"x" * size)
    return file


def test_where_nothing_was_ever_kept_nothing_lies():
    assert lying() == lying("a") == NOTHING
    clear()
    clear("a")


def test_of_one_model_or_of_all_it_is_counted():
    for model, name, size in (("a", "1.prompt", 10), ("a", "2.prompt", 20), ("b", "1.prompt", 300)):
        a_file(model, name, size)
    a_file("a", ".12.part", 4000)  # of somebody who was killed: it takes room, and is no prompt
    assert lying("a") == Lying(2, Bytes(4030)) and lying("b") == Lying(1, Bytes(300))
    assert lying() == Lying(3, Bytes(4330)) and lying("c") == NOTHING


def test_clearing_one_model_leaves_the_others_and_what_is_no_prompt():
    a_file("a", "1.prompt")
    a_file("a", ".12.part")
    other, strange = a_file("b", "1.prompt"), a_file("a", "notes.txt")
    folder = folder_of("a") / "odd.prompt"
    folder.mkdir()
    clear("a")
    assert lying("a") == NOTHING and lying() == Lying(1, Bytes(10))
    assert other.exists() and strange.exists() and folder.is_dir()
    clear()
    assert lying() == NOTHING and strange.exists()
    assert folder_of("b").is_dir()  # a worker that runs goes on writing there


def test_a_link_goes_and_what_it_leads_to_stays(tmp_path):
    precious = tmp_path / "precious.prompt"
    precious.write_bytes(b"x")
    a_file("a", "1.prompt").with_name("2.prompt").symlink_to(precious)
    clear()
    assert lying() == NOTHING and precious.exists()


def test_what_cannot_go_is_told_once_all_else_is_gone(monkeypatch):
    stays = a_file("a", "1.prompt")
    for number in range(2, 6):
        a_file("a", f"{number}.prompt")
    unlink = Path.unlink

    def fail(path: Path, missing_ok: bool = False) -> None:
        if path == stays:
            raise PermissionError(13, "not yours", str(path))
        unlink(path, missing_ok)

    monkeypatch.setattr(Path, "unlink", fail)
    with pytest.raises(AccelError, match=r"not yours.*1\.prompt"):
        clear()
    assert lying() == Lying(1, Bytes(10))


def test_a_folder_that_is_none_is_told():
    folder_of("a").parent.write_bytes(b"")
    for ask in (lying, clear):
        for model in (None, "a"):
            with pytest.raises(AccelError, match="cannot look"):
                ask(model)
