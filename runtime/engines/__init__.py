"""Engines by name. An engine's module is imported when it is opened: they are heavy, and not everywhere."""

from collections.abc import Callable
from importlib import import_module
from typing import Any

from ...errors import UsageError

ENGINES = {"llamacpp": ("base", "EngineOptions"), "fake": ("fake", "FakeOptions")}  # where its options are declared


def options_type(name: str) -> type:
    """The record of options that the engine takes: plain data, to and from JSON."""
    module, record = ENGINES[_known(name)]
    return getattr(import_module(f".{module}", __name__), record)


def open_engine(name: str, options: Any, progress: Callable[[float], bool] | None = None) -> Any:
    """An `Engine` (see base.py). `progress` is called with 0..1 while it loads; where it returns False the load ends
    with Cancelled. Raises ModelError, EngineError, Cancelled, or UsageError for a name that is no engine."""
    return import_module(f".{_known(name)}", __name__).open_engine(options, progress)


def _known(name: str) -> str:
    if name not in ENGINES:
        raise UsageError(f"'{name[:40]}' is no engine", f"choose one of {', '.join(ENGINES)}")
    return name
