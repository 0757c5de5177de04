"""The small files in which a Linux kernel tells about the machine; where there are none, they read as empty.

Every reader takes the root they lie under, so that a made-up tree can stand for a machine.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

_MOST = 1 << 20
_ESCAPED = re.compile(r"\\([0-7]{3})")


@dataclass(frozen=True, slots=True)
class Mount:
    """One line of /proc/self/mountinfo."""

    device: str  # "254:0"
    shown: str  # the part of the file system that is mounted here
    point: str
    read_only: bool
    kind: str  # "ext4", "cgroup2", ...
    source: str  # "/dev/vda", "overlay", ...
    options: tuple[str, ...]  # of the file system itself


def read_text(file: Path, most: int = _MOST) -> str:
    """A file's first `most` bytes; empty where it is not there or may not be read."""
    try:
        with file.open("rb") as source:
            return source.read(most).decode(errors="replace")
    except OSError:
        return ""


def read_number(file: Path) -> int | None:
    return whole_number(read_text(file, 64).strip())


def whole_number(text: str) -> int | None:
    """None for anything but digits: "max", "-1", an empty text."""
    return int(text) if text.isdecimal() and len(text) <= 20 else None


def mounts(root: Path) -> Iterator[Mount]:
    """What is mounted where, as this process sees it."""
    for line in read_text(root / "proc/self/mountinfo").splitlines():
        before, _, after = line.partition(" - ")
        where, what = before.split(" "), after.split(" ")
        if len(where) >= 6 and len(what) >= 3:
            shown, point, source = (_unescaped(text) for text in (where[3], where[4], what[1]))
            read_only = "ro" in where[5].split(",")
            yield Mount(where[2], shown, point, read_only, what[0], source, tuple(what[2].split(",")))


def _unescaped(text: str) -> str:
    return _ESCAPED.sub(lambda code: chr(int(code[1], 8)), text)
