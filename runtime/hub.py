"""A model hub over HTTP: what a repository holds, the header of a file before its body, downloads that resume.

Everything that comes from there is checked before it is used: names must stay inside their folder, sizes must be
sizes, bytes beyond the promised ones are not written, and a file counts only once its checksum is right.
`HF_ENDPOINT`, `HF_TOKEN` and the proxies of the environment hold, since huggingface_hub does the talking.
"""

import glob
import hashlib
import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated, Any, BinaryIO
from urllib.parse import quote

import msgspec

from ..errors import DiskFull, ModelError, ModelMissing, NetworkError, UsageError
from ..offload.gguf_header import MOST_HEADER, read_header
from ..units import Bytes

CHUNK = 2**20
MOST_LISTING = 32 * 2**20
FIRST_HEADER = 2 * 2**20  # asked for at first; doubled until the header is whole
PATIENCE = 10.0  # seconds without an answer
TRIES = 5  # in a row that bring nothing

_REPO = re.compile(r"[A-Za-z0-9][\w.-]{0,95}/[A-Za-z0-9][\w.-]{0,95}")
_FILE = re.compile(r"(?!\.)[^\\\0-\x1f/:]{1,200}(?:/(?!\.)[^\\\0-\x1f/:]{1,200}){0,7}", re.DOTALL)
_PART = re.compile(r"(?P<stem>.*)-(?P<number>\d{5})-of-(?P<count>\d{5})\.gguf", re.DOTALL)
_SHA256 = re.compile(r"[0-9a-f]{64}")


class Broken(NetworkError):
    """A connection that failed and may hold the next time."""


@dataclass(frozen=True, slots=True)
class Reference:
    """A model on the hub: `hf:owner/repo[:file]`."""

    repo: str
    file: str = ""  # nothing: the one that suits this machine

    @classmethod
    def parse(cls, text: str) -> "Reference":
        """From `owner/repo[:file]`, with or without `hf:` before it. Raises UsageError."""
        repo, _, file = text.removeprefix("hf:").partition(":")
        if not _REPO.fullmatch(repo) or ".." in repo:
            raise UsageError(f"'{text}' names no repository", "write hf:owner/repo or hf:owner/repo:file.gguf")
        if file and not is_model_name(file):
            raise UsageError(f"'{file}' is no name of a model file", "give a file of the repository that ends in .gguf")
        return cls(repo, file)

    def __str__(self) -> str:
        return f"hf:{self.repo}:{self.file}" if self.file else f"hf:{self.repo}"


def is_model_name(name: str) -> bool:
    """Whether it can be a GGUF file's path inside a repository, and stays inside a folder when it is written there."""
    return bool(_FILE.fullmatch(name)) and name.endswith(".gguf")


@dataclass(frozen=True, slots=True)
class HubFile:
    name: str
    size: Bytes
    sha256: str = ""  # nothing where the hub does not tell


@dataclass(frozen=True, slots=True)
class HubModel:
    """One model of a repository at one commit: one file, or the parts of one that is split, in order."""

    repo: str
    commit: str
    parts: tuple[HubFile, ...]

    @property
    def name(self) -> str:
        return self.parts[0].name

    @property
    def size(self) -> Bytes:
        return Bytes(sum(part.size for part in self.parts))

    @property
    def reference(self) -> Reference:
        return Reference(self.repo, self.name)


class _Lfs(msgspec.Struct):
    sha256: str = ""


class _Sibling(msgspec.Struct):
    rfilename: str
    size: int | None = None
    lfs: _Lfs | None = None


class _Repository(msgspec.Struct):
    """What of the hub's answer about a repository is used."""

    sha: Annotated[str, msgspec.Meta(pattern="^[0-9a-f]{40}$")]
    siblings: list[_Sibling] = []


