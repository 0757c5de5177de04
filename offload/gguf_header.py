"""The header of a GGUF file, read as hostile: what it says of itself, and where every tensor's bytes lie.

Layout (ggml's docs/gguf.md): magic, version, number of tensors, number of keys; the keys with typed values; one record
per tensor; padding; the tensors' bytes. A model may be split over files named `...-00001-of-00003.gguf`.
"""

import errno
import hashlib
import math
import re
import stat
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from ..errors import (
    ModelDamaged,
    ModelEmpty,
    ModelIsDirectory,
    ModelMissing,
    ModelTruncated,
    ModelUnreadable,
    ModelUnsupported,
)
from ..units import Bytes

# What the headers of all files of one model may hold together, beside what those of the largest published models hold.
# Together these limits keep a reader below a second and 200 MB.
MOST_HEADER = 32 * 2**20  # 16 MiB: 260,000 tokens and twice as many merges
_MOST = {
    "bytes of header": MOST_HEADER,
    "keys": 2**14,  # 100, and 3 in each further file
    "tensors": 2**15,  # 3,000: experts that were not merged
    "strings in arrays": 3 * 2**19,  # 800,000: tokens and merges
    "bytes of text": 2**22,  # 300 kB of names, licences and chat templates; each may take 4 bytes in memory
}
MOST_PARTS = 999
_MOST_TEXT = 2**20  # one chat template has 100 kB at most
_MOST_KEY = 2**10
_MOST_NAME = 127  # of a tensor: ggml itself takes 63 bytes
_NEVER_READ = "tokenizer.huggingface.json"  # repeats the vocabulary, in many megabytes of text
_CHUNK = 2**16  # a further file has a short header, and there may be hundreds

_BY_NUMBER = {  # as ggml numbers them: name, values per block, bytes per block
    0: ("F32", 1, 4),
    1: ("F16", 1, 2),
    2: ("Q4_0", 32, 18),
    3: ("Q4_1", 32, 20),
    6: ("Q5_0", 32, 22),
    7: ("Q5_1", 32, 24),
    8: ("Q8_0", 32, 34),
    9: ("Q8_1", 32, 36),
    10: ("Q2_K", 256, 84),
    11: ("Q3_K", 256, 110),
    12: ("Q4_K", 256, 144),
    13: ("Q5_K", 256, 176),
    14: ("Q6_K", 256, 210),
    15: ("Q8_K", 256, 292),
    16: ("IQ2_XXS", 256, 66),
    17: ("IQ2_XS", 256, 74),
    18: ("IQ3_XXS", 256, 98),
    19: ("IQ1_S", 256, 50),
    20: ("IQ4_NL", 32, 18),
    21: ("IQ3_S", 256, 110),
    22: ("IQ2_S", 256, 82),
    23: ("IQ4_XS", 256, 136),
    24: ("I8", 1, 1),
    25: ("I16", 1, 2),
    26: ("I32", 1, 4),
    27: ("I64", 1, 8),
    28: ("F64", 1, 8),
    29: ("IQ1_M", 256, 56),
    30: ("BF16", 1, 2),
    34: ("TQ1_0", 256, 54),
    35: ("TQ2_0", 256, 66),
    39: ("MXFP4", 32, 17),
    40: ("NVFP4", 64, 36),
    41: ("Q1_0", 128, 18),
    42: ("Q2_0", 64, 18),
}
FORMATS: dict[str, tuple[int, int]] = {name: (block, size) for name, block, size in _BY_NUMBER.values()}
NUMBER_OF: dict[str, int] = {name: number for number, (name, _, _) in _BY_NUMBER.items()}

_STRING, _ARRAY = 8, 9
_NUMERIC = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q", 12: "d"}
_LAYOUT = {code: struct.Struct("<" + code) for code in _NUMERIC.values()}
_length = _LAYOUT["Q"].unpack_from
_PART_NAME = re.compile(r"(?P<stem>.*)-\d{5}-of-(?P<count>\d{5})\.gguf", re.DOTALL)
_AGAIN = "download or convert the model again"


