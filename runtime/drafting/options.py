"""What a worker drafts with: plain data, light to import, to and from JSON."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class DraftingOptions:
    """`rows` and `seconds`: what forwards of so many rows take here, as far as it was measured."""

    folder: str = ""  # where drafters keep what they learn of a model; "": nowhere
    rows: tuple[int, ...] = ()
    seconds: tuple[float, ...] = ()
