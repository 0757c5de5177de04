"""What a context would take, asked of llama.cpp without taking it. Loads the libraries: run it in a child process."""

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from ...errors import EngineError
from ...units import Bytes
from . import llama_api as api
from .options import EngineOptions

_BUFFER = re.compile(r"(\S+) +(compute|output) buffer size = +([\d.]+) MiB")
_WEIGHTS = re.compile(r"(\S+) model buffer size = +([\d.]+) MiB")
_CACHE = re.compile(r"llama_(?:kv_cache|memory_recurrent): +size = +([\d.]+) MiB")


@dataclass(frozen=True, slots=True)
class Buffers:
    """Sizes to within 0.01 MiB, by the name of the backend ("CPU", "CUDA0", ...)."""

    compute: dict[str, Bytes]
    output: dict[str, Bytes]  # for as many rows of logits as there are sequences and branches; more are taken when used
    kv: Bytes  # over all backends


@contextmanager
def dry_model(options: EngineOptions) -> Iterator[Callable[[EngineOptions], Buffers]]:
    """Holds a model's header and vocabulary while it is entered; gives what tells the buffers of a context of it.
    Raises ModelError, and where it is called EngineError."""
    model = api.load_model(options, dry=True)

    def buffers(options: EngineOptions) -> Buffers:
        api.context_free(api.new_context(model, options))
        return read_log(api.LOG.lines)

    try:
        yield buffers
    finally:
        api.model_free(model)


def dry_run(options: EngineOptions) -> Buffers:
    """Raises ModelError, EngineError."""
    with dry_model(options) as buffers:
        return buffers(options)


def weight_buffers(options: EngineOptions) -> dict[str, Bytes]:
    """Where a model's weights come to lie, by buffer type ("CPU_Mapped", "CPU_REPACK", ...): this one is no dry run.
    Raises ModelError."""
    api.model_free(api.load_model(options))
    found = filter(None, map(_WEIGHTS.search, api.LOG.lines))
    return {match[1]: Bytes.from_mib(float(match[2])) for match in found}


def read_log(lines: list[str]) -> Buffers:
    """Raises EngineError where the log does not say it."""
    sizes: dict[str, dict[str, Bytes]] = {"compute": {}, "output": {}}
    for found in filter(None, map(_BUFFER.search, lines)):
        backend, what, size = found.groups()
        sizes[what][backend] = Bytes.from_mib(float(size))
    if not sizes["compute"]:
        raise EngineError("llama.cpp did not say how large its compute buffers are", "report its version")
    caches = (float(found[1]) for found in map(_CACHE.search, lines) if found)
    return Buffers(sizes["compute"], sizes["output"], Bytes.from_mib(sum(caches)))
