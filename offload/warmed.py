"""Experts between a model's files and an engine's mapping of those files, where pages cannot be moved: plain reads
bring them into the system's cache, from which the mapping serves them."""

import contextlib
import errno
import os
import threading
import time
from collections import deque
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from io import FileIO
from pathlib import Path

import numpy as np

from ..errors import ModelUnreadable
from ..units import Bytes, Rate
from . import advice
from .layout import Expert, Layout, Slice
from .pinned import Part
from .store import ABSENT, CHANGED, ENDED, FAILED, PAGE, QUEUED, READING, RESIDENT, USUAL_RATE, read_error

_HELD = (QUEUED, READING, RESIDENT)
_CHUNK = 1 << 18  # bytes of one read, which a thread has room for and its processor's cache too


@dataclass(frozen=True, slots=True)
class _Piece:
    """One expert's slice of one tensor, and the whole pages it lies on."""

    part: Slice
    start: int
    end: int


class _Job:
    """One expert, whose pieces are read side by side."""

    __slots__ = ("begun", "left", "number", "problem", "victim")

    def __init__(self, number: int, victim: int, pieces: int) -> None:
        self.number, self.victim = number, victim
        self.begun, self.left, self.problem = 0, pieces, 0


class Warmed:
    """As `Store`, but that nothing is ever moved: whoever looks at an expert looks at the file, and a resident one is
    only there sooner. So the system may take one back that is held here, and slots are numbers without memory: how much
    all of them take is what the system's cache is hoped to keep. Nothing can stand in for an expert.
    """

    staging = Bytes(0)

    def __init__(self, layout: Layout, bases: Sequence[int], threads: int = 4) -> None:
        """`bases`: where each of the layout's files begins in this process's memory, mapped whole and shared; 0 where
        nobody knows. Raises ModelUnreadable where a file cannot be opened."""
        self.layout, self._bases, self._threads = layout, tuple(bases), threads
        self.layers = tuple(layout.layers)
        self._places = {layer: place for place, layer in enumerate(self.layers)}
        self._pieces, self.rooms = _pieces(layout)
        count = len(self._pieces)
        self.state, self.low = np.zeros(count, np.uint8), np.zeros(count, bool)
        self.read = np.zeros(count, np.int64)  # bytes so far
        self._failed: dict[int, tuple[int, int]] = {}  # (piece, why) of every expert that failed
        self._bytes = self._reads = 0
        self._seconds = 0.0  # of all threads together
        self._urgent: deque[_Job] = deque()
        self._later: deque[_Job] = deque()
        self._ending = False
        self._lock = threading.Lock()
        self._work, self._done = threading.Condition(self._lock), threading.Condition(self._lock)
        with contextlib.ExitStack() as opening:
            files = [_opened(opening, layout.files) for _ in range(threads)]
            self._about = [os.fstat(file.fileno()) for file in files[0]]
            self._files = files[0]
            # Those of a program that ends without closing its engine must not keep it.
            self._readers = [threading.Thread(target=self._serve, args=(mine,), daemon=True) for mine in files]
            for reader in self._readers:
                reader.start()
            self._open = opening.pop_all()

    def close(self) -> None:
        """Ends the reading threads."""
        with self._lock:
            self._ending = True
            self._urgent.clear()
            self._later.clear()
            self._work.notify_all()
        for reader in self._readers:
            reader.join()
        self._open.close()

    def number_of(self, expert: Expert) -> int:
        return self._places[expert.layer] * self.layout.experts + expert.index

    def expert(self, number: int) -> Expert:
        layer, index = divmod(number, self.layout.experts)
        return Expert(self.layers[layer], index)

    def load(self, number: int, slot: int, victim: int = -1, urgent: bool = True, low: bool = False) -> None:
        """Has an absent expert read, and what is in the cache of its `victim` let go."""
        job = _Job(number, victim, len(self._pieces[number]))
        with self._lock:
            if victim >= 0:
                self.state[victim] = ABSENT
            self.state[number] = QUEUED
            (self._urgent if urgent else self._later).append(job)
            self._work.notify(job.left)

    def hurry(self, number: int) -> None:
        """A read that still waits becomes urgent."""
        with self._lock:
            for job in self._later:
                if job.number == number:
                    self._later.remove(job)
                    self._urgent.append(job)
                    return

    def wait(self, numbers: np.ndarray, seconds: float = 60.0) -> None:
        """Until all of these are resident. Raises ModelChanged, ModelUnreadable or EngineError, naming the expert and
        where it lies."""
        end = time.monotonic() + seconds
        with self._lock:
            for number in numbers.tolist():
                while self.state[number] in (QUEUED, READING):
                    if not self._done.wait(end - time.monotonic()) and time.monotonic() >= end:
                        raise self._error(number, late=True)
            failed = next((number for number in numbers.tolist() if self.state[number] == FAILED), None)
            if failed is not None:
                raise self._error(failed)

    def evict(self, number: int) -> None:
        """The system need not keep a resident expert any longer."""
        with self._lock:
            self.state[number] = ABSENT
        self.forget(number)

    def touch(self, number: int) -> None:
        """Has the system read an absent expert's pages ahead: somebody is about to look. Raises ModelChanged."""
        for place, piece in enumerate(self._pieces[number]):
            if not self._unchanged(piece.part.file):
                self._failed[number] = place, CHANGED
                raise self._error(number)
            self._advise(piece.part.file, piece.start, piece.end, advice.WILL_NEED)

    def forget(self, number: int) -> None:
        """The system's cache need not keep an absent expert's pages any longer, but those that others may need."""
        for piece in self._pieces[number]:
            part, file = piece.part, piece.part.file
            start = piece.start + PAGE * (part.offset > piece.start and self._needed(number, number - 1, part))
            end = piece.end - PAGE * (part.end < piece.end and self._needed(number, number + 1, part))
            if start < end and self.state[number] not in _HELD:
                self._advise(file, start, end, advice.NOT_NEEDED)
                advice.let_go(self._files[file].fileno(), start, end - start)

    def _needed(self, number: int, other: int, part: Slice) -> bool:
        """Whether the page that an expert's slice shares at this side is needed: by the next expert, if that is held,
        or by what else may lie there."""
        alone = part.size >= PAGE and number // self.layout.experts == other // self.layout.experts
        return not alone or self.state[other] in _HELD

    def free(self, slot: int, room: int) -> None:
        """A slot has no memory of its own."""

    @property
    def counts(self) -> tuple[int, int, float]:
        """Bytes read, experts read, and seconds that all reading threads together spent on it."""
        return self._bytes, self._reads, self._seconds

    @property
    def rate(self) -> Rate:
        """Bytes a second with all threads reading, as seen so far; a usual disk's before the first read."""
        return Rate(self._bytes * self._threads / self._seconds) if self._seconds else USUAL_RATE

    def _advise(self, file: int, start: int, end: int, how: str) -> None:
        if base := self._bases[file]:
            advice.advise(base + start, end - start, how)

    def _serve(self, files: Sequence[FileIO]) -> None:
        scratch = memoryview(bytearray(_CHUNK))
        while begun := self._begun():
            job, place = begun
            start = time.perf_counter()
            if not place and job.victim >= 0:
                self.forget(job.victim)
            part = self._pieces[job.number][place].part
            problem = self._fetch(files[part.file], part, scratch)
            self._ended(job, place, problem, time.perf_counter() - start)

    def _begun(self) -> tuple[_Job, int] | None:
        """The next piece to be read, of an urgent job first; None where there will be none."""
        with self._lock:
            while not (queue := self._urgent or self._later):
                if self._ending:
                    return None
                self._work.wait()
            job = queue[0]
            place = job.begun
            job.begun += 1
            self.state[job.number] = READING
            if job.begun == len(self._pieces[job.number]):
                queue.popleft()
            return job, place

    def _ended(self, job: _Job, place: int, problem: int, seconds: float) -> None:
        """A piece is done: the last of them settles what became of the expert."""
        size = 0 if problem else self._pieces[job.number][place].part.size
        with self._lock:
            self._seconds += seconds
            self._bytes += size
            self.read[job.number] += size
            if problem and not job.problem:
                job.problem = problem
                self._failed[job.number] = place, problem
            job.left -= 1
            if not job.left:
                self._reads += 1
                self.state[job.number] = FAILED if job.problem else RESIDENT
                self._done.notify_all()

    def _fetch(self, file: FileIO, part: Slice, scratch: memoryview) -> int:
        """Has a slice read; why that failed (errno, CHANGED or ENDED), or 0."""
        done = 0
        try:
            if not self._unchanged(part.file):
                return CHANGED
            advice.will_read(file.fileno(), part.offset, part.size)
            while done < part.size:
                got = _read(file, part.offset + done, scratch[: part.size - done])
                if not got:
                    return ENDED
                done += got
            return 0 if self._unchanged(part.file) else CHANGED
        except OSError as error:
            return error.errno or errno.EIO

    def _unchanged(self, file: int) -> bool:
        known, about = self._about[file], os.fstat(self._files[file].fileno())
        return (about.st_size, about.st_mtime_ns) == (known.st_size, known.st_mtime_ns)

    def _error(self, number: int, late: bool = False) -> Exception:
        place, failure = self._failed.get(number, (0, 0))
        part = self._pieces[number][place].part
        return read_error(self.expert(number), self.layout.files[part.file], part.offset, failure, late)


