"""A GGUF written piece by piece, and whole or not at all."""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from gguf import GGUFWriter
from gguf.constants import GGML_QUANT_SIZES, GGMLQuantizationType

from ..devices.files import open_atomic
from .tokenizer import Vocabulary

Type = GGMLQuantizationType
Value = int | float | str
Progress = Callable[[float], None]  # is told the fraction done

FILE_TYPES = {"F32": 0, "F16": 1, "Q4_0": 2, "Q8_0": 7, "BF16": 32}  # llama.cpp's numbers for files mostly of them


@dataclass(frozen=True, slots=True)
class Planned:
    """A tensor that will stand in the file; `shape` as numpy has it, a row last."""

    name: str
    shape: tuple[int, ...]
    type: Type

    @property
    def size(self) -> int:
        """In bytes."""
        block, size = GGML_QUANT_SIZES[self.type]
        return math.prod(self.shape) // block * size


@dataclass(frozen=True, slots=True)
class Fallback:
    """A tensor whose rows do not divide into the blocks of the type that was asked for."""

    tensor: str
    wanted: str
    got: str


@dataclass(frozen=True, slots=True)
class Head:
    """What stands in the file before its tensors."""

    architecture: str
    name: str
    file_type: str  # a key of FILE_TYPES
    keys: Mapping[str, Value]  # of the model's shape, without the architecture before them
    vocabulary: Vocabulary


def write_gguf(
    out: Path,
    head: Head,
    tensors: Sequence[Planned],
    contents: Callable[[int], Iterable[bytes]],
    progress: Progress | None = None,
) -> None:
    """Writes a model; see `write_tensors`."""
    write_tensors(out, _writer(head), tensors, contents, progress)


def write_tensors(
    out: Path,
    writer: GGUFWriter,
    tensors: Sequence[Planned],
    contents: Callable[[int], Iterable[bytes]],
    progress: Progress | None = None,
) -> None:
    """Writes the file: the writer's keys, then the tensors; `contents(i)` gives the bytes of tensor `i` in pieces,
    `size` of them in all.

    Raises DiskFull or AccelError, and then leaves `out` as it was.
    """
    for tensor in tensors:
        writer.add_tensor_info(tensor.name, tensor.shape, np.dtype(np.float32), tensor.size, tensor.type)
    total, done = sum(tensor.size for tensor in tensors), 0
    with open_atomic(out) as sink:
        # The writer wants a path, and whole tensors: it writes the header alone, and the tensors go after it in pieces.
        writer.write_header_to_file(Path(sink.name))
        writer.write_kv_data_to_file()
        writer.write_ti_data_to_file()
        writer.close()
        sink.seek(0, 2)
        for number in range(len(tensors)):
            writer.write_padding(sink, sink.tell())
            for piece in contents(number):
                done += sink.write(piece)
                if progress:
                    progress(done / total)
        writer.write_padding(sink, sink.tell())


def _writer(head: Head) -> GGUFWriter:
    writer = GGUFWriter(None, head.architecture)
    writer.add_type("model")
    writer.add_name(head.name)
    writer.add_file_type(FILE_TYPES[head.file_type])
    writer.add_quantization_version(2)
    for key, value in head.keys.items():
        full = f"{head.architecture}.{key}"
        if isinstance(value, str):
            writer.add_string(full, value)
        elif isinstance(value, float):
            writer.add_float32(full, value)
        else:
            writer.add_uint32(full, value)
    _add_vocabulary(writer, head.vocabulary)
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
