"""What was measured of a model's stand-ins, in a file beside them: NAME.low.json, a list of qualities.

Anybody may have written it: its length is checked before it is read, its values before they are believed.
"""

import stat
from pathlib import Path

import msgspec

from ..devices.files import write_atomic
from ..errors import AccelError
from ..offload.layout import Layout, sidecar_of
from ..units import from_json, to_json
from .engines.options import READERS
from .model import ModelSpec
from .quality import Quality, StandIns

_LONGEST = 2**20  # bytes
_MOST = 64  # qualities
EXPORT = "accel-export experts"


def quality_file_of(stand_ins: Path) -> Path:
    return stand_ins.with_suffix(".json")


def save_qualities(stand_ins: Path, qualities: tuple[Quality, ...]) -> Path:
    """Whole or not at all; where. Raises DiskFull, AccelError."""
    file = quality_file_of(stand_ins)
    write_atomic(file, to_json(qualities))
    return file


def stand_ins_of(model: ModelSpec) -> StandIns:
    """What lies beside the model, if it is sound and was measured; else what is to be done. Reads little more than
    headers, and nothing of a dense model."""
    if not model.experts or not model.paths:
        return StandIns(problem="a dense model has no experts that anything could stand in for")
    path, again = sidecar_of(model.path), f"`{EXPORT} {model.path.name}`"
    if not path.exists():
        return StandIns(problem=f"no stand-ins lie beside the model: {again} would make it faster")
    try:
        from ..offload.gguf_header import read_header
        from ..offload.planes import Planes

        header = read_header(model.path)
        planes = Planes.read(path, header, Layout.of(header))
    except AccelError as error:
        return StandIns(problem=f"its stand-ins are of no use: {error}")
    qualities, problem = load_qualities(path, model.fingerprint, planes.fingerprint)
    if problem:
        return StandIns(problem=f"{problem}: {again} measures it")
    if not qualities:
        return StandIns(problem="no stand-ins were found that lose as little as they should")
    return StandIns(str(path), planes.longest * READERS, qualities)


def load_qualities(stand_ins: Path, model: str, fingerprint: str) -> tuple[tuple[Quality, ...], str]:
    """Those of this model and these stand-ins, or none and why."""
    file = quality_file_of(stand_ins)
    try:
        about = file.stat()
        if not stat.S_ISREG(about.st_mode) or about.st_size > _LONGEST:
            return (), f"{file.name} holds no qualities"
        with file.open("rb") as source:
            found = from_json(source.read(_LONGEST), tuple[Quality, ...])
    except FileNotFoundError:
        return (), "what its stand-ins cost was never measured"
    except OSError as error:
        return (), f"{file.name} cannot be read ({error.strerror or error})"
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError, OverflowError):
        return (), f"{file.name} holds no qualities"
    if len(found) > _MOST or not all(quality.sound for quality in found):
        return (), f"{file.name} holds what cannot have been measured"
    if any((quality.model, quality.stand_ins) != (model, fingerprint) for quality in found):
        return (), f"{file.name} was measured on another model, or on other stand-ins"
    modes = {(quality.deterministic, quality.low, quality.skip) for quality in found}
    if len(modes) > len({mode for mode, *_ in modes}) or len({(q.deterministic, q.share) for q in found}) < len(found):
        return (), f"{file.name} mixes several choices of thresholds"
    return found, ""
