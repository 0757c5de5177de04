"""Which models here could draft for another, by their files: those named, those beside it, those downloaded."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from ..errors import ModelError, ModelMissing, ModelUnsupported
from ..offload.gguf_header import Header, first_file, read_header
from .drafting.fit import has_same_tokens, why_not
from .library.downloaded import Library
from .model import ModelSpec

_MOST_BESIDE = 64  # files in the target's folder that are looked at, small ones first


@dataclass(frozen=True, slots=True)
class Candidate:
    """`trouble`: why it cannot draft, or nothing; where its file cannot be read there is no `model`."""

    name: str
    path: Path
    model: ModelSpec | None = None
    same_tokens: bool = False
    trouble: str = ""


def candidates(target: Path, named: Mapping[str, Path]) -> list[Candidate]:
    """Each once. What was not named and is no language model is left out. Raises a ModelError for the target,
    ModelMissing for what was named."""
    header, spec = read_header(target), ModelSpec.read(target)
    found: list[Candidate] = []
    seen = {Path(file).resolve() for file in spec.paths}
    for name, path in (*named.items(), *_downloaded(), *_beside(target)):
        if (place := first_file(path).resolve()) in seen:
            continue
        seen.add(place)
        candidate = _judged(header, spec, name, path, keep=name in named)
        if candidate:
            found.append(candidate)
    return found


def _downloaded() -> Iterator[tuple[str, Path]]:
    for entry in Library().entries():
        if entry.whole:
            yield entry.name, entry.path


def _beside(target: Path) -> Iterator[tuple[str, Path]]:
    def size(path: Path) -> int:
        try:
            return path.stat().st_size
        except OSError:
            return 0

    for path in sorted(target.parent.glob("*.gguf"), key=size)[:_MOST_BESIDE]:
        yield path.name, path


def _judged(header: Header, target: ModelSpec, name: str, path: Path, keep: bool) -> Candidate | None:
    """`keep`: it was named, and is told of whatever it is."""
    try:
        model = ModelSpec.read(path)
        same = has_same_tokens(header, read_header(path))
    except ModelError as error:
        if keep and isinstance(error, ModelMissing):
            raise
        return None if isinstance(error, ModelUnsupported) and not keep else Candidate(name, path, trouble=error.what)
    return Candidate(name, path, model, same, why_not(target, model))
