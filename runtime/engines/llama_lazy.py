"""Models mapped without being read. llama.cpp reads a whole mapped file ahead, except on machines with several memory
nodes: it asks the processor's backend whether this is one, and while a model loads here, the answer is yes. What goes
to a GPU is read as it is copied."""

import ctypes
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from ...errors import EngineError
from ...offload import advice
from ...offload.mapped import Mapped, mapped_anew
from . import llama_api as api

_QUESTION = b"ggml_backend_cpu_is_numa"
_CPU = 0  # GGML_BACKEND_DEVICE_TYPE_CPU
_AT_ONCE = 32 << 20  # bytes that were copied and are still in memory, before they are let go


class _Registry(ctypes.Structure):
    """ggml_backend_reg."""

    _fields_ = (
        ("api_version", ctypes.c_int),
        ("get_name", api.address),
        ("device_count", api.address),
        ("device", api.address),
        ("get_function", api.address),
        ("context", api.address),
    )


_GetFunction = ctypes.CFUNCTYPE(api.address, api.address, ctypes.c_char_p)
_Yes = ctypes.CFUNCTYPE(ctypes.c_bool)
_cpu_device = api._function("ggml_backend_dev_by_type", api.address, ctypes.c_int)
_registry_of = api._function("ggml_backend_dev_backend_reg", api.address, api.address)


@contextmanager
def mapped_lazily() -> Iterator[None]:
    """Within this, loading a model reads nothing of it but its header. One thread at a time."""
    registry = _Registry.from_address(_registry_of(_cpu_device(_CPU)))
    theirs = registry.get_function
    ask, yes = _GetFunction(theirs), _Yes(lambda: True)

    def answer(asked: int, name: bytes) -> int | None:
        return ctypes.cast(yes, api.address).value if name == _QUESTION else ask(asked, name)

    ours = _GetFunction(answer)
    registry.get_function = ctypes.cast(ours, api.address).value
    try:
        yield
    finally:
        registry.get_function = theirs


class Copying:
    """A progress callback of such a load where weights are copied out of the mapping: they are read ahead, and what
    was copied is let go."""

    def __init__(
        self, files: Sequence[Path], before: Collection[int], progress: Callable[[float], bool] | None
    ) -> None:
        """`before`: where the files' mappings began before the load."""
        self._files, self._before, self._progress = files, before, progress
        self._size = sum(path.stat().st_size for path in files)
        self._mapped: tuple[Mapped, ...] = ()
        self._left = 0.0  # the fraction until which all was let go

    def __call__(self, fraction: float) -> bool:
        """Called before each tensor."""
        if not self._mapped:
            self._look()
            self._advise(advice.IN_ORDER)
        elif (fraction - self._left) * self._size >= _AT_ONCE:
            self._let_go()
            self._left = fraction
        return self._progress is None or self._progress(fraction)

    def end(self) -> None:
        """The model is loaded, and nothing of its mapping moved yet."""
        self._look()  # some of it was unmapped
        self._let_go()
        self._advise(advice.AT_RANDOM)

    def _look(self) -> None:
        with suppress(EngineError):  # where the system does not tell of mappings, it is not told about them either
            self._mapped = mapped_anew(self._files, self._before)

    def _advise(self, how: str) -> None:
        for mapped in self._mapped:
            mapped.advise(how)

    def _let_go(self) -> None:
        self._advise(advice.NOT_NEEDED)
        for path in self._files:
            with path.open("rb", buffering=0) as file:
                advice.let_go(file.fileno(), 0, 0)
