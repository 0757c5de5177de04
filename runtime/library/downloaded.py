"""The models that were downloaded: where they lie, fetching one that fits, verifying and removing them.

`cache_dir()/models/owner/repo/` holds the files under their own names; beside the first file of each model,
`<name>.json` says what the hub promised of it. A model counts as there when all its files have their sizes. A
download that fails and leaves no byte to be continued takes its record along.
"""

import hashlib
import re
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import msgspec

from ...devices.files import write_atomic, write_error
from ...devices.paths import cache_dir
from ...errors import DiskFull, ModelMissing, UsageError
from ...units import Bytes, from_json, to_json
from .choose import Check, Say, choose, preference
from .download import all_unfinished, download, unfinished_file
from .header import headers_of
from .reference import HubFile, HubModel, Reference, is_model_name

SPARE = Bytes.from_mib(64)  # left free on the disk


@dataclass(frozen=True, slots=True)
class Entry:
    """A model in the library, whole or not."""

    model: HubModel
    folder: Path  # of its repository

    @property
    def name(self) -> str:
        return f"{self.model.repo}:{self.model.name}"

    @property
    def path(self) -> Path:
        return self.folder / self.model.name

    @property
    def record(self) -> Path:
        return self.path.with_name(self.path.name + ".json")

    def file(self, part: HubFile) -> Path:
        return self.folder / part.name

    def lacking(self) -> Bytes:
        """Bytes still to be fetched: a download that was interrupted is continued."""
        return Bytes(sum(max(part.size - self._fetched(part), 0) for part in self.model.parts))

    def _fetched(self, part: HubFile) -> int:
        file = self.file(part)
        return part.size if _has(file, part.size) else _size(unfinished_file(self.model, part, file))

    @property
    def whole(self) -> bool:
        return all(_has(self.file(part), part.size) for part in self.model.parts)

    def files(self) -> list[Path]:
        """All that is there of it, finished or not, of any version."""
        named = [self.file(part) for part in self.model.parts]
        return [path for file in named for path in (file, *all_unfinished(file)) if path.is_file()]


def _size(path: Path) -> int:
    return path.stat().st_size if path.is_file() else 0


def _has(path: Path, size: int) -> bool:
    return path.is_file() and path.stat().st_size == size


