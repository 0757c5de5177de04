"""A model hub over HTTP: what a repository holds, and bytes of its files.

Everything that comes from there is checked before it is used: names must stay inside their folder, sizes must be
sizes, bytes beyond the promised ones are not given. `HF_ENDPOINT`, `HF_TOKEN` and the proxies of the environment hold,
since huggingface_hub does the talking.
"""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated, Any
from urllib.parse import quote

import msgspec

from ...errors import ModelMissing, NetworkError
from ...units import Bytes
from .reference import HubFile, HubModel, grouped, is_model_name

CHUNK = 2**20
MOST_LISTING = 32 * 2**20
PATIENCE = 10.0  # seconds without an answer

_SHA256 = re.compile(r"[0-9a-f]{64}")


class Broken(NetworkError):
    """A connection that failed and may hold the next time."""


class SizesDisagree(NetworkError):
    """A file that is not as long as the hub's list says: it cannot be fetched as long as that list stands."""

    def __init__(self, what: str, listed: int, has: str) -> None:
        do = "name another file, or another repository"
        super().__init__(
            f"the hub's sizes of {what} disagree: its list says {int(listed)} bytes, the file has {has}", do
        )


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


def stream(model: HubModel, part: HubFile, start: int, end: int) -> Iterator[tuple[bytes, int]]:
    """Bytes start to end of a remote file as (chunk, where it begins); never more than that.

    Raises ModelMissing; Broken where another try may help, SizesDisagree, any other NetworkError. A server that ignores
    the range begins at 0: then the first chunk says so.
    """
    from huggingface_hub import constants

    if start >= end:
        return
    url = f"{constants.ENDPOINT}/{model.repo}/resolve/{model.commit}/{quote(part.name)}"
    what = f"{model.repo}:{part.name}"
    with _get(url, what, {"Range": f"bytes={int(start)}-{int(end) - 1}"}) as response:
        if response.status_code == 416:  # though it begins inside of the size that was listed
            raise SizesDisagree(what, part.size, "fewer")
        at, size = _begins(response, start)
        if size is not None and size != part.size:
            raise SizesDisagree(what, part.size, str(size))
        for chunk in response.iter_bytes():  # of any size: a fixed one would lose its rest when the connection breaks
            chunk = chunk[: end - at]
            if not chunk:
                return
            yield chunk, at
            at += len(chunk)


@contextmanager
def _get(url: str, what: str, headers: dict[str, str] | None = None) -> Iterator[Any]:
    """A response whose body is still to be read; what fails while it is read is said as well. Only a 416 is left to the
    caller."""
    from huggingface_hub.utils import build_hf_headers, get_session, hf_raise_for_status

    headers = {**build_hf_headers(library_name="accel"), "Accept-Encoding": "identity", **(headers or {})}
    with _said(what), get_session().stream("GET", url, headers=headers, timeout=PATIENCE) as response:
        if response.status_code != 416:
            hf_raise_for_status(response)
        yield response


def _begins(response: Any, asked: int) -> tuple[int, int | None]:
    """Where in the file the body begins, and how long the whole file is, if that is told."""
    if response.status_code != 206:
        length = response.headers.get("Content-Length", "")
        if "Content-Encoding" in response.headers or not re.fullmatch(r"\d{1,18}", length, re.ASCII):
            return 0, None
        return 0, int(length)
    told = re.fullmatch(r"bytes (\d{1,18})-\d{1,18}/(\d{1,18}|\*)", response.headers.get("Content-Range", ""), re.ASCII)
    if not told or int(told[1]) != asked:
        raise NetworkError("the server sent another part of the file than was asked for", "check HF_ENDPOINT")
    return asked, None if told[2] == "*" else int(told[2])


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
