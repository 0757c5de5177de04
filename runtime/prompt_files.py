"""The files of kept prompts, a folder for each model: how much lies there, and how it goes; who asks needs no engine.

A worker whose files go finds them missing, and forwards again what they held; its folder stays, for what comes next.
"""

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from ..devices.files import PART
from ..devices.paths import cache_dir
from ..errors import AccelError
from ..units import Bytes

ENDING = ".prompt"


@dataclass(frozen=True, slots=True)
class Lying:
    """What prompts take on disk; `size` counts what was left half written, too."""

    prompts: int
    size: Bytes


def folder_of(fingerprint: str) -> Path:
    """A model's own. Raises AccelError where the cache's folder cannot be made."""
    return _home() / fingerprint


def lying(fingerprint: str | None = None) -> Lying:
    """Of a model, or of all that ever ran here. Raises AccelError where one may not look."""
    prompts, size = 0, Bytes(0)
    for file in _files(fingerprint):
        with suppress(FileNotFoundError):  # gone just now
            size += file.lstat().st_size
            prompts += file.suffix == ENDING
    return Lying(prompts, size)


def clear(fingerprint: str | None = None) -> None:
    """What `lying` counts. Raises AccelError where one may not look, or where some stay, once all others are gone."""
    problem: OSError | None = None
    for file in _files(fingerprint):
        try:
            file.unlink(missing_ok=True)
        except OSError as error:
            problem = error
    if problem:
        what = f"kept prompts stay on disk: {problem.strerror or problem} ({problem.filename})"
        raise AccelError(what, "remove them by hand, or make their folder writable")


def _files(fingerprint: str | None) -> Iterator[Path]:
    home = _home()
    try:
        folders = (
            [home / fingerprint] if fingerprint is not None else [each for each in home.iterdir() if each.is_dir()]
        )
        for folder in folders:
            with suppress(FileNotFoundError):
                yield from [each for each in folder.iterdir() if each.suffix in (ENDING, PART) and not each.is_dir()]
    except FileNotFoundError:
        return
    except OSError as error:
        what = f"cannot look for kept prompts in {home}: {error.strerror or error}"
        raise AccelError(what, "see whose folder that is") from error


def _home() -> Path:
    return cache_dir() / "prompts"
