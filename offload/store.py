"""Experts between a model's files and an engine's mapping of those files, by store.c: reads past the page cache with
several in flight, and pages moved so that whoever looks sees the right bytes at any time."""

import contextlib
import ctypes
import mmap
import os
from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from ..compiled import library
from ..errors import EngineError, ModelChanged, ModelUnreadable
from ..units import Bytes, Rate
from .advice import read_as_asked
from .layout import Expert, Layout
from .planes import TABLE, Planes

ABSENT, QUEUED, READING, RESIDENT, FAILED = range(5)  # states, as in store.c
CHANGED, ENDED = -1, -2  # beside errno: why a read failed, as in store.c
PAGE = mmap.PAGESIZE
USUAL_RATE = Rate(1e9)


class _Piece(ctypes.Structure):
    _fields_ = (
        ("place", ctypes.c_void_p),
        ("offset", ctypes.c_int64),
        ("length", ctypes.c_int64),
        ("room", ctypes.c_int64),
        ("file", ctypes.c_int32),
        ("shares", ctypes.c_int32),
    )


class _Low(ctypes.Structure):
    _fields_ = (
        ("offset", ctypes.c_int64),
        ("length", ctypes.c_int64),
        ("blocks", ctypes.c_int64),
        ("head", ctypes.c_int32),
        ("tail", ctypes.c_int32),
        ("format", ctypes.c_int32),
        ("packed", ctypes.c_int32),
        ("whole", ctypes.c_int32),
        ("file", ctypes.c_int32),
        ("table", ctypes.c_uint8 * TABLE),
    )


class _File(ctypes.Structure):
    _fields_ = (
        ("direct", ctypes.c_int),
        ("plain", ctypes.c_int),
        ("size", ctypes.c_int64),
        ("seconds", ctypes.c_int64),
        ("nanoseconds", ctypes.c_int64),
    )


class _Table(ctypes.Structure):
    _fields_ = (
        ("pieces", ctypes.c_void_p),
        ("lows", ctypes.c_void_p),
        ("files", ctypes.c_void_p),
        ("state", ctypes.c_void_p),
        ("slot", ctypes.c_void_p),
        ("failed_piece", ctypes.c_void_p),
        ("failure", ctypes.c_void_p),
        ("read", ctypes.c_void_p),
        ("memory", ctypes.c_void_p),
        ("memory_file", ctypes.c_int),
        ("experts", ctypes.c_int32),
        ("per_expert", ctypes.c_int32),
        ("page", ctypes.c_int32),
        ("staging", ctypes.c_int64),
    )


