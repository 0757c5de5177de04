"""The file form of one sequence's cache: who made it, how long it is, and a checksum, around an engine's own bytes."""

import struct
from hashlib import blake2b
from typing import BinaryIO

from ...errors import StateError

_MAGIC = b"accel-kv"
_VERSION = 1
_HEADER = struct.Struct("<8sIQQ16s32s")  # magic, version, positions, bytes, maker, checksum
_CHUNK = 2**20
_DO = "prefill the conversation again"


def write_state(sink: BinaryIO, maker: str, positions: int, payload: memoryview) -> None:
    """`maker` says engine, model and cache format; only a reader that says the same may have the payload."""
    sink.write(_HEADER.pack(_MAGIC, _VERSION, positions, payload.nbytes, _digest(maker), _checksum(positions, payload)))
    sink.write(payload)


def read_state(source: BinaryIO, maker: str, most_positions: int, most_bytes: int) -> tuple[int, bytearray]:
    """(positions, payload) of a state that `maker` wrote, all of it checked. Raises StateError.

    Memory is taken as bytes arrive, never as the header promises.
    """
    header = _read(source, _HEADER.size)
    if len(header) < _HEADER.size or header[:8] != _MAGIC:
        raise StateError("this is no saved state", _DO)
    _, version, positions, size, made_by, checksum = _HEADER.unpack(header)
    if version != _VERSION or made_by != _digest(maker):
        raise StateError("the saved state is of another model, engine or cache format", _DO)
    if positions > most_positions or size > most_bytes:
        raise StateError(f"the saved state of {positions} positions is larger than the context", _DO)
    payload = _read(source, size)
    if len(payload) < size or _checksum(positions, memoryview(payload)) != checksum:
        raise StateError("the saved state is damaged", _DO)
    return positions, payload


def _read(source: BinaryIO, size: int) -> bytearray:
    data = bytearray()
    try:
        while len(data) < size and (chunk := source.read(min(_CHUNK, size - len(data)))):
            data += chunk
    except OSError as error:
        raise StateError(f"the saved state cannot be read ({error.strerror})", _DO) from error
    return data


def _digest(maker: str) -> bytes:
    return blake2b(maker.encode(), digest_size=16).digest()


def _checksum(positions: int, payload: memoryview) -> bytes:
    return blake2b(payload, digest_size=32, salt=positions.to_bytes(8, "little")).digest()
