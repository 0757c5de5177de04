"""Engines by name. An engine's module is imported when it is opened: they are heavy, and not everywhere."""

import os
from collections.abc import Callable
from importlib import import_module
from typing import TYPE_CHECKING, Any

from ...errors import UsageError
from .options import EngineOptions, FakeOptions

if TYPE_CHECKING:
    from .base import Engine

# The module here that has the engine's `open_engine` -> what that takes.
ENGINES: dict[str, type] = {"llamacpp": EngineOptions, "fake": FakeOptions}


def options_type(name: str) -> type:
    """The record of options that the engine takes. Raises UsageError for a name that is no engine."""
    if name not in ENGINES:
        raise UsageError(f"'{name[:40]}' is no engine", f"choose one of {', '.join(ENGINES)}")
    return ENGINES[name]


def open_engine(name: str, options: Any, progress: Callable[[float], bool] | None = None) -> "Engine":
    """`progress` is called with 0..1 while it loads; where it returns False the load ends
    with Cancelled. Raises ModelError, EngineError, Cancelled, or UsageError for a name that is no engine."""
    options_type(name)
    if getattr(options, "expert_memory", 0):
        # Threads that read want the processor while others wait. OpenMP looks at this once, when it is loaded.
        os.environ.setdefault("GOMP_SPINCOUNT", "500")
    return import_module(f".{name}", __name__).open_engine(options, progress)
