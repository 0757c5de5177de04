"""Keys of the daemon: made here, shown once, kept as hashes.

A key is 32 random bytes, so a plain hash of it cannot be searched for; the file holds nothing that lets anybody in.
"""

import hmac
import secrets
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Annotated

import msgspec

from ...devices.files import write_atomic
from ...devices.paths import config_dir
from ...errors import StateError

PREFIX = "accel-"
_LONGEST_FILE = 2**20
_LONGEST_KEY = 512
_Hash = Annotated[str, msgspec.Meta(pattern="^[0-9a-f]{64}$")]


class _Kept(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    hashes: tuple[_Hash, ...] = ()
    version: int = 1


@dataclass(frozen=True, slots=True)
class Keys:
    """Hashes of the keys that let somebody in."""

    hashes: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.hashes)

    def lets_in(self, key: str) -> bool:
        """Takes as long whatever is given, and whichever key it is."""
        given = _hash(key[:_LONGEST_KEY])
        found = False
        for known in self.hashes:
            found |= hmac.compare_digest(given, known)
        return found


def key_file() -> Path:
    return config_dir() / "keys.json"


def new_key() -> str:
    return PREFIX + secrets.token_urlsafe(32)


def read_keys(file: Path) -> Keys:
    """None where there is no file. Raises StateError for a damaged one: nobody is let in by mistake."""
    try:
        if file.stat().st_size > _LONGEST_FILE:
            raise msgspec.DecodeError("too long")
        return Keys(msgspec.json.decode(file.read_bytes(), type=_Kept).hashes)
    except FileNotFoundError:
        return Keys()
    except (OSError, msgspec.DecodeError) as error:
        raise StateError(f"the keys in {file} cannot be read: {error}", "delete the file and make new ones") from error


def add_key(file: Path) -> str:
    """A new key, which is told nobody else and never again. Raises StateError, DiskFull."""
    key, keys = new_key(), read_keys(file)
    file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    write_atomic(file, msgspec.json.encode(_Kept((*keys.hashes, _hash(key)))))
    file.chmod(0o600)
    return key


def _hash(key: str) -> str:
    return sha256(key.encode(errors="replace")).hexdigest()
