"""Prompts that no sequence holds any more: their key-value caches, in memory and on disk, until one begins alike.

What was used longest ago goes first: from memory to disk, from disk for good. Nobody waits for the disk; each file is a
list of tokens and an engine's state of them (engines/state.py), and takes its place whole or not at all; who made it is
checked, so that another model, engine or cache format never takes it, and what is damaged is dropped. Both bounds hold
for bytes of states.
"""

import io
import os
import time
from array import array
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path
from typing import BinaryIO

import numpy as np

from ..devices.files import PART, open_atomic
from ..errors import AccelError, StateError
from ..units import Bytes
from .engines.base import Engine
from .engines.state import read_state, write_state
from .prefix import common_prefix
from .prompt_files import ENDING

LEAST = 64  # tokens: fewer are forwarded as soon as they are found
_TOKENS = "tokens of a prompt"
_MOST_ENTRIES = 4096


@dataclass(slots=True, eq=False)
class Entry:
    """One prompt that was put away: its state is in `held`, or else in the file."""

    tokens: "array[int]"  # a list takes nine times as much, and prompts may be thousands
    size: int  # bytes
    path: Path
    held: bytes | None = None
    on_disk: bool = False


@dataclass(frozen=True, slots=True)
class Found:
    entry: Entry
    common: int  # tokens