def models_of(repo: str) -> list[HubModel]:
    """Every whole GGUF model in a repository. Raises ModelMissing, NetworkError."""
    from huggingface_hub import constants

    body = bytearray()
    with _get(f"{constants.ENDPOINT}/api/models/{repo}?blobs=true", repo) as response:
        for chunk in response.iter_bytes(CHUNK):
            body += chunk
            if len(body) > MOST_LISTING:
                raise NetworkError(f"the hub's list of {repo} is too long", "check HF_ENDPOINT")
    try:
        found = msgspec.json.decode(body, type=_Repository)
    except (msgspec.DecodeError, RecursionError) as error:
        raise NetworkError(f"what answers for {repo} is no model hub", "check HF_ENDPOINT") from error
    files = []
    for sibling in found.siblings:
        if is_model_name(sibling.rfilename) and sibling.size and 0 < sibling.size < 2**50:
            sha256 = sibling.lfs.sha256 if sibling.lfs else ""
            files.append(HubFile(sibling.rfilename, Bytes(sibling.size), sha256 if _SHA256.fullmatch(sha256) else ""))
    return grouped(repo, found.sha, files)


def grouped(repo: str, commit: str, files: list[HubFile]) -> list[HubModel]:
    """Files as models: the parts of a split one together, in order; incomplete ones left out."""
    models, splits = [], {}
    for file in files:
        if part := _PART.fullmatch(file.name):
            splits.setdefault((part["stem"], int(part["count"])), {})[int(part["number"])] = file
        else:
            models.append(HubModel(repo, commit, (file,)))
    for (_, count), parts in splits.items():
        if sorted(parts) == list(range(1, count + 1)):
            models.append(HubModel(repo, commit, tuple(parts[number] for number in range(1, count + 1))))
    return sorted(models, key=lambda model: model.name)


@contextmanager
def headers_of(model: HubModel) -> Iterator[Path]:
    """The model's files for a while, with their headers and true sizes but nothing else in them: enough for a plan.

    Raises NetworkError, and the ModelError of a header that is no header.
    """
    with TemporaryDirectory(prefix="accel-") as folder:
        paths = [Path(folder, Path(part.name).name) for part in model.parts]
        for part, path in zip(model.parts, paths, strict=True):
            _make_hole(path, part.size)
        have, want = 0, FIRST_HEADER
        while have < MOST_HEADER and not _headers_are_whole(paths[0], have):
            for part, path in zip(model.parts, paths, strict=True):
                with path.open("r+b") as file:
                    for chunk, at in stream(model, part, have, min(want, part.size)):
                        file.seek(at)
                        file.write(chunk)
            have, want = want, 2 * want
        yield paths[0]


def _make_hole(path: Path, size: int) -> None:
    """A file of zeros that takes no room on the disk."""
    try:
        with path.open("wb") as file:
            file.truncate(size)
    except OSError as error:
        do = "free some space there, or set TMPDIR to a folder on another disk"
        raise DiskFull(f"no room for a header in {path.parent}: {error.strerror}", do) from error


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


def stream(model: HubModel, part: HubFile, start: int, end: int) -> Iterator[tuple[bytes, int]]:
    """Bytes start to end of a remote file as (chunk, where it begins); never more than that. Raises NetworkError.

    A server that ignores the range begins at 0: then the first chunk says so.
    """
    from huggingface_hub import constants

    if start >= end:
        return
    url = f"{constants.ENDPOINT}/{model.repo}/resolve/{model.commit}/{quote(part.name)}"
    with _get(url, f"{model.repo}:{part.name}", {"Range": f"bytes={int(start)}-{int(end) - 1}"}) as response:
        at = _begins(response, start)
        for chunk in response.iter_bytes():  # of any size: a fixed one would lose its rest when the connection breaks
            chunk = chunk[: end - at]
            if not chunk:
                return
            yield chunk, at
            at += len(chunk)


@contextmanager
def _get(url: str, what: str, headers: dict[str, str] | None = None) -> Iterator[Any]:
    """A response whose body is still to be read; what fails while it is read is said as well."""
    from huggingface_hub.utils import build_hf_headers, get_session, hf_raise_for_status

    headers = {**build_hf_headers(library_name="accel"), "Accept-Encoding": "identity", **(headers or {})}
    with _said(what), get_session().stream("GET", url, headers=headers, timeout=PATIENCE) as response:
        hf_raise_for_status(response)
        yield response