class Store:
    """Experts are numbered layer by layer: `number_of`. `state` holds what each is now; other threads change it.

    Slots lie one after another in a file in memory, of one size for layers whose experts need as much (`room_of`); who
    holds which is the caller's to decide, and so is how many: what no slot was read into takes no memory.
    """

    def __init__(self, layout: Layout, bases: Sequence[int], threads: int = 4, planes: Planes | None = None) -> None:
        """`bases`: where each of the layout's files begins in this process's memory, mapped whole and shared;
        `planes`: where what stands in for experts is read from.

        Raises ModelUnreadable where a file cannot be opened, EngineError where this platform cannot move pages.
        """
        self.layout, self._threads = layout, threads
        self.layers = tuple(layout.layers)
        self._library, self._libc = _library(), ctypes.CDLL(None, use_errno=True)
        if self._library is None:
            raise EngineError("pages cannot be moved here: store.c was not compiled", "install accel with a C compiler")
        self._places = {layer: place for place, layer in enumerate(self.layers)}
        count = len(self.layers) * layout.experts
        self.state = np.zeros(count, np.uint8)
        self.low = np.zeros(count, bool)  # of those that are not absent: a stand-in
        self._slot = np.full(count, -1, np.int64)
        self._failed_piece, self._failure = np.zeros(count, np.int32), np.zeros(count, np.int32)
        self.read = np.zeros(count, np.int64)  # bytes so far; other threads count them
        self._pieces, self.rooms = _pieces(layout, bases)
        self._per_expert = len(self._pieces) // count
        self._lows = _lows(layout, planes, len(layout.files)) if planes else None
        longest = max((low.length for low in self._lows), default=0) if self._lows else 0
        self.staging = Bytes(threads * longest)  # memory that the threads need beside slots
        self._paths = (*layout.files, *((planes.path,) if planes else ()))
        self._open = contextlib.ExitStack()
        with contextlib.ExitStack() as opening:
            self.direct, files = _opened(opening, self._paths)
            self._files = (_File * len(files))(*files)
            memory = self._memory(opening, count)
            table = _Table(
                ctypes.addressof(self._pieces), ctypes.addressof(self._lows) if self._lows else None,
                ctypes.addressof(self._files), self.state.ctypes.data, self._slot.ctypes.data,
                self._failed_piece.ctypes.data, self._failure.ctypes.data, self.read.ctypes.data, self._memory_place,
                memory, count, self._per_expert, PAGE, longest,
            )  # fmt: skip
            self._store = self._library.accel_store_open(table, threads)
            if not self._store:
                raise EngineError("no threads to read with could be started", "close other programs")
            opening.callback(self._library.accel_store_close, self._store)
            self._open = opening.pop_all()

    def _memory(self, opening: contextlib.ExitStack, count: int) -> int:
        """A file in memory with room for every expert, sparse; its descriptor."""
        size = int(sum(self.rooms) * self.layout.experts)
        memory = os.memfd_create("experts", os.MFD_CLOEXEC)
        opening.callback(os.close, memory)
        os.ftruncate(memory, size)
        view = mmap.mmap(memory, size)
        opening.callback(view.close)
        self._memory_place = ctypes.addressof(ctypes.c_char.from_buffer(view))
        self._memory_file = memory
        return memory

    def close(self) -> None:
        """Ends the reading threads. The engine's mapping must not be read after this."""
        self._open.close()

    def number_of(self, expert: Expert) -> int:
        return self._places[expert.layer] * self.layout.experts + expert.index

    def expert(self, number: int) -> Expert:
        layer, index = divmod(number, self.layout.experts)
        return Expert(self.layers[layer], index)

    def load(self, number: int, slot: int, victim: int = -1, urgent: bool = True, low: bool = False) -> None:
        """Has an absent expert read into the slot at this offset, in place of the `victim` that held it; or a resident
        one, which nobody may look at meanwhile, anew into its own. `low`: what stands in for it, if there is that."""
        self.low[number] = low
        if not self._library.accel_store_load(self._store, number, victim, slot, urgent, low):
            raise EngineError("no memory for another read", "close other programs")

    def hurry(self, number: int) -> None:
        """A read that still waits becomes urgent."""
        self._library.accel_store_hurry(self._store, number)

    def wait(self, numbers: np.ndarray, seconds: float = 60.0) -> None:
        """Until all of these (int32) are resident. Raises ModelChanged, ModelUnreadable or EngineError, naming the
        expert and where it lies."""
        numbers = np.ascontiguousarray(numbers, np.int32)
        result = self._library.accel_store_wait(self._store, numbers.ctypes.data, len(numbers), seconds)
        if result:
            late = self.state[numbers] != (FAILED if result == 1 else RESIDENT)
            raise self._error(int(numbers[(~late if result == 1 else late).argmax()]), late=result == 2)

    def evict(self, number: int) -> None:
        """Takes a resident expert's copy away; its place shows the file again."""
        if problem := self._library.accel_store_evict(self._store, number):
            raise EngineError(f"an expert's pages cannot be given back: {os.strerror(problem)}", "see `accel doctor`")

    def touch(self, number: int) -> None:
        """Has the system read an absent expert's pages ahead, through its own cache: somebody is about to look. Raises
        ModelChanged."""
        for place, length, _, file in self._parts(number):
            known, about = self._files[file], os.fstat(self._files[file].plain)
            if (about.st_size, *divmod(about.st_mtime_ns, 10**9)) != (known.size, known.seconds, known.nanoseconds):
                self._failed_piece[number], self._failure[number] = 0, CHANGED
                raise self._error(number, late=False)
            self._libc.madvise(ctypes.c_void_p(place), ctypes.c_size_t(length), mmap.MADV_WILLNEED)

    def forget(self, number: int) -> None:
        """The system's cache need not keep an absent expert's pages any longer."""
        for place, length, offset, file in self._parts(number):
            self._libc.madvise(ctypes.c_void_p(place), ctypes.c_size_t(length), mmap.MADV_DONTNEED)
            with contextlib.suppress(OSError):
                os.posix_fadvise(self._files[file].plain, offset, length, os.POSIX_FADV_DONTNEED)

    def _parts(self, number: int) -> Iterator[tuple[int, int, int, int]]:
        """(place, length, offset, file) of every piece of an expert."""
        each = self._per_expert
        for piece in self._pieces[number * each : (number + 1) * each]:
            if piece.length:
                yield piece.place, piece.length, piece.offset, piece.file

    def free(self, slot: int, room: int) -> None:
        """Gives a slot's memory back to the system. Nobody may hold it."""
        _punch(self._memory_file, slot, room)

    @property
    def counts(self) -> tuple[int, int, float]:
        """Bytes read, experts read, and seconds that all reading threads together spent on it."""
        found = (ctypes.c_int64 * 3)()
        self._library.accel_store_counts(self._store, ctypes.addressof(found))
        return found[0], found[1], found[2] / 1e9

    @property
    def rate(self) -> Rate:
        """Bytes a second with all threads reading, as seen so far; a usual disk's before the first read."""
        size, _, seconds = self.counts
        return Rate(size * self._threads / seconds) if seconds else USUAL_RATE

    def _error(self, number: int, late: bool) -> Exception:
        expert, place = self.expert(number), int(self._failed_piece[number])
        failure = int(self._failure[number])
        piece = self.layout.slices(expert)[place]
        file, offset = piece.file, piece.offset
        if self._lows and self.low[number]:
            stands_in = self._lows[number * self._per_expert + place]
            file, offset = stands_in.file, stands_in.offset
        return read_error(expert, self._paths[file], offset, failure, late)


