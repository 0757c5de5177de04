"""Small GGUFs of experts alone, in any format and any number of files, written without the code that reads them."""

from pathlib import Path

import numpy as np
from gguf import GGMLQuantizationType, GGUFWriter
from gguf.quants import quantize

EXPERTS, ROWS = 4, 64


def draw(format: str, width: int, seed: int = 0) -> np.ndarray:
    """Quantised experts of normal values: uint8, [experts, rows, bytes]."""
    values = np.random.default_rng(seed).standard_normal((EXPERTS, ROWS, width)).astype(np.float32)
    return quantize(values, GGMLQuantizationType[format])


def write_experts(path: Path, *tensors: tuple[str, str, np.ndarray], files: int = 1) -> Path:
    """Tensors by name and format; in several files, each holds some of them. Gives the path of the first file."""
    paths = (
        [path.with_name(f"{path.stem}-{n + 1:05d}-of-{files:05d}.gguf") for n in range(files)] if files > 1 else [path]
    )
    for number, file in enumerate(paths):
        writer = GGUFWriter(file, "test")
        if files > 1:
            writer.add_uint16("split.no", number)
            writer.add_uint16("split.count", files)
        for name, format, blocks in tensors[number::files]:
            writer.add_tensor(name, blocks, raw_dtype=GGMLQuantizationType[format])
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_tensors_to_file()
        writer.close()
    return paths[0]
