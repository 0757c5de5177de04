"""What drafters keep across restarts: one file for each model and drafter, in a folder that holds few of them. Anybody
may have written one: what is not exactly what it should be is as if it were not there."""

import re
import stat
from pathlib import Path

from ...devices.files import open_atomic
from ...errors import AccelError, StateError, UsageError
from ..engines.state import read_state, write_filled

FILES = 8  # of one drafter; those of the models used longest ago go
_NAME = re.compile(r"[\w-]{1,128}")


def save_kept(folder: Path, drafter: str, model: str, *parts: bytes | memoryview) -> Path:
    """Whole or not at all, one part after another; where. `model`: its fingerprint. Raises DiskFull, AccelError."""
    path = _path(folder, drafter, model)
    views = [memoryview(part).cast("B") for part in parts]

    def fill(place: memoryview) -> None:
        """The file's own pages: no copy of what is kept stands in memory."""
        at = 0
        for view in views:
            place[at : at + len(view)] = view
            at += len(view)

    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise AccelError(f"cannot make {folder}: {error.strerror or error}", "choose another folder") from error
    with open_atomic(path) as sink:
        write_filled(sink, _maker(drafter, model), 0, sum(map(len, views)), fill)
    _tidy(folder, drafter, path)
    return path


def load_kept(folder: Path, drafter: str, model: str, size: int) -> memoryview | None:
    """The `size` bytes that were kept, in the file's pages; None where they were not, or are damaged, or another's."""
    path = _path(folder, drafter, model)
    try:
        if not stat.S_ISREG(path.stat().st_mode):  # who opens a pipe may wait for ever
            return None
        with path.open("rb") as source:
            _, payload = read_state(source, _maker(drafter, model), 0, size)
            whole = len(payload) == size and not source.read(1)
            return payload if whole else None
    except (OSError, StateError):
        return None


def _path(folder: Path, drafter: str, model: str) -> Path:
    if not _NAME.fullmatch(model):
        raise UsageError(f"'{model}' is no fingerprint of a model", "give the one that the model's file has")
    return folder / f"{drafter}-{model}.kept"


def _maker(drafter: str, model: str) -> str:
    return f"drafter {drafter} 1 {model}"


def _tidy(folder: Path, drafter: str, current: Path) -> None:
    try:
        others = [path for path in folder.glob(f"{drafter}-*.kept") if path != current]
        others.sort(key=lambda path: path.stat().st_mtime_ns)
        for path in others[: max(0, len(others) + 1 - FILES)]:
            path.unlink(missing_ok=True)
    except OSError:
        return  # another process tidies too
