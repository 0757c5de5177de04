"""What a worker drafts with: plain data, light to import, to and from JSON."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class DraftingOptions:
    """`rows` and `seconds`: what forwards of so many rows take here, as far as it was measured."""

    folder: str = ""  # where drafters keep what they learn of a model; "": nowhere
    rows: tuple[int, ...] = ()
    seconds: tuple[float, ...] = ()
    nodes: int = 31  # of the drafts of one step, of all texts together, at most
    leaves: int = 1  # of one text's draft; 1: chains only
    engine: str = ""  # that the draft model is opened with; "": there is none
    model: str = ""  # what that engine is opened with, as JSON
