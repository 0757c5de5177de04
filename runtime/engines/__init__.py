"""Engines by name. An engine's module is imported when it is opened: they are heavy, and not everywhere."""

from collections.abc import Callable
from importlib import import_module
from typing import Any

from ...errors import UsageError

ENGINES = {"llamacpp": "EngineOptions", "fake": "FakeOptions"}  # module here -> the record its `open` takes


def options_type(name: str) -> type:
    """The record of options that the engine takes: plain data, to and from JSON."""
    return getattr(_module(name), ENGINES[name])


def open_engine(name: str, options: Any, progress: Callable[[float], bool] | None = None) -> Any:
    """An `Engine` (see base.py). `progress` is called with 0..1 while it loads; where it returns False the load ends
    with Cancelled. Raises ModelError, EngineError, Cancelled, or UsageError for a name that is no engine."""
    return _module(name).open_engine(options, progress)


def _module(name: str) -> Any:
    if name not in ENGINES:
        raise UsageError(f"'{name[:40]}' is no engine", f"choose one of {', '.join(ENGINES)}")
    return import_module(f".{name}", __name__)
