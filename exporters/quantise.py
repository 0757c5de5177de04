"""A GGUF in another type, by llama.cpp's own quantiser, which knows every type and mixture.

It runs in a process of its own: it ends the process on files that it does not like.
"""

import re
import shutil
import subprocess
import sys
from collections import deque
from pathlib import Path

from gguf.constants import GGMLQuantizationType

from ..devices.files import open_atomic
from ..errors import ConvertError, DiskFull
from ..offload.gguf_header import FORMATS, Header, read_header
from .gguf_file import Fallback, Progress

# llama.cpp's name and number for a mixture, and the type that most of its tensors have. Left out are those that need
# an importance matrix.
MIXTURES: dict[str, tuple[int, str]] = {
    "F32": (0, "F32"),
    "F16": (1, "F16"),
    "Q4_0": (2, "Q4_0"),
    "Q4_1": (3, "Q4_1"),
    "Q8_0": (7, "Q8_0"),
    "Q5_0": (8, "Q5_0"),
    "Q5_1": (9, "Q5_1"),
    "Q2_K": (10, "Q2_K"),
    "Q3_K_S": (11, "Q3_K"),
    "Q3_K_M": (12, "Q3_K"),
    "Q3_K_L": (13, "Q3_K"),
    "Q4_K_S": (14, "Q4_K"),
    "Q4_K_M": (15, "Q4_K"),
    "Q5_K_S": (16, "Q5_K"),
    "Q5_K_M": (17, "Q5_K"),
    "Q6_K": (18, "Q6_K"),
    "IQ4_NL": (25, "IQ4_NL"),
    "IQ3_S": (26, "IQ3_S"),
    "IQ3_M": (27, "IQ3_S"),
    "IQ4_XS": (30, "IQ4_XS"),
    "BF16": (32, "BF16"),
    "TQ1_0": (36, "TQ1_0"),
    "TQ2_0": (37, "TQ2_0"),
    "MXFP4_MOE": (38, "MXFP4"),
}
_UNSET = 2**31 - 1  # as a tensor's type: the mixture decides
_STEP = re.compile(r"\[ *(\d+)/ *(\d+)\]")
_MEMORY = 256 * 2**20  # of tensors held at once
_ENOUGH = 2**20  # free bytes on a disk that is not full


def quantise(
    source: Path,
    out: Path,
    type: str,
    embeddings: str | None = None,
    output: str | None = None,
    progress: Progress | None = None,
) -> tuple[Fallback, ...]:
    """Writes the GGUF `source` of F32, F16 or BF16 tensors to `out`, in one of MIXTURES.

    `embeddings` and `output` name tensor types for the embedding and the output matrix; where they are one matrix,
    `embeddings` goes before `output`. Returns the tensors whose rows do not divide into the type's blocks, and what
    they became. Raises ConvertError, DiskFull, AccelError or a ModelError of the source, and then leaves `out` as it
    was.
    """
    if type not in MIXTURES:
        raise ConvertError(f"'{type}' is no type that can be made here", f"choose one of {', '.join(MIXTURES)}")
    before = read_header(source)
    numbers = [MIXTURES[type][0], *(_UNSET if each is None else _number(each) for each in (embeddings, output))]
    with open_atomic(out) as sink:
        _run(source.absolute(), Path(sink.name).absolute(), numbers, progress)
        after = read_header(Path(sink.name))
    tied = "output.weight" not in after.tensors
    asked = {"token_embd.weight": embeddings or (output if tied else None), "output.weight": output}
    return _fallbacks(before, after, asked, MIXTURES[type][1])


def _number(type: str) -> int:
    if type not in GGMLQuantizationType.__members__ or type not in FORMATS:
        raise ConvertError(f"'{type}' is no tensor type", f"choose one of {', '.join(FORMATS)}")
    return GGMLQuantizationType[type].value


def _fallbacks(before: Header, after: Header, asked: dict[str, str | None], otherwise: str) -> tuple[Fallback, ...]:
    return tuple(
        Fallback(name, wanted, tensor.format)
        for name, tensor in after.tensors.items()
        if tensor.shape[0] % FORMATS[wanted := asked.get(name) or otherwise][0]
        and tensor.format != before.tensors[name].format
    )


def _run(source: Path, out: Path, numbers: list[int], progress: Progress | None) -> None:
    # -P: a file named llama_cpp.py in the current folder is not meant.
    command = [sys.executable, "-P", "-m", __name__, str(source), str(out), *map(str, numbers)]
    said: deque[str] = deque(maxlen=20)
    with subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        errors="replace",
    ) as child:
        try:
            for line in child.stderr or ():
                said.append(line.strip())
                if progress and (step := _STEP.search(line)):
                    progress(int(step[1]) / max(1, int(step[2])))
        except BaseException:
            child.kill()
            raise
    if child.returncode:
        _fail(source, out, said)


def _fail(source: Path, out: Path, said: deque[str]) -> None:
    if shutil.disk_usage(out.parent).free < _ENOUGH:
        raise DiskFull(f"no room in {out.parent}", "free some space, or write elsewhere")
    last = said[-1] if said else "it said nothing"
    why = last.rsplit("failed to quantize: ", 1)[-1]
    raise ConvertError(f"llama.cpp could not quantise {source}: {why[:300]}", "try another type")


def _main(source: str, out: str, mixture: str, embeddings: str, output: str) -> int:
    """What runs in the process of its own."""
    import ctypes

    import llama_cpp as lib

    how = lib.llama_model_quantize_default_params()
    how.ftype = int(mixture)
    how.max_buf_size = _MEMORY
    if int(embeddings) != _UNSET:
        how.token_embedding_type = int(embeddings)
    if int(output) != _UNSET:
        how.output_tensor_type = int(output)
    return lib.llama_model_quantize(source.encode(), out.encode(), ctypes.pointer(how))


if __name__ == "__main__":
    sys.exit(_main(*sys.argv[1:]))