class PromptCache:
    """See the module's docstring. Not for two threads; two processes at one folder cost each other entries, no more."""

    def __init__(self, engine: Engine, folder: Path, memory: Bytes, disk: Bytes) -> None:
        """`folder` is this model's own; what lies there already counts. Raises AccelError where it cannot be used."""
        self._engine = engine
        self._folder = folder
        self._most_held, self._most_on_disk = memory, disk
        self._entries: dict[Entry, None] = {}  # used longest ago first
        self._alike: dict[bytes, list[Entry]] = {}  # by how they begin: there may be thousands
        self.held = Bytes(0)  # in memory
        self.on_disk = Bytes(0)
        self.hits = 0  # times that one came back
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._read_folder()
        except OSError as error:
            raise AccelError(f"the prompt cache in {folder} cannot be used: {error.strerror}") from error

    def __len__(self) -> int:
        return len(self._entries)

    def closest(self, tokens: Sequence[int], room: int) -> Found | None:
        """The entry of at most `room` positions that has most of a prompt, `LEAST` tokens or more."""
        best, tokens = None, _packed(tokens)
        for entry in self._alike.get(_beginning(tokens), ()):
            if len(entry.tokens) <= room:
                common = common_prefix(entry.tokens, tokens)
                if common == len(entry.tokens) or self._engine.can.rollback:
                    best = Found(entry, common) if common > (best.common if best else 0) else best
        return best

    @property
    def in_memory(self) -> bool:
        """Whether there is any memory for them."""
        return self._most_held > 0

    def put(self, seq: int, tokens: Sequence[int]) -> bool:
        """Keep what a sequence holds, and whether it is kept: not where there is no room for it, or the disk fails."""
        tokens = _packed(tokens)
        if len(tokens) < LEAST:
            return False
        alike = self._alike.get(_beginning(tokens), ())
        if covering := next((entry for entry in alike if entry.tokens[: len(tokens)] == tokens), None):
            self._touch(covering)
            return True
        for entry in [entry for entry in alike if tokens[: len(entry.tokens)] == entry.tokens]:
            self._drop(entry)
        entry = Entry(tokens, 0, self._folder / f"{_digest(tokens)}{ENDING}")
        with suppress(AccelError, OSError):
            if self._fits_memory(len(tokens)):
                sink = io.BytesIO()
                self._write(sink, seq, tokens)
                entry.held = sink.getvalue()
                entry.size = len(entry.held)
            elif self._most_on_disk:
                with open_atomic(entry.path, durable=False) as sink:
                    self._write(sink, seq, tokens)
                    entry.size = sink.tell()
                entry.on_disk = True
            if entry.size:
                self._add(entry)
        self._keep_bounds()
        return entry in self._entries

    def load(self, entry: Entry, seq: int) -> bool:
        """Fills a sequence; False where that failed: the sequence is then empty, and a damaged entry gone."""
        try:
            with io.BytesIO(entry.held) if entry.held else entry.path.open("rb") as source:
                tokens = self._read_tokens(source)
                if tokens != entry.tokens:
                    raise StateError("the tokens are others than before")
                self._engine.load(seq, source)
        except (StateError, OSError):
            self._engine.truncate(seq, 0)
            self._drop(entry)
            return False
        except AccelError:  # no room, for one: it may be of use later
            self._engine.truncate(seq, 0)
            return False
        if self._engine.length(seq) != len(entry.tokens):
            self._engine.truncate(seq, 0)
            self._drop(entry)
            return False
        self._touch(entry)
        self.hits += 1
        return True

    def flush(self) -> None:
        """Everything to disk, as far as there is room."""
        for entry in [entry for entry in self._entries if entry.held]:
            self._spill(entry)
        self._keep_bounds()

    def clear(self) -> None:
        for entry in list(self._entries):
            self._drop(entry)

    def _add(self, entry: Entry) -> None:
        self._entries[entry] = None
        self._alike.setdefault(_beginning(entry.tokens), []).append(entry)
        self.held = Bytes(self.held + len(entry.held or b""))
        self.on_disk = Bytes(self.on_disk + entry.size * entry.on_disk)

    def _fits_memory(self, positions: int) -> bool:
        """With the copy that is made on the way, judged by what others took."""
        last = next(reversed(self._entries), None)
        known = last.size / len(last.tokens) if last else 0.0
        spec = self._engine.spec
        each = known or 1.1 * spec.kv_bytes_per_position("f32")
        return 2 * positions * each + spec.state <= self._most_held

    def _write(self, sink: BinaryIO, seq: int, tokens: "array[int]") -> None:
        write_state(sink, _TOKENS, len(tokens), memoryview(np.array(tokens, np.int32).tobytes()))
        self._engine.save(seq, sink)

    def _read_tokens(self, source: BinaryIO) -> "array[int]":
        most = self._engine.can.context
        count, payload = read_state(source, _TOKENS, most, 4 * most)
        if len(payload) != 4 * count:
            raise StateError("a prompt of another length than it says")
        return _packed(np.frombuffer(payload, np.int32))

    def _read_folder(self) -> None:
        found: list[tuple[float, Entry]] = []
        for path in list(self._folder.iterdir()):
            if path.suffix == PART:  # of somebody who was killed as he wrote
                path.unlink(missing_ok=True)
            if path.suffix == ENDING and len(found) < _MOST_ENTRIES:
                try:
                    with path.open("rb") as source:
                        tokens = self._read_tokens(source)
                    if len(tokens) < LEAST:
                        raise StateError("it holds next to nothing")
                    status = path.stat()
                    found.append((status.st_mtime, Entry(tokens, status.st_size, path, on_disk=True)))
                except (StateError, OSError):
                    path.unlink(missing_ok=True)
        for _, entry in sorted(found, key=lambda pair: pair[0]):
            self._add(entry)
        self._keep_bounds()

    def _touch(self, entry: Entry) -> None:
        self._entries[entry] = self._entries.pop(entry)
        if entry.on_disk:
            with suppress(OSError):
                os.utime(entry.path, (time.time(), time.time()))

    def _keep_bounds(self) -> None:
        while self.held > self._most_held:
            self._spill(next(entry for entry in self._entries if entry.held))
        while self.on_disk > self._most_on_disk:
            self._drop(next(entry for entry in self._entries if entry.on_disk))
        while len(self._entries) > _MOST_ENTRIES:
            self._drop(next(iter(self._entries)))

    def _spill(self, entry: Entry) -> None:
        """From memory to disk; gone where the disk takes it not."""
        if entry.held and not entry.on_disk and entry.size <= self._most_on_disk:
            with suppress(AccelError, OSError):
                with open_atomic(entry.path, durable=False) as sink:
                    sink.write(entry.held)
                entry.on_disk = True
                self.on_disk = Bytes(self.on_disk + entry.size)
        self._let_go(entry)
        if not entry.on_disk:
            self._drop(entry)

    def _let_go(self, entry: Entry) -> None:
        self.held = Bytes(self.held - len(entry.held or b""))
        entry.held = None

    def _drop(self, entry: Entry) -> None:
        del self._entries[entry]
        alike = self._alike[_beginning(entry.tokens)]
        alike.remove(entry)
        if not alike:
            del self._alike[_beginning(entry.tokens)]
        self._let_go(entry)
        if entry.on_disk:
            self.on_disk = Bytes(self.on_disk - entry.size)
            with suppress(OSError):
                entry.path.unlink()


def _beginning(tokens: "array[int]") -> bytes:
    return tokens[:LEAST].tobytes()


def _packed(tokens: Sequence[int] | np.ndarray) -> "array[int]":
    return array("i", np.asarray(tokens, np.intc).tobytes())


def _digest(tokens: Sequence[int]) -> str:
    return blake2b(np.array(tokens, np.int32).tobytes(), digest_size=16).hexdigest()
