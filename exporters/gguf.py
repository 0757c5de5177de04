"""A Hugging Face checkpoint as a GGUF, tensor by tensor: the model is never in memory whole."""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np
from gguf import GGUFWriter
from gguf.constants import GGML_QUANT_SIZES, GGMLQuantizationType
from gguf.quants import quantize

from ..devices.files import open_atomic
from ..errors import ConvertError
from .checkpoint import Config, Stored, read_config, read_tensors
from .families import Family, family_of, metadata
from .tokenizer import Vocabulary, read_vocabulary

Type = GGMLQuantizationType
Progress = Callable[[float], None]  # is told the fraction done

DIRECT = {"F32": 0, "F16": 1, "Q4_0": 2, "Q8_0": 7, "BF16": 32}  # written here; llama.cpp's numbers for files of them
_PIECE = 2**22  # values in memory at once
_LARGEST = {Type.F16: 65504.0, Type.Q8_0: 127 * 65504.0, Type.Q4_0: 8 * 65504.0}  # scales are halves
_IN_FLOAT = {"ffn_gate_inp"}  # routers: an error there picks other experts


@dataclass(frozen=True, slots=True)
class Written:
    """A tensor as it will stand in the GGUF: its parts one after another, rows as they are."""

    name: str
    shape: tuple[int, ...]  # rows last but one, as in the checkpoint
    type: Type
    parts: tuple[Stored, ...]

    @property
    def size(self) -> int:
        block, size = GGML_QUANT_SIZES[self.type]
        return math.prod(self.shape) // block * size


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

    Types: those of DIRECT. `embeddings` and `output` name other types for the embedding and the output matrix. Returns
    the tensors that could not have the type asked for. Raises ConvertError, DiskFull or AccelError, and then leaves
    `out` as it was.
    """
    for each in (type, embeddings, output):
        if each is not None and each not in DIRECT:
            raise ConvertError(f"'{each}' is no type that is written here", f"choose one of {', '.join(DIRECT)}")
    config = read_config(source / "config.json")
    family = family_of(config)
    vocabulary = read_vocabulary(source, config.count("vocab_size"), config)
    wanted = {"token_embd": embeddings or type, "output": output or type}
    tensors, fallbacks = _plan(family, config, read_tensors(source), wanted, type)
    writer = _header(family, config, vocabulary, source.resolve().name, DIRECT[type], tensors)
    with open_atomic(out) as sink:
        _write(writer, tensors, sink, progress or (lambda fraction: None))
    return fallbacks


def _plan(
    family: Family, config: Config, stored: dict[str, Stored], wanted: dict[str, str], type: str
) -> tuple[list[Written], tuple[Fallback, ...]]:
    """Every tensor to be written; ConvertError where the checkpoint lacks one, or holds one that nothing here reads."""
    left = dict(stored)
    tensors: list[Written] = []
    fallbacks: list[Fallback] = []
    for name, names in _names(family, config):
        parts = tuple(_take(left, f"{name}.weight") for name in names)
        shape = parts[0].shape if len(parts) == 1 else (len(parts), *parts[0].shape)
        if any(part.shape != parts[0].shape for part in parts):
            raise ConvertError(f"the experts of '{name}' differ in shape", "download the checkpoint again")
        role = name.rsplit(".", 1)[-1]
        asked = Type[wanted.get(role, type)]
        got = Type.F32 if len(shape) == 1 or role in _IN_FLOAT else asked
        if shape[-1] % GGML_QUANT_SIZES[got][0]:
            got = Type.F16
            fallbacks.append(Fallback(f"{name}.weight", asked.name, got.name))
        tensors.append(Written(f"{name}.weight", shape, got, parts))
    if config.get("tie_word_embeddings", bool, False):
        left.pop("lm_head.weight", None)
    if left:
        raise ConvertError(
            f"the checkpoint holds tensors that its family does not: {', '.join(sorted(left)[:3])}",
            "this checkpoint cannot be converted",
        )
    return tensors, tuple(fallbacks)


def _names(family: Family, config: Config) -> Iterator[tuple[str, list[str]]]:
    """Each tensor's name in the GGUF, and the names of its parts in the checkpoint."""
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


def _header(
    family: Family, config: Config, vocabulary: Vocabulary, name: str, number: int, tensors: list[Written]
) -> GGUFWriter:
    writer = GGUFWriter(None, family.architecture)
    writer.add_type("model")
    writer.add_name(name)
    writer.add_file_type(number)
    writer.add_quantization_version(2)
    for key, value in metadata(family, config).items():
        full = f"{family.architecture}.{key}"
        if isinstance(value, str):
            writer.add_string(full, value)
        elif isinstance(value, float):
            writer.add_float32(full, value)
        else:
            writer.add_uint32(full, value)
    _add_vocabulary(writer, vocabulary)
    for tensor in tensors:
        writer.add_tensor_info(tensor.name, tensor.shape, np.dtype(np.float32), tensor.size, tensor.type)
    return writer


def _add_vocabulary(writer: GGUFWriter, vocabulary: Vocabulary) -> None:
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre(vocabulary.rules)
    writer.add_token_list(vocabulary.tokens)
    writer.add_token_types(vocabulary.types)
    writer.add_token_merges(vocabulary.merges)
    for role, key in (("bos", "bos"), ("eos", "eos"), ("eot", "eot"), ("eom", "eom"), ("pad", "padding")):
        if role in vocabulary.ids:
            writer.add_uint32(f"tokenizer.ggml.{key}_token_id", vocabulary.ids[role])
    writer.add_add_bos_token(vocabulary.add_bos)
    writer.add_add_eos_token(vocabulary.add_eos)
    if vocabulary.chat_template:
        writer.add_chat_template(vocabulary.chat_template)


def _write(writer: GGUFWriter, tensors: list[Written], sink: BinaryIO, progress: Progress) -> None:
    # The writer wants a path, and whole tensors: it writes the header alone, and the tensors go after it in pieces.
    writer.write_header_to_file(Path(sink.name))
    writer.write_kv_data_to_file()
    writer.write_ti_data_to_file()
    writer.close()
    sink.seek(0, 2)
    total, done = sum(tensor.size for tensor in tensors), 0
    for tensor in tensors:
        writer.write_padding(sink, sink.tell())
        for part in tensor.parts:
            for values in part.rows(_PIECE):
                done += sink.write(_encode(part, values, tensor.type))
                progress(done / total)
    writer.write_padding(sink, sink.tell())


def _encode(part: Stored, values: np.ndarray, type: Type) -> bytes:
    peak = float(np.abs(values).max())
    if not peak <= _LARGEST.get(type, float(np.finfo(np.float32).max)):  # a NaN is not
        raise ConvertError(f"'{part.name}' holds {peak}, which {type.name} cannot", "choose F32 or BF16")
    return quantize(values, type).tobytes()
