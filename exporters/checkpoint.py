"""A Hugging Face checkpoint folder, read as hostile: its JSON files, and where every tensor's values lie."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path
from typing import Any, TypeVar

import msgspec
import numpy as np

from ..errors import ConvertError
from ..units import Bytes

MOST_CONFIG = 4 * 2**20  # of a JSON file
MOST_LIST = 64 * 2**20  # of one that lists tensors or tokens: the largest published ones have some 35 MB
MOST_NUMBER = 2**24  # of widths, layers, heads: above it a configuration is hostile
_MOST_HEADER = 32 * 2**20
_AGAIN = "download the checkpoint again"
_STORED = {"F32": np.dtype("<f4"), "F16": np.dtype("<f2"), "BF16": np.dtype("<u2")}

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Stored:
    """A tensor in a safetensors file."""

    name: str
    shape: tuple[int, ...]
    type: str  # a key of _STORED
    file: Path
    offset: int  # from the start of `file`

    def rows(self, most: int) -> Iterator[np.ndarray]:
        """Its values as float32 [rows, last dimension], in pieces of about `most` values."""
        width = self.shape[-1]
        total, step = math.prod(self.shape) // width, max(1, most // width)
        dtype = _STORED[self.type]
        with self.file.open("rb") as file:
            file.seek(self.offset)
            for start in range(0, total, step):
                count = min(step, total - start) * width
                values = np.fromfile(file, dtype, count)
                if values.size != count:
                    raise ConvertError(f"{self.file} shrank while it was read", _AGAIN)
                yield _widen(values, self.type).reshape(-1, width)


def _widen(values: np.ndarray, type: str) -> np.ndarray:
    if type == "BF16":  # numpy has no bfloat16: it is the upper half of a float32
        return (values.astype(np.uint32) << 16).view(np.float32)
    return values.astype(np.float32, copy=False)


@dataclass(frozen=True, slots=True)
class Config:
    """config.json."""

    path: Path
    values: dict[str, Any]

    def get(self, key: str, kind: type[T], default: T | None = None) -> T:
        """The value under `key`, or the default where it is absent or null; ConvertError where there is neither."""
        value = self.values.get(key)
        value = default if value is None else value
        if value is None:
            raise ConvertError(f"{self.path} has no '{key}'", _AGAIN)
        if type(value) is not kind:  # a bool is no int here
            raise ConvertError(f"{self.path} holds no {kind.__name__} under '{key}'", _AGAIN)
        return value

    def count(self, key: str, default: int | None = None) -> int:
        """A number of things: at least one, at most MOST_NUMBER."""
        value = self.get(key, int, default)
        if not 0 < value <= MOST_NUMBER:
            raise ConvertError(f"{self.path} claims {value!r:.40} for '{key}'", _AGAIN)
        return value

    def positive(self, key: str, default: float | None = None) -> float:
        """A number above 0, written with or without a decimal point."""
        whole = type(self.values.get(key)) is int
        value = self.get(key, int) if whole else self.get(key, float, default)
        if not 0 < value < 1e30:
            raise ConvertError(f"{self.path} claims {value!r:.40} for '{key}'", _AGAIN)
        return float(value)

    def inner(self, key: str) -> "Config":
        """The object under `key`; an empty one where it is absent or null."""
        return Config(self.path, self.get(key, dict, {}))


def read_text(path: Path, most: int = MOST_CONFIG) -> str:
    """A text file. Raises ConvertError where it is absent, unreadable or larger than `most` bytes."""
    try:
        if path.stat().st_size > most:
            raise ConvertError(f"{path} is larger than {Bytes(most)}", _AGAIN)
        return path.read_text(encoding="utf-8")
    except FileNotFoundError as error:
        raise ConvertError(f"{path} is missing", "give the folder of a whole Hugging Face checkpoint") from error
    except (OSError, ValueError) as error:
        raise ConvertError(f"{path} cannot be read: {error}", "check its permissions, or " + _AGAIN) from error


def read_json(path: Path, kind: type[T], most: int = MOST_CONFIG) -> T:
    """A JSON file of a known form. Raises ConvertError."""
    return parse_json(path, read_text(path, most), kind)


def parse_json(path: Path, text: str | msgspec.Raw, kind: type[T]) -> T:
    try:
        return msgspec.json.decode(text, type=kind)
    except (msgspec.MsgspecError, RecursionError) as error:
        raise ConvertError(f"{path} is not what it should be: {error}", _AGAIN) from error


def read_config(path: Path) -> Config:
    """An object of a JSON file. Raises ConvertError."""
    return Config(path, read_json(path, dict[str, Any]))


def read_optional(path: Path) -> Config:
    """The same of a file that need not be there."""
    return read_config(path) if path.exists() else Config(path, {})


def read_tensors(folder: Path) -> dict[str, Stored]:
    """All tensors of a checkpoint, from the headers of its safetensors files. Raises ConvertError."""
    tensors: dict[str, Stored] = {}
    for path in _files(folder):
        for tensor in _read_header(path):
            if tensors.setdefault(tensor.name, tensor) is not tensor:
                raise ConvertError(f"two files of {folder} hold '{tensor.name[:80]}'", _AGAIN)
    return tensors


class _Index(msgspec.Struct):
    weight_map: dict[str, str]


def _files(folder: Path) -> list[Path]:
    index = folder / "model.safetensors.index.json"
    if index.exists():
        names = set(read_json(index, _Index, MOST_LIST).weight_map.values())
        strange = [name for name in names if not name or name != Path(name).name]
        if strange or not names:
            raise ConvertError(f"{index} names files outside its folder, or none", _AGAIN)
        missing = sorted(name for name in names if not (folder / name).is_file())
        if missing:
            raise ConvertError(f"{folder} lacks {missing[0]} ({len(missing)} of {len(names)} files missing)", _AGAIN)
        return [folder / name for name in sorted(names)]
    if (folder / "model.safetensors").is_file():
        return [folder / "model.safetensors"]
    if any(folder.glob("*.bin")):
        raise ConvertError(
            f"{folder} holds pickled weights only, which can run code when they are read",
            "get the safetensors files of the checkpoint",
        )
    raise ConvertError(f"there is no model.safetensors in {folder}", "give the folder of a Hugging Face checkpoint")


def _read_header(path: Path) -> list[Stored]:
    from safetensors import SafetensorError, safe_open

    try:
        size = path.stat().st_size
        with path.open("rb") as file:
            if int.from_bytes(file.read(8), "little") > _MOST_HEADER:
                raise ConvertError(f"{path} claims a header of more than {Bytes(_MOST_HEADER)}", _AGAIN)
        with safe_open(path, framework="numpy") as file:  # judges lengths, offsets and the file's size
            found = [(name, file.get_slice(name)) for name in file.offset_keys()]
            found = [(name, each.get_dtype(), tuple(each.get_shape())) for name, each in found]
    except (SafetensorError, OSError, ValueError) as error:
        raise ConvertError(f"{path} is no sound safetensors file: {error}", _AGAIN) from error
    for name, type, shape in found:
        if type not in _STORED:
            do = f"get the checkpoint in one of {', '.join(_STORED)}"
            raise ConvertError(f"{path} holds '{name[:80]}' as {type}", do)
        if not shape or not math.prod(shape):
            raise ConvertError(f"{path} holds '{name[:80]}' of shape {shape}", _AGAIN)
    # There are no holes in a sound file: each tensor starts where the one before it ends, and the last with the file.
    sizes = [math.prod(shape) * _STORED[type].itemsize for _, type, shape in found]
    starts = accumulate(sizes, initial=size - sum(sizes))
    return [Stored(name, shape, type, path, start) for (name, type, shape), start in zip(found, starts, strict=False)]
