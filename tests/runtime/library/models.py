"""Models as a hub serves them, and checks that pass or refuse their headers."""

import hashlib
import json
import os
import struct

from accel.errors import PlanRefused
from accel.offload.gguf_header import read_header
from accel.runtime.library.reference import Reference

REPO = "owner/tiny"
COMMIT = "0123456789abcdef0123456789abcdef01234567"  # which the hub of the tests serves


def text(value: str) -> bytes:
    return struct.pack("<Q", len(value.encode())) + value.encode()


def gguf(size: int, note: str = "", keys: dict[str, int] | None = None, tensor: str = "w") -> bytes:
    """A sound GGUF of one F32 tensor of `size` values; `note` makes the header as long as one likes."""
    pairs = text("note") + struct.pack("<I", 8) + text(note)
    for key, value in (keys or {}).items():
        pairs += text(key) + struct.pack("<II", 4, value)
    head = b"GGUF" + struct.pack("<IQQ", 3, 1, 1 + len(keys or {})) + pairs
    head += text(tensor) + struct.pack("<IQIQ", 1, size, 0, 0)
    return head + b"\0" * (-len(head) % 32) + os.urandom(4 * size)


def listing(files: dict[str, bytes], off: int) -> bytes:
    """A hub's list of files whose sizes are `off` by so many bytes."""
    siblings = [
        {"rfilename": name, "size": len(body) + off, "lfs": {"sha256": hashlib.sha256(body).hexdigest()}}
        for name, body in files.items()
    ]
    return json.dumps({"sha": COMMIT, "siblings": siblings}).encode()


def sound(path):
    return read_header(path)


def refuse(path):
    raise PlanRefused("too large", "take a smaller one")


def get(library, wanted, check=sound, **more):
    said = []
    return library.get(Reference.parse(wanted), check, said.append, **more), said