@dataclass(frozen=True, slots=True)
class Array:
    """An array of the metadata, left as bytes until someone asks: a vocabulary has some 100,000 strings."""

    kind: int
    count: int
    _raw: memoryview  # exactly the elements

    def numbers(self) -> tuple[Any, ...]:
        """The elements; none where they are text."""
        return () if self.kind == _STRING else struct.unpack(f"<{self.count}{_NUMERIC[self.kind]}", self._raw)

    def begins_as(self, other: "Array") -> bool:
        """Whether both hold the same, as far as the shorter goes: a text has its length before it."""
        short, long = sorted((self, other), key=lambda array: array.count)
        return short.kind == long.kind and long._raw[: len(short._raw)] == short._raw

    def index(self, wanted: frozenset[bytes]) -> dict[bytes, int]:
        """Where in the array these texts stand; those that are absent are left out."""
        found: dict[bytes, int] = {}
        firsts = {text[0] for text in wanted if text}  # few texts begin so: the others are passed without being copied
        raw, at, unpack = self._raw, 0, _length
        for number in range(self.count if self.kind == _STRING else 0):
            start = at + 8
            at = start + unpack(raw, at)[0]
            if at > start and raw[start] in firsts and (text := bytes(raw[start:at])) in wanted:
                found[text] = number
        return found


Value = int | float | bool | str | Array


@dataclass(frozen=True, slots=True)
class Tensor:
    name: str
    shape: tuple[int, ...]  # the dimension that lies together in memory first
    format: str  # a key of FORMATS
    file: Path
    offset: int  # from the start of `file`
    size: Bytes


@dataclass(frozen=True, slots=True)
class Header:
    """What all files of one model say; `metadata` is the first file's."""

    files: tuple[Path, ...]
    sizes: tuple[Bytes, ...]
    metadata: dict[str, Value]
    tensors: dict[str, Tensor]
    fingerprint: str  # of the headers' bytes and the files' sizes


def read_header(path: Path) -> Header:
    """The header of a model, of all its files where it is split (any of them may be named).

    Raises a ModelError: Missing, IsDirectory, Unreadable, Empty, Truncated, Damaged or Unsupported.
    """
    budget = _Budget()
    part = _read_part(path, budget)
    count = max(1, _split_number(part, "split.count", 1))
    files = _part_names(part, count) if count > 1 else (path,)
    if files[0] != path:
        part = _read_part(files[0], budget)
    first, sizes, digest = part, list[Bytes](), hashlib.blake2b(digest_size=16)
    tensors: dict[str, Tensor] = {}
    for number, file in enumerate(files):
        part = _read_part(file, budget) if number else first
        if count > 1:
            _check_part(part, number, count)
        sizes.append(part.size)
        digest.update(part.raw)
        digest.update(part.size.to_bytes(8, "little"))
        for tensor in part.tensors:
            if tensors.setdefault(tensor.name, tensor) is not tensor:
                raise _damaged(part.path, f"names the tensor '{tensor.name[:80]}' twice")
    promised = _split_number(first, "split.tensors.count", -1)
    if count > 1 and promised not in (-1, len(tensors)):
        raise _damaged(first.path, f"promises {promised} tensors in {count} files, which hold {len(tensors)}")
    return Header(files, tuple(sizes), first.metadata, tensors, digest.hexdigest())


def first_file(path: Path) -> Path:
    """The file of a model that comes first, going by its name."""
    name = _PART_NAME.fullmatch(path.name)
    return path.with_name(f"{name['stem']}-00001-of-{name['count']}.gguf") if name else path


class _Budget:
    """What all files of one model may still claim: a header is hostile by its cost, and so are many together."""

    def __init__(self) -> None:
        self._left = dict(_MOST)

    def spend(self, path: Path, what: str, amount: int) -> None:
        """Raises ModelDamaged; `what` is a key of _MOST."""
        self._left[what] -= amount
        if self._left[what] < 0:
            raise _damaged(path, f"claims more than the {_MOST[what]} {what} that a model may have here")


@dataclass(frozen=True, slots=True)
class _Part:
    """One file of a model."""

    path: Path
    size: Bytes
    raw: memoryview  # the whole header; its arrays are views of it
    metadata: dict[str, Value]
    tensors: list[Tensor]


def _part_names(part: _Part, count: int) -> tuple[Path, ...]:
    name = _PART_NAME.fullmatch(part.path.name)
    if count > MOST_PARTS or not name or int(name["count"]) != count:
        raise _damaged(part.path, f"says that it is one of {count} files, and its name does not")
    stem = name["stem"]
    return tuple(part.path.with_name(f"{stem}-{number:05d}-of-{count:05d}.gguf") for number in range(1, count + 1))


