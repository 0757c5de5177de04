"""Where accel keeps its own files: one folder each for cache, settings and state, readable by their owner alone."""

import os
from collections.abc import Callable
from pathlib import Path

import platformdirs

from ..errors import AccelError


def cache_dir() -> Path:
    """What can be made or fetched again: downloads, measurements. Raises AccelError where it cannot be made."""
    return _own("cache", platformdirs.user_cache_path)


def config_dir() -> Path:
    """What the user wrote: settings. Raises AccelError where it cannot be made."""
    return _own("config", platformdirs.user_config_path)


def state_dir() -> Path:
    """What the user would miss: conversations, keys. Raises AccelError where it cannot be made."""
    return _own("state", platformdirs.user_state_path)


def _own(kind: str, default: Callable[..., Path]) -> Path:
    home = os.environ.get("ACCEL_HOME")
    folder = Path(home).absolute() / kind if home else default("accel", appauthor=False)
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        why = error.strerror or str(error)
        raise AccelError(f"cannot make the folder {folder}: {why}", "set ACCEL_HOME to a folder of yours") from error
    return folder
