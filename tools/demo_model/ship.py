"""Writes what was trained into the package: Hugging Face checkpoint folders first, GGUFs from them.

python -m tools.demo_model.ship [moe] [draft]
"""

# torch is installed for training alone.
# pyright: reportMissingImports=false

import sys
from pathlib import Path

import torch
from gguf import GGUFReader, GGUFValueType, GGUFWriter, Keys
from gguf.scripts.gguf_new_metadata import MetadataDetails, copy_with_new_metadata

from accel.exporters.gguf import convert
from accel.runtime import demo

from .checkpoint import write_checkpoint
from .model import Model
from .train import OUT, SHAPES

# The target's matrices were trained on the Q4_0 grid; the embedding, which is also the output, was not.
TYPES = {"moe": "Q4_0", "draft": "Q8_0"}
PATHS = {"moe": demo.target(), "draft": demo.draft()}
ABOUT = {
    "moe": "The demonstration model of accel: 20.6 million parameters, 16 experts, 2 in use; trained on conversations "
    "that a grammar wrote.",
    "draft": "The draft of accel's demonstration model: one layer, the same tokenizer.",
}


def describe(source: Path, out: Path, which: str) -> None:
    """Copies a GGUF with its name, its purpose and its licence in the header."""
    reader = GGUFReader(source)
    fresh = out.with_suffix(".new")
    architecture = str(reader.fields[Keys.General.ARCHITECTURE].contents())
    writer = GGUFWriter(fresh, architecture)
    text = {
        Keys.General.NAME: f"accel demo {which}",
        Keys.General.DESCRIPTION: ABOUT[which],
        Keys.General.LICENSE: "Apache-2.0",
    }
    copy_with_new_metadata(
        reader, writer, {key: MetadataDetails(GGUFValueType.STRING, value) for key, value in text.items()}, []
    )
    fresh.replace(out)


def main() -> None:
    torch.manual_seed(1)
    for which in sys.argv[1:] or list(SHAPES):
        model = Model(SHAPES[which])
        state = torch.load(OUT / f"{which}.pt", weights_only=True, map_location="cpu")
        model.load_state_dict(state["model"])
        folder = OUT / which
        write_checkpoint(model, folder, OUT)
        convert(folder, OUT / f"{which}.gguf", TYPES[which], embeddings="Q8_0")
        describe(OUT / f"{which}.gguf", PATHS[which], which)
        print(f"{PATHS[which]}: {PATHS[which].stat().st_size / 1e6:.2f} MB, step {state['step']}")


if __name__ == "__main__":
    main()
