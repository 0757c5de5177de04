from pathlib import Path

import pytest

from accel.exporters.gguf import convert

TRAINED = Path(__file__).resolve().parents[3] / "shared" / "assets" / "models" / "trained"


class Trained:
    """Checkpoints that were really trained, and GGUFs made of them once."""

    def __init__(self, folder: Path) -> None:
        self._out = folder

    def folder(self, name: str) -> Path:
        return TRAINED / name

    def gguf(self, name: str, type: str) -> Path:
        out = self._out / f"{name}-{type}.gguf"
        if not out.exists():
            convert(self.folder(name), out, type)
        return out


@pytest.fixture(scope="session")
def trained(tmp_path_factory):
    if not TRAINED.is_dir():
        pytest.skip(f"there are no trained checkpoints in {TRAINED}")
    return Trained(tmp_path_factory.mktemp("trained"))
