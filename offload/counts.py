"""What became of the experts that were used: counted layer by layer, for whoever watches."""

from dataclasses import dataclass, field

import numpy as np


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
