"""Downloads that resume: a file counts only once it is whole and its checksum is right."""

import glob
import hashlib
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO

from ...errors import NetworkError
from .hub import Broken, SizesDisagree, stream
from .reference import HubFile, HubModel

CHUNK = 2**20
TRIES = 5  # in a row that bring nothing


def download(model: HubModel, part: HubFile, target: Path, progress: Callable[[int], object]) -> None:
    """Fetches one file to `target`, which then is whole and checked; `progress` is told how many bytes are there.

    What an interrupted download left beside it is continued. Raises ModelMissing and NetworkError (what came stays, to
    be continued, unless its size or checksum is wrong) and OSError (a full disk; nothing stays).
    """
    unfinished = unfinished_file(model, part, target)
    for old in all_unfinished(target):
        if old != unfinished:
            old.unlink()
    try:
        with unfinished.open("a+b") as file:
            digest = _fetch(model, part, file, progress)
    except (OSError, SizesDisagree):
        unfinished.unlink(missing_ok=True)
        raise
    if part.sha256 and digest != part.sha256:
        unfinished.unlink()
        raise NetworkError(f"{part.name} came damaged: its checksum is wrong", "try again")
    unfinished.replace(target)


def unfinished_file(model: HubModel, part: HubFile, target: Path) -> Path:
    """Where a download of this version grows, beside the file that it is to become."""
    return target.with_name(f"{target.name}.{(part.sha256 or model.commit)[:16]}.part")


def all_unfinished(target: Path) -> list[Path]:
    """What interrupted downloads left of a file, of any version."""
    return list(target.parent.glob(glob.escape(target.name) + ".*.part"))


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