def _check_part(part: _Part, number: int, count: int) -> None:
    if _split_number(part, "split.count", 1) != count or _split_number(part, "split.no", 0) != number:
        raise _damaged(part.path, f"is not file {number + 1} of {count} of its model")


def _split_number(part: _Part, key: str, default: int) -> int:
    value = part.metadata.get(key, default)
    if not isinstance(value, int):
        raise _damaged(part.path, f"holds no number under '{key}'")
    return value


def _read_part(path: Path, budget: _Budget) -> _Part:
    try:
        about = path.stat()
        if stat.S_ISDIR(about.st_mode):
            raise ModelIsDirectory(f"{path} is a folder", "name the model file in it")
        if not stat.S_ISREG(about.st_mode):  # a pipe or a device would never end
            raise ModelUnreadable(f"{path} is not a regular file", "name a GGUF file")
        if about.st_size == 0:
            raise ModelEmpty(f"{path} is empty", _AGAIN)
        with path.open("rb", buffering=0) as file:
            return _parse(_Cursor(path, file, about.st_size, budget))
    except (FileNotFoundError, NotADirectoryError, ValueError) as error:  # ValueError: a NUL in the path
        raise ModelMissing(f"there is no file {str(path)!r}", "check the path") from error
    except OSError as error:
        denied = error.errno in (errno.EACCES, errno.EPERM)
        do = "give yourself permission to read it" if denied else "check the disk and the path"
        raise ModelUnreadable(f"{path} cannot be read: {error.strerror}", do) from error


def _damaged(path: Path, what: str) -> ModelDamaged:
    return ModelDamaged(f"{path} {what}", _AGAIN)


class _Cursor:
    """Walks a header from its start, reading as far as it is needed and never beyond the file or the budget."""

    def __init__(self, path: Path, file: BinaryIO, size: int, budget: _Budget) -> None:
        self.path, self.size, self.at = path, size, 0
        self._file, self._read, self._budget = file, bytearray(), budget

    def spend(self, what: str, amount: int) -> None:
        self._budget.spend(self.path, what, amount)

    def take(self, length: int) -> int:
        """Passes `length` bytes, which are then in memory; where they start."""
        start, self.at = self.at, self.at + length
        self.spend("bytes of header", length)
        if self.at > self.size:
            raise self.truncated(f"its header goes on beyond its {self.size} bytes")
        while len(self._read) < self.at:
            more = self._file.read(_CHUNK)
            if not more:
                raise self.truncated("it shrank while it was read")
            self._read += more
        return start

    def truncated(self, what: str) -> ModelTruncated:
        return ModelTruncated(
            f"{self.path} is not whole: {what}", "its download was probably cut short: fetch it again"
        )

    def number(self, code: str) -> int:
        layout = _LAYOUT[code]
        return layout.unpack_from(self._read, self.take(layout.size))[0]

    def count(self, what: str, most: int, code: str = "Q") -> int:
        value = self.number(code)
        if value > most:
            raise _damaged(self.path, f"claims {value} {what}")
        return value

    def claim(self, what: str) -> int:
        """A count of what the model may have only so many of."""
        value = self.number("Q")
        self.spend(what, value)
        return value

    def text(self, most: int) -> str:
        length = self.count("bytes in one string", most)
        self.spend("bytes of text", length)
        start = self.take(length)
        try:
            return self._read[start : self.at].decode()
        except UnicodeDecodeError as error:
            raise _damaged(self.path, f"holds text that is not UTF-8 at byte {start + error.start}") from error

    def pass_texts(self, count: int) -> None:
        self.spend("strings in arrays", count)
        at, read, unpack = self.at, self._read, _length
        last = len(read) - 8  # where a length can stand
        for _ in range(count):
            if at > last:
                self.take(at + 8 - self.at)
                last = len(read) - 8
            at += 8 + unpack(read, at)[0]
        self.take(at - self.at)

    def raw(self) -> memoryview:
        """All that was passed; nothing can be read any more."""
        return memoryview(self._read).toreadonly()[: self.at]