def _begins(response: Any, asked: int) -> int:
    if response.status_code != 206:
        return 0
    told = re.fullmatch(r"bytes (\d{1,18})-\d{1,18}/(?:\d{1,18}|\*)", response.headers.get("Content-Range", ""))
    if not told or int(told[1]) != asked:
        raise NetworkError("the server sent another part of the file than was asked for", "check HF_ENDPOINT")
    return asked


def download(model: HubModel, part: HubFile, target: Path, progress: Callable[[int], object]) -> None:
    """Fetches one file to `target`, which then is whole and checked; `progress` is told how many bytes are there.

    What an interrupted download left beside it is continued. Raises NetworkError (what came stays, to be continued)
    and OSError (a full disk; nothing stays).
    """
    unfinished = target.with_name(f"{target.name}.{(part.sha256 or model.commit)[:16]}.part")
    for old in target.parent.glob(f"{glob.escape(target.name)}.*.part"):
        if old != unfinished:
            old.unlink()
    try:
        with unfinished.open("a+b") as file:
            digest = _fetch(model, part, file, progress)
    except OSError:
        unfinished.unlink(missing_ok=True)
        raise
    if part.sha256 and digest != part.sha256:
        unfinished.unlink()
        raise NetworkError(f"{part.name} came damaged: its checksum is wrong", "try again")
    unfinished.replace(target)


def _fetch(model: HubModel, part: HubFile, file: BinaryIO, progress: Callable[[int], object]) -> str:
    """Appends what is missing, again after a broken connection; the SHA-256 of the whole."""
    digest, have = _hashed(file, part.size)
    tries = TRIES
    while have < part.size:
        before = have
        try:
            for chunk, at in stream(model, part, have, part.size):
                if at == 0 and have:  # the server began anew
                    digest, have = hashlib.sha256(), 0
                    file.truncate(0)
                file.write(chunk)
                digest.update(chunk)
                have += len(chunk)
                progress(have)
            if have < part.size:
                raise Broken(f"{part.name} ends before its size", "try again later")
        except Broken:
            tries = TRIES if have > before else tries - 1
            if tries == 0:
                raise
            time.sleep(0.5 * 2 ** (TRIES - tries))
    file.flush()
    return digest.hexdigest()


def _hashed(file: BinaryIO, size: int) -> tuple[Any, int]:
    """The digest and length of what is already there; more than there should be is thrown away."""
    if file.seek(0, 2) > size:
        file.truncate(0)
    file.seek(0)
    digest = hashlib.sha256()
    while chunk := file.read(CHUNK):
        digest.update(chunk)
    return digest, file.tell()


@contextmanager
def _said(what: str) -> Iterator[None]:
    """Turns what huggingface_hub raises into ModelMissing or NetworkError."""
    from huggingface_hub import constants, errors

    try:
        yield
    except (errors.RepositoryNotFoundError, errors.GatedRepoError) as error:
        raise ModelMissing(
            f"the hub has no {what} for you", "check the name; a private or gated one needs `hf auth login` first"
        ) from error
    except (errors.EntryNotFoundError, errors.RevisionNotFoundError) as error:
        raise ModelMissing(f"the hub has no {what}", "check the name of the file") from error
    except errors.OfflineModeIsEnabled as error:
        raise NetworkError(
            f"{what} is not here, and HF_HUB_OFFLINE is set", "unset it, or name a file you have"
        ) from error
    except errors.HfHubHTTPError as error:
        code = error.response.status_code
        kind = Broken if code in (408, 429) or code >= 500 else NetworkError
        raise kind(f"the hub answers {code} for {what}", "try again later, or check HF_ENDPOINT") from error
    except errors.HTTPError as error:  # pyright: ignore[reportPrivateImportUsage]
        do = "check the network, or name a file you have"
        raise Broken(f"cannot reach {constants.ENDPOINT} for {what}", do) from error
