"""The headers of a model that is still on the hub: enough to plan for it before its body is fetched."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from ...errors import AccelError, DiskFull, ModelDamaged, ModelError, ModelTruncated
from ...offload.gguf_header import MOST_HEADER, read_header
from .hub import stream
from .reference import HubModel

FIRST_HEADER = 2 * 2**20  # asked for at first; doubled until the header is whole


@contextmanager
def headers_of(model: HubModel) -> Iterator[Path]:
    """The model's files for a while, with their headers and true sizes but nothing else in them: enough for a plan.

    Raises ModelMissing, NetworkError and DiskFull. What is no header is left to whoever reads it; errors about these
    files, which are raised while the block runs, come out as errors about the hub's.
    """
    with TemporaryDirectory(prefix="accel-") as folder:
        paths = [Path(folder, Path(part.name).name) for part in model.parts]
        for part, path in zip(model.parts, paths, strict=True):
            with _room(path.parent), path.open("wb") as file:
                file.truncate(part.size)  # zeros that take no room on the disk
        have, want = 0, FIRST_HEADER
        while have < MOST_HEADER and not _headers_are_whole(paths[0], have):
            for part, path in zip(model.parts, paths, strict=True):
                with _room(path.parent), path.open("r+b") as file:
                    for chunk, at in stream(model, part, have, min(want, part.size)):
                        file.seek(at)
                        file.write(chunk)
            have, want = want, 2 * want
        try:
            yield paths[0]
        except AccelError as error:
            _blame(
                error, {str(path): f"{model.repo}:{part.name}" for part, path in zip(model.parts, paths, strict=True)}
            )
            raise


def _blame(error: AccelError, names: dict[str, str]) -> None:
    """Makes an error name files by what the user knows them by."""
    what = error.what
    for path, name in names.items():
        what = what.replace(path, name)
    if what == error.what:
        return
    # Fetching it again brings the same, since it was not cut short on its way here.
    do = "name another file, or another repository" if isinstance(error, ModelTruncated | ModelDamaged) else error.do
    error.what, error.do, error.args = what, do, (what, do)


@contextmanager
def _room(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        do = "free some space there, or set TMPDIR to a folder on another disk"
        raise DiskFull(f"no room for a header in {folder}: {error.strerror}", do) from error


def _headers_are_whole(path: Path, have: int) -> bool:
    """Whether the first `have` bytes of every file hold its header; or it can be no header, whatever follows."""
    with path.open("rb") as file:
        if have and file.read(4) != b"GGUF":
            return True
    try:
        header = read_header(path)
    except ModelError:
        return False
    starts: dict[Path, int] = {}
    for tensor in header.tensors.values():
        starts[tensor.file] = min(tensor.offset, starts.get(tensor.file, tensor.offset))
    return all(start <= have for start in starts.values())
