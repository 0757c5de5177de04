"""A Hugging Face checkpoint as a GGUF, tensor by tensor: the model is never in memory whole."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from gguf.constants import GGML_QUANT_SIZES
from gguf.quants import quantize

from ..errors import AccelError, ConvertError
from .checkpoint import Config, Stored, read_config, read_tensors
from .families import Family, Tensor, dimensions, family_of, metadata
from .gguf_file import FILE_TYPES, Fallback, Head, Planned, Progress, Type, write_gguf
from .quantise import MIXTURES, quantise
from .tokenizer import read_vocabulary

_PIECE = 2**20  # values in memory at once
_LARGEST = {  # of a value; the scales of blocks are halves
    Type.F16: 65504.0,
    Type.BF16: (2 - 2**-7) * 2.0**127,
    Type.Q8_0: 127 * 65504.0,
    Type.Q4_0: 8 * 65504.0,
}
_IN_FLOAT = {"ffn_gate_inp"}  # routers: an error there picks other experts


def convert(
    source: Path,
    out: Path,
    type: str = "F16",
    progress: Progress | None = None,
    embeddings: str | None = None,
    output: str | None = None,
) -> tuple[Fallback, ...]:
    """Writes the checkpoint in the folder `source` to the GGUF `out`.

    `type` is what its matrices become: one of FILE_TYPES, written here, or another of quantise.MIXTURES, made by
    llama.cpp. `embeddings` and `output` name other types for the embedding and the output matrix; where they are one,
    `embeddings` goes before `output`. Returns the tensors whose rows do not divide into the blocks of their type, and
    what they became. Raises ConvertError, DiskFull or AccelError, and then leaves `out` as it was.
    """
    if all(each in FILE_TYPES for each in (type, embeddings or type, output or type)):
        return _convert(source, out, type, progress, embeddings, output)
    if type not in MIXTURES:
        raise ConvertError(f"'{type}' is no type that can be made here", f"choose one of {', '.join(MIXTURES)}")
    first = second = None
    if progress:
        first, second = (lambda done: progress(done / 2)), (lambda done: progress(0.5 + done / 2))
    with _folder_in(out.parent) as folder:
        _convert(source, folder / "whole.gguf", None, first, None, None)
        return quantise(folder / "whole.gguf", out, type, embeddings, output, second)


@contextmanager
def _folder_in(parent: Path) -> Iterator[Path]:
    """For a file that may be too large for where temporary files usually go."""
    try:
        folder = TemporaryDirectory(prefix=".", suffix=".part", dir=parent)
    except OSError as error:
        raise AccelError(f"cannot write in {parent}: {error.strerror}", "choose another folder") from error
    with folder as name:
        yield Path(name)


def _convert(
    source: Path,
    out: Path,
    type: str | None,
    progress: Progress | None,
    embeddings: str | None,
    output: str | None,
) -> tuple[Fallback, ...]:
    """As convert, with types of FILE_TYPES only; None for the smallest that holds what is stored exactly."""
    config = read_config(source / "config.json")
    family = family_of(config)
    keys = metadata(family, config)
    parts = _parts(family, config, dimensions(keys), read_tensors(source))
    vocabulary = read_vocabulary(source, config.count("vocab_size"), config)
    type = type or _exact(parts)
    tied = all(name != "output" for name, _ in parts)
    asked = {"token_embd": embeddings or (output if tied else None) or type, "output": output or type}
    tensors, fallbacks = _plan(parts, asked, type)

    def contents(number: int) -> Iterator[bytes]:
        for part in parts[number][1]:
            for values in part.rows(_PIECE):
                yield _encode(part, values, tensors[number].type)

    write_gguf(
        out, Head(family.architecture, source.resolve().name, type, keys, vocabulary), tensors, contents, progress
    )
    return fallbacks


Parts = list[tuple[str, tuple[Stored, ...]]]  # each tensor's name in the GGUF, and what makes it up in the checkpoint


def _parts(family: Family, config: Config, sizes: dict[str, int], stored: dict[str, Stored]) -> Parts:
    """Raises ConvertError where the checkpoint lacks a tensor, or holds one that its family does not."""
    left = dict(stored)
    tied = config.get("tie_word_embeddings", bool, "lm_head.weight" not in left)
    parts: Parts = []
    for name, theirs in family.whole.items():
        if not (tied and name == "output"):
            parts.append((name, (_take(left, theirs, sizes),)))
    for layer in range(config.count("num_hidden_layers")):
        at = f"model.layers.{layer}."
        for name, theirs in family.layer.items():
            parts.append((f"blk.{layer}.{name}", (_take(left, theirs, sizes, at),)))
        for name, theirs in family.experts.items():
            experts = (theirs._replace(name=theirs.name.format(expert)) for expert in range(sizes["experts"]))
            parts.append((f"blk.{layer}.{name}", tuple(_take(left, expert, sizes, at) for expert in experts)))
    if tied:
        left.pop("lm_head.weight", None)
    if left:
        raise ConvertError(
            f"the checkpoint holds tensors that its family does not: {', '.join(sorted(left)[:3]):.200}",
            "this checkpoint cannot be converted",
        )
    return parts


def _take(left: dict[str, Stored], tensor: Tensor, sizes: dict[str, int], at: str = "") -> Stored:
    name = f"{at}{tensor.name}.weight"
    if name not in left:
        raise ConvertError(f"the checkpoint lacks the tensor '{name}'", "download the checkpoint again")
    found, shape = left.pop(name), tuple(sizes[each] for each in tensor.shape)
    if found.shape != shape:
        raise ConvertError(
            f"the tensor '{name}' is {found.shape}, and config.json says {shape}", "download the checkpoint again"
        )
    return found


def _exact(parts: Parts) -> str:
    """The smallest type that holds every matrix as it is stored."""
    types = {part.type for _, stored in parts for part in stored if len(part.shape) > 1}
    return types.pop() if len(types) == 1 else "F32"


def _plan(parts: Parts, asked: dict[str, str], otherwise: str) -> tuple[list[Planned], tuple[Fallback, ...]]:
    tensors: list[Planned] = []
    fallbacks: list[Fallback] = []
    for name, stored in parts:
        role = name.rsplit(".", 1)[-1]
        shape = stored[0].shape if not role.endswith("_exps") else (len(stored), *stored[0].shape)
        type = Type.F32 if len(shape) == 1 or role in _IN_FLOAT else Type[asked.get(role, otherwise)]
        if shape[-1] % GGML_QUANT_SIZES[type][0]:
            fallbacks.append(Fallback(f"{name}.weight", type.name, "F16"))
            type = Type.F16
        tensors.append(Planned(f"{name}.weight", shape, type))
    return tensors, tuple(fallbacks)


def _encode(part: Stored, values: np.ndarray, type: Type) -> bytes:
    peak = float(np.abs(values).max())
    if not peak <= _LARGEST.get(type, float(np.finfo(np.float32).max)):  # a NaN is not
        raise ConvertError(f"'{part.name}' holds {peak}, which {type.name} cannot", "choose F32 or BF16")
    return quantize(values, type).tobytes()
