"""Made-up machines."""

from collections.abc import Callable
from pathlib import Path

import pytest

Tree = Callable[[Path, dict[str, str]], Path]


@pytest.fixture(scope="session")
def tree() -> Tree:
    """Writes these files below a root, and gives the root back: a machine to probe."""

    def write(root: Path, files: dict[str, str]) -> Path:
        for name, text in files.items():
            file = root / name
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text)
        return root

    return write
