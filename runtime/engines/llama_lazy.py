"""Models mapped without being read. llama.cpp reads a whole mapped file ahead, except on machines with several memory
nodes: it asks the processor's backend whether this is one, and while a model loads here, the answer is yes."""

import ctypes
from collections.abc import Iterator
from contextlib import contextmanager

from . import llama_api as api

_QUESTION = b"ggml_backend_cpu_is_numa"
_CPU = 0  # GGML_BACKEND_DEVICE_TYPE_CPU


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
