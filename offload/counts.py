"""What became of the experts that were used: counted layer by layer, for whoever watches."""

from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np


class Shares(NamedTuple):
    """Of the uses: of each expert that a token chose in each layer, once."""

    missed: float  # not in memory when wanted, in a precision that would do; left out or not
    served_low: float  # computed with a stand-in, whether it was in memory or had to be read
    skipped: float  # left out


def shares_of(uses: float, hits: float, low: float, skipped: float) -> Shares:
    """From counts as those below, of one layer or of all, over whatever was counted."""
    uses = max(uses, 1)
    return Shares(1 - hits / uses, low / uses, skipped / uses)


@dataclass(slots=True)
class Counts:
    """Since the start, for every layer."""

    layers: int
    uses: np.ndarray = field(init=False)  # experts that were used
    hits: np.ndarray = field(init=False)  # of them there when they were wanted
    late: np.ndarray = field(init=False)  # of the others expected already, and on their way
    beside: np.ndarray = field(init=False)  # read through the file's own mapping: no room was left
    expected: np.ndarray = field(init=False)  # read because they were expected
    fulfilled: np.ndarray = field(
        init=False
    )  # foreseen, whether there already or read, and used at the layer's next turn
    wasted: np.ndarray = field(init=False)  # read because they were expected, and not used at the layer's next turn
    low: np.ndarray = field(init=False)  # uses that a stand-in served
    skipped: np.ndarray = field(init=False)  # uses that were left out
    needed: np.ndarray = field(init=False)  # uses whose expert had to be read for them, when they came or ahead of them
    needed_low: np.ndarray = field(init=False)  # as many of stand-ins, which are not among these
    stall: np.ndarray = field(init=False)  # seconds that a layer waited

    def __post_init__(self) -> None:
        for name in self.__slots__:
            if name not in ("layers", "stall"):
                setattr(self, name, np.zeros(self.layers, np.int64))
        self.stall = np.zeros(self.layers)
