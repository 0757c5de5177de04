"""A model as the user names it -> a path: a file, a model of the hub, or nothing for the demo model."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ...errors import ModelMissing, UsageError
from .choose import Check, Say, choose
from .downloaded import Library
from .header import headers_of
from .reference import Reference


def is_demo(model: str) -> bool:
    """Whether nothing was named, so that the demo model is meant."""
    return not model


def find(model: str, check: Check, say: Say, offline: bool = False) -> Path:
    """The file to open, downloaded first where it must be and `check` lets its header pass.

    Raises what `check` raises; ModelMissing, NetworkError, DiskFull, UsageError.
    """
    if model.startswith("hf:"):
        return Library().get(Reference.parse(model), check, say, offline)
    return _local(model)


@contextmanager
def plannable(model: str, check: Check, say: Say, offline: bool = False) -> Iterator[Path]:
    """A file whose header can be read: of a model of the hub that is not here, the header is all that is fetched."""
    if not model.startswith("hf:"):
        yield _local(model)
        return
    wanted = Reference.parse(model)
    if path := Library().here(wanted, say):
        yield path
        return
    with headers_of(choose(wanted, check, say, offline)) as header:
        yield header


def _local(model: str) -> Path:
    if is_demo(model):
        from .. import demo

        return demo.target()
    try:
        path = Path(model).expanduser()
    except RuntimeError as error:
        raise ModelMissing(f"there is no file {model}: nobody has that name here", "check the path") from error
    if _names_repository(model) and _is_missing(path):
        raise ModelMissing(f"there is no file {model}", f"for a model of the hub write hf:{model}")
    return path


def _is_missing(path: Path) -> bool:
    """Whether surely nothing is there. Where one may not look, or links lead in a circle, who opens it says so."""
    try:
        path.stat()
    except (FileNotFoundError, NotADirectoryError):
        return True
    except OSError:
        return False
    return False


def _names_repository(model: str) -> bool:
    try:
        Reference.parse(model)
    except UsageError:
        return False
    return True