class Library:
    def __init__(self, folder: Path | None = None) -> None:
        self.folder = folder or cache_dir() / "models"

    def entries(self) -> list[Entry]:
        """What is there, by name; records that are damaged or lie in another repository's folder do not count."""
        found = ((record, _read_record(record)) for record in self.folder.glob("*/*/**/*.gguf.json"))
        entries = [(record, self._entry(model)) for record, model in found if model]
        return sorted((entry for record, entry in entries if entry.record == record), key=lambda entry: entry.name)

    def _entry(self, model: HubModel) -> Entry:
        return Entry(model, self.folder / model.repo)

    def find(self, name: str) -> list[Entry]:
        """Entries of `owner/repo[:file]`. Raises ModelMissing where there are none."""
        wanted = Reference.parse(name)
        found = [entry for entry in self.entries() if _is_meant(entry, wanted)]
        if not found:
            raise ModelMissing(f"{name} was not downloaded", "see `accel models`")
        return found

    def here(self, wanted: Reference, say: Say) -> Path | None:
        """A model that need not be fetched: one of the library's, or one that another program of the hub fetched."""
        entries = [entry for entry in self.entries() if _is_meant(entry, wanted) and entry.whole]
        if entries:
            entry = min(entries, key=lambda entry: preference(entry.model))
            if not wanted.file:
                say(f"using {entry.name}, which is here")
            return entry.path
        shared = _in_shared_cache(wanted) if wanted.file else None
        if shared:
            say(f"using {shared}, which another program fetched")
        return shared

    def get(self, wanted: Reference, check: Check, say: Say, offline: bool = False) -> Path:
        """The path of a model, downloaded where it is not here yet, once `check` has let its header pass.

        Raises what `check` raises, ModelMissing, NetworkError, DiskFull, AccelError where it may not be written.
        """
        if path := self.here(wanted, say):
            return path
        model = choose(wanted, check, say, offline)
        if wanted.file:
            with headers_of(model) as header:
                check(header)
        entry = self._entry(model)
        self._download(entry, say)
        return entry.path

    def _download(self, entry: Entry, say: Say) -> None:
        fresh = not entry.record.exists()
        try:
            entry.path.parent.mkdir(parents=True, exist_ok=True)
            self._check_room(entry)
            write_atomic(entry.record, to_json(entry.model))
            say(f"downloading {entry.name}, {entry.model.size}")
            self._fetch(entry)
        except BaseException as error:  # of a Ctrl-C, too: it leaves no record of what is not there
            full = isinstance(error, OSError | DiskFull)
            with suppress(OSError):  # the folder cannot even be looked at
                if (fresh and full) or not any(map(_size, entry.files())):
                    self.remove(entry)
            if isinstance(error, OSError):
                raise write_error(entry.path, error) from error
            raise

    def _fetch(self, entry: Entry) -> None:
        """Whatever of its files is not there."""
        with _progress(entry.model) as show:
            done = 0
            for part in entry.model.parts:
                target = entry.file(part)
                target.parent.mkdir(parents=True, exist_ok=True)
                if not _has(target, part.size):
                    download(entry.model, part, target, lambda have, done=done: show(done + have))
                done += part.size

    def _check_room(self, entry: Entry) -> None:
        continued = {unfinished_file(entry.model, part, entry.file(part)) for part in entry.model.parts}
        begun = {path for part in entry.model.parts for path in all_unfinished(entry.file(part))}
        goes = sum(map(_size, begun - continued))  # of other versions
        needed = Bytes(max(entry.lacking() - goes, 0)) + SPARE
        free = Bytes(shutil.disk_usage(entry.path.parent).free)
        if needed > free:
            raise DiskFull(
                f"{entry.name} needs {needed} on the disk of {self.folder}, which has {free} free",
                "free some space, or set ACCEL_HOME to a folder on another disk",
            )

    def problem(self, entry: Entry, progress: Callable[[int], object] = lambda _: None) -> str:
        """What is wrong with a downloaded model, or nothing. Reads all of it; `progress` is told the bytes read."""
        for part in entry.model.parts:
            path = entry.file(part)
            if not path.is_file():
                return f"{part.name} is not there"
            if path.stat().st_size != part.size:
                return f"{part.name} has {Bytes(path.stat().st_size)}, not {part.size}"
            if part.sha256 and _sha256(path, progress) != part.sha256:
                return f"{part.name} has another checksum than the hub promised"
        return ""

    def remove(self, entry: Entry) -> Bytes:
        """Deletes a model's files, finished or not; how much that freed. Folders that are then empty go too."""
        freed = 0
        for path in entry.files():
            freed += path.stat().st_size
            path.unlink()
        entry.record.unlink(missing_ok=True)
        self._remove_empty(entry.path.parent)
        return Bytes(freed)

    def _remove_empty(self, folder: Path) -> None:
        while folder != self.folder and folder.is_dir() and not any(folder.iterdir()):
            folder.rmdir()
            folder = folder.parent


def _sha256(path: Path, progress: Callable[[int], object]) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(2**20):
            digest.update(chunk)
            progress(len(chunk))
    return digest.hexdigest()


def _is_meant(entry: Entry, wanted: Reference) -> bool:
    names = {part.name for part in entry.model.parts}
    return entry.model.repo == wanted.repo and (not wanted.file or wanted.file in names)


def _read_record(record: Path) -> HubModel | None:
    try:
        model = from_json(record.read_bytes(), HubModel)
        Reference.parse(model.repo)
    except (OSError, msgspec.DecodeError, UsageError):
        return None
    sound = model.parts and all(is_model_name(part.name) and part.size > 0 for part in model.parts)
    return model if sound else None


def _in_shared_cache(wanted: Reference) -> Path | None:
    """The file in the cache that other programs of the hub share, where it is whole there."""
    import huggingface_hub

    found = huggingface_hub.try_to_load_from_cache(wanted.repo, wanted.file)
    return Path(found) if isinstance(found, str) and not re.search(r"-\d{5}-of-\d{5}\.gguf$", found) else None


@contextmanager
def _progress(model: HubModel) -> Iterator[Callable[[int], object]]:
    """A bar on a terminal's stderr; `show(bytes)` moves it."""
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TimeRemainingColumn, TransferSpeedColumn

    console = Console(stderr=True)
    columns = (BarColumn(), DownloadColumn(binary_units=True), TransferSpeedColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, disable=not console.is_terminal, transient=True) as bar:
        task = bar.add_task("", total=model.size)
        yield lambda have: bar.update(task, completed=have)