def read_error(expert: Expert, path: Path, offset: int, failure: int, late: bool) -> Exception:
    """What became of reading an expert that lies there; `failure`: errno, CHANGED or ENDED."""
    where = f"expert {expert.index} of layer {expert.layer}, at byte {int(offset)} of {path}"
    if late:
        return EngineError(f"reading {where} takes too long", "check the disk")
    if failure == CHANGED:
        return ModelChanged(f"{path} changed while it was in use ({where})", "load the model again")
    reason = "the file ends there" if failure == ENDED else os.strerror(failure)
    return ModelUnreadable(f"cannot read {where}: {reason}", "check the disk and the file")


def _pieces(layout: Layout, bases: Sequence[int]) -> tuple[Any, tuple[int, ...]]:
    """Whole pages of every expert's slices, and for every layer the bytes of a slot that holds an expert of it."""
    per_expert = max(len(tensors) for tensors in layout.layers.values())
    pieces = (_Piece * (len(layout.layers) * layout.experts * per_expert))()
    rooms = []
    for place, tensors in enumerate(layout.layers.values()):
        room = 0
        for number, tensor in enumerate(tensors):
            longest = 0
            for index in range(layout.experts):
                part = tensor.of(index)
                start, end = part.offset // PAGE * PAGE, -(-part.end // PAGE) * PAGE
                shares = (index > 0 and part.offset % PAGE > 0) + 2 * (
                    index + 1 < layout.experts and part.end % PAGE > 0
                )
                at = (place * layout.experts + index) * per_expert + number
                pieces[at] = _Piece(bases[tensor.file] + start, start, end - start, room, tensor.file, shares)
                longest = max(longest, end - start)
            room += longest
        rooms.append(room)
    return pieces, tuple(rooms)


def _lows(layout: Layout, planes: Planes, file: int) -> Any:
    """What stands in for every piece; `file`: the number that the planes' file has."""
    per_expert = max(len(tensors) for tensors in layout.layers.values())
    lows = (_Low * (len(layout.layers) * layout.experts * per_expert))()
    for place, layer in enumerate(layout.layers):
        for number, plane in enumerate(planes.layers[layer]):
            form, table = plane.form, (ctypes.c_uint8 * TABLE)(*plane.table)
            for index in range(layout.experts):
                span = plane.span(index)
                lows[(place * layout.experts + index) * per_expert + number] = _Low(
                    plane.offset + index * plane.record_size, plane.length(index), span.blocks, span.head, span.tail,
                    form.number, form.low, form.block, file, table,
                )  # fmt: skip
    return lows


def _opened(opening: contextlib.ExitStack, paths: Sequence[Path]) -> tuple[bool, list[_File]]:
    """Every file twice; whether all of them are read past the page cache."""
    direct, files = True, []
    for path in paths:
        try:
            plain = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
            opening.callback(os.close, plain)
            about = os.fstat(plain)
        except OSError as error:
            raise ModelUnreadable(f"{path} cannot be read: {error.strerror}", "check the disk and the path") from error
        try:
            past = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_DIRECT)
            opening.callback(os.close, past)
        except (AttributeError, OSError):
            direct, past = False, plain
            read_as_asked(plain)  # what it is read through is let go, and nothing else is to come in
        seconds, nanoseconds = divmod(about.st_mtime_ns, 10**9)
        files.append(_File(past, plain, about.st_size, seconds, nanoseconds))
    return direct, files


def _punch(file: int, offset: int, length: int) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    keep_size, punch_hole = 1, 2
    if libc.fallocate(file, keep_size | punch_hole, ctypes.c_int64(offset), ctypes.c_int64(length)):
        problem = ctypes.get_errno()
        raise EngineError(f"memory cannot be given back: {os.strerror(problem)}", "see `accel doctor`")


@cache
def _library() -> Any:
    """The functions of store.c, or None where it was not compiled, or does not load."""
    loaded = library(f"{__package__}._store")
    if loaded is None:
        return None
    pointer, int32, int64 = ctypes.c_void_p, ctypes.c_int32, ctypes.c_int64
    for name, result, arguments in (
        ("open", pointer, (ctypes.POINTER(_Table), ctypes.c_int)),
        ("close", None, (pointer,)),
        ("load", ctypes.c_int, (pointer, int32, int32, int64, ctypes.c_int, ctypes.c_int)),
        ("hurry", None, (pointer, int32)),
        ("wait", ctypes.c_int, (pointer, pointer, ctypes.c_int, ctypes.c_double)),
        ("evict", ctypes.c_int, (pointer, int32)),
        ("counts", None, (pointer, pointer)),
    ):
        function = getattr(loaded, f"accel_store_{name}")
        function.restype, function.argtypes = result, arguments
    return loaded