def _parse(cursor: _Cursor) -> _Part:
    if cursor.size < 4 or cursor.number("I") != int.from_bytes(b"GGUF", "little"):
        raise _damaged(cursor.path, "is not a GGUF file")
    version = cursor.number("I")
    if version not in (2, 3):
        what = "for big-endian machines" if version & 0xFFFF == 0 else f"of version {version}, not 2 or 3"
        raise ModelUnsupported(f"{cursor.path} is a GGUF {what}", "convert the model again")
    tensor_count = cursor.claim("tensors")
    key_count = cursor.claim("keys")
    metadata, arrays = _parse_metadata(cursor, key_count)
    alignment = metadata.get("general.alignment", 32)
    if not isinstance(alignment, int) or not 0 < alignment <= 2**20 or alignment & (alignment - 1):
        raise _damaged(cursor.path, f"claims an alignment of {alignment!r:.40}")
    records = [_parse_tensor(cursor) for _ in range(tensor_count)]
    raw = cursor.raw()
    for key, (kind, count, start, end) in arrays.items():
        metadata[key] = Array(kind, count, raw[start:end])
    tensors = _place(cursor, records, alignment)
    return _Part(cursor.path, Bytes(cursor.size), raw, metadata, tensors)


def _parse_metadata(cursor: _Cursor, count: int) -> tuple[dict[str, Value], dict[str, tuple[int, int, int, int]]]:
    """Single values, and where arrays lie: (kind, count, start, end) in the header."""
    metadata: dict[str, Value] = {}
    arrays: dict[str, tuple[int, int, int, int]] = {}
    for _ in range(count):
        key, kind = cursor.text(_MOST_KEY), cursor.number("I")
        if key in metadata or key in arrays:
            raise _damaged(cursor.path, f"holds the key '{key[:80]}' twice")
        if kind == _ARRAY:
            arrays[key] = _pass_array(cursor)
        elif kind == _STRING and key == _NEVER_READ:
            cursor.take(cursor.number("Q"))
        elif kind == _STRING:
            metadata[key] = cursor.text(_MOST_TEXT)
        elif kind in _NUMERIC:
            metadata[key] = cursor.number(_NUMERIC[kind])
        else:
            raise _damaged(cursor.path, f"holds a value of unknown kind {kind} under '{key[:80]}'")
    return metadata, arrays


def _pass_array(cursor: _Cursor) -> tuple[int, int, int, int]:
    kind, count = cursor.number("I"), cursor.number("Q")
    start = cursor.at
    if kind == _STRING:
        cursor.pass_texts(count)
    elif kind in _NUMERIC:
        cursor.take(count * _LAYOUT[_NUMERIC[kind]].size)
    else:
        raise _damaged(cursor.path, "holds an array of arrays" if kind == _ARRAY else f"holds an array of kind {kind}")
    return kind, count, start, cursor.at


def _parse_tensor(cursor: _Cursor) -> tuple[str, tuple[int, ...], str, int]:
    """(name, shape, format, offset from the start of the tensors' bytes)"""
    name = cursor.text(_MOST_NAME)
    shape = tuple(cursor.number("Q") for _ in range(cursor.count("dimensions of one tensor", 4, "I")))
    number, offset = cursor.number("I"), cursor.number("Q")
    if number not in _BY_NUMBER:
        raise ModelUnsupported(f"{cursor.path} holds '{name[:80]}' in a format unknown here ({number})", _AGAIN)
    return name, shape, _BY_NUMBER[number][0], offset


def _place(cursor: _Cursor, records: list[tuple[str, tuple[int, ...], str, int]], alignment: int) -> list[Tensor]:
    data = -(-cursor.at // alignment) * alignment
    tensors = []
    for name, shape, format, offset in records:
        block, size = FORMATS[format]
        values = math.prod(shape)
        if not shape or not 0 < values < 2**60 or shape[0] % block or offset % alignment:
            raise _damaged(cursor.path, f"claims a tensor '{name[:80]}' that cannot be: {format} {shape} at {offset}")
        tensors.append(Tensor(name, shape, format, cursor.path, data + offset, Bytes(values // block * size)))
    end = data
    for tensor in sorted(tensors, key=lambda tensor: tensor.offset):
        if tensor.offset < end:
            raise _damaged(cursor.path, f"claims two tensors in one place, one of them '{tensor.name[:80]}'")
        end = tensor.offset + tensor.size
        if end > cursor.size:
            missing = Bytes(end - cursor.size)
            raise cursor.truncated(f"at least {missing} are missing")
    return tensors