def warm(parts: Sequence[Part], readers: int) -> None:
    """Has parts of files that every token needs read into the system's cache, whence nothing else takes them: they are
    used more than any expert. Raises ModelUnreadable."""
    with ThreadPoolExecutor(readers) as pool:
        for _ in pool.map(_warm, parts):
            pass


def _warm(part: Part) -> None:
    scratch, done = memoryview(bytearray(_CHUNK)), 0
    try:
        with part.path.open("rb", buffering=0) as file:
            while done < part.length:
                got = _read(file, part.offset + done, scratch[: part.length - done])
                if not got:
                    raise ModelUnreadable(f"{part.path} ends within its weights", "download it again")
                done += got
    except OSError as error:
        where = f"{part.path} at {part.offset + done}"
        raise ModelUnreadable(f"cannot read {where}: {error.strerror}", "check the disk") from error


def _read(file: FileIO, offset: int, into: memoryview) -> int:
    """As many bytes as come at once; a call that every platform has."""
    file.seek(offset)
    return file.readinto(into) or 0


def _pieces(layout: Layout) -> tuple[list[tuple[_Piece, ...]], tuple[int, ...]]:
    """Of every expert, layer by layer; and for every layer the bytes of the pages that hold an expert of it."""
    pieces, rooms = [], []
    for tensors in layout.layers.values():
        each = [tuple(_piece(tensor.of(index)) for tensor in tensors) for index in range(layout.experts)]
        pieces += each
        rooms.append(sum(max(piece.end - piece.start for piece in of_tensor) for of_tensor in zip(*each, strict=True)))
    return pieces, tuple(rooms)


def _piece(part: Slice) -> _Piece:
    return _Piece(part, part.offset // PAGE * PAGE, -(-part.end // PAGE) * PAGE)


def _opened(opening: contextlib.ExitStack, paths: Sequence[Path]) -> list[FileIO]:
    files = []
    for path in paths:
        try:
            file = opening.enter_context(path.open("rb", buffering=0))
        except OSError as error:
            raise ModelUnreadable(f"{path} cannot be read: {error.strerror}", "check the disk and the path") from error
        advice.read_as_asked(file.fileno())
        files.append(file)
    return files
