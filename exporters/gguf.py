"""A Hugging Face checkpoint as a GGUF, tensor by tensor: the model is never in memory whole."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from gguf.constants import GGML_QUANT_SIZES
from gguf.quants import quantize

from ..errors import ConvertError
from .checkpoint import Config, Stored, read_config, read_tensors
from .families import Family, family_of, metadata
from .gguf_file import FILE_TYPES, Head, Planned, Progress, Type, write_gguf
from .tokenizer import read_vocabulary

_PIECE = 2**22  # values in memory at once
_LARGEST = {Type.F16: 65504.0, Type.Q8_0: 127 * 65504.0, Type.Q4_0: 8 * 65504.0}  # scales are halves
_IN_FLOAT = {"ffn_gate_inp"}  # routers: an error there picks other experts


@dataclass(frozen=True, slots=True)
class Fallback:
    """A tensor whose rows do not divide into the blocks of the type that was asked for."""

    tensor: str
    wanted: str
    got: str


def convert(
    source: Path,
    out: Path,
    type: str = "F16",
    progress: Progress | None = None,
    embeddings: str | None = None,
    output: str | None = None,
) -> tuple[Fallback, ...]:
    """Writes the checkpoint in the folder `source` to the GGUF `out`, its matrices in `type`.

    Types: those of FILE_TYPES. `embeddings` and `output` name other types for the embedding and the output matrix.
    Returns the tensors that could not have the type asked for. Raises ConvertError, DiskFull or AccelError, and then
    leaves `out` as it was.
    """
    for each in (type, embeddings, output):
        if each is not None and each not in FILE_TYPES:
            raise ConvertError(f"'{each}' is no type that is written here", f"choose one of {', '.join(FILE_TYPES)}")
    config = read_config(source / "config.json")
    family = family_of(config)
    vocabulary = read_vocabulary(source, config.count("vocab_size"), config)
    asked = {"token_embd": Type[embeddings or type], "output": Type[output or type]}
    parts = _parts(family, config, read_tensors(source))
    tensors, fallbacks = _plan(parts, asked, Type[type])

    def contents(number: int) -> Iterator[bytes]:
        for part in parts[number][1]:
            for values in part.rows(_PIECE):
                yield _encode(part, values, tensors[number].type)

    head = Head(family.architecture, source.resolve().name, type, metadata(family, config), vocabulary)
    write_gguf(out, head, tensors, contents, progress)
    return fallbacks


def _parts(family: Family, config: Config, stored: dict[str, Stored]) -> list[tuple[str, tuple[Stored, ...]]]:
    """Each tensor's name in the GGUF, and what makes it up in the checkpoint.

    Raises ConvertError where the checkpoint lacks a tensor, or holds one that its family does not.
    """
    left = dict(stored)
    if config.get("tie_word_embeddings", bool, False):
        left.pop("lm_head.weight", None)
    parts = [(name, tuple(_take(left, f"{each}.weight") for each in names)) for name, names in _names(family, config)]
    if left:
        raise ConvertError(
            f"the checkpoint holds tensors that its family does not: {', '.join(sorted(left)[:3]):.200}",
            "this checkpoint cannot be converted",
        )
    return parts


def _names(family: Family, config: Config) -> Iterator[tuple[str, list[str]]]:
    tied = config.get("tie_word_embeddings", bool, False)
    for name, theirs in family.whole.items():
        if not (tied and name == "output"):
            yield name, [theirs]
    experts = range(config.count(family.expert_count) if family.expert_count else 0)
    for layer in range(config.count("num_hidden_layers")):
        for name, theirs in family.layer.items():
            yield f"blk.{layer}.{name}", [f"model.layers.{layer}.{theirs}"]
        for name, theirs in family.experts.items():
            yield f"blk.{layer}.{name}", [f"model.layers.{layer}.{theirs.format(expert)}" for expert in experts]


def _take(left: dict[str, Stored], name: str) -> Stored:
    if name not in left:
        raise ConvertError(f"the checkpoint lacks the tensor '{name}'", "download the checkpoint again")
    return left.pop(name)


def _plan(
    parts: list[tuple[str, tuple[Stored, ...]]], asked: dict[str, Type], otherwise: Type
) -> tuple[list[Planned], tuple[Fallback, ...]]:
    tensors: list[Planned] = []
    fallbacks: list[Fallback] = []
    for name, stored in parts:
        if any(part.shape != stored[0].shape for part in stored):
            raise ConvertError(f"the experts of '{name}' differ in shape", "download the checkpoint again")
        shape = stored[0].shape if len(stored) == 1 else (len(stored), *stored[0].shape)
        role = name.rsplit(".", 1)[-1]
        type = Type.F32 if len(shape) == 1 or role in _IN_FLOAT else asked.get(role, otherwise)
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
