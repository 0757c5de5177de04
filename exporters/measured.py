"""What `accel-export experts` finds before it measures stand-ins, and tells after it has."""

import codecs
import stat
from collections.abc import Iterator
from pathlib import Path

from ..errors import ModelError, UsageError
from ..offload.gguf_header import read_header
from ..offload.layout import Layout, sidecar_of
from ..offload.planes import Planes
from ..runtime.quality import OFF, Quality
from ..runtime.quality_file import quality_file_of
from ..runtime.thresholds import MOST_LOSS

_LONGEST = 2**20  # bytes of a text that are read


def up_to_date(model: Path, out: Path | None) -> Path | None:
    """Stand-ins that are there and this model's, or None. Raises ModelError where the model cannot be read."""
    header, out = read_header(model), out or sidecar_of(model)
    layout = Layout.of(header)
    if not layout.layers or not out.exists():
        return None
    try:
        return Planes.read(out, header, layout).path
    except ModelError:
        return None


def text_of(file: Path) -> str:
    """The beginning of a text. Raises UsageError for what is no file of text."""
    try:
        if not stat.S_ISREG(file.stat().st_mode):
            raise UsageError(f"{file} is no regular file", "name a text")
        with file.open("rb") as source:
            raw = source.read(_LONGEST)
        # Where more follows, the last letter may be cut.
        text = codecs.getincrementaldecoder("utf-8")().decode(raw, final=len(raw) < _LONGEST)
    except UnicodeDecodeError as error:
        raise UsageError(f"{file} is no text in UTF-8", "name a text") from error
    except OSError as error:
        raise UsageError(f"{file} cannot be read: {error.strerror or error}", "name a text that can be read") from error
    if not text.strip():
        raise UsageError(f"{file} holds no text", "name another, or none")
    return text


def told(stand_ins: Path, qualities: tuple[Quality, ...]) -> Iterator[str]:
    """Lines for people."""
    yield f"{quality_file_of(stand_ins)}: {len(qualities)} measured"
    if not qualities:
        yield f"no thresholds keep the loss of perplexity within {MOST_LOSS:.0%}: nothing will stand in"
    for quality in qualities:
        served = f"stand-ins above {quality.low}" if quality.low < quality.skip else "no stand-ins"
        left_out = f", left out above {quality.skip}" if quality.skip < OFF else ""
        strict = ", by gate scores alone" if quality.deterministic else ""
        yield f"{quality.share:.0%} of experts in memory, {served}{left_out}{strict}:"
        yield f"  {quality.words}; a token reads {quality.read} instead of {quality.read_exact}"
