"""What keeping so many of a layer's experts is worth: hits of a cache that lets go what was used longest ago. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise


@dataclass(frozen=True, slots=True)
class HitCurves:
    """Of one model's measured routing. `hits[layer][kept]`: of the `uses` of a layer, how many were found where so many
    of its experts are kept, 0 to all."""

    uses: int
    hits: tuple[tuple[int, ...], ...]

    def sound(self, layers: int, experts: int) -> bool:
        """Whether these can be curves of a model of so many layers with so many experts."""
        return self.uses > 0 and len(self.hits) == layers and all(map(self._climbs, self.hits, [experts] * layers))

    def rate(self, share: float, rooms: Sequence[int]) -> float:
        """Of the bytes that tokens use, the part that is found where this share of every layer's experts is kept, 0 to
        1. `rooms`: bytes of one expert of each layer."""
        found = sum(room * self._hits(curve, share) for room, curve in zip(rooms, self.hits, strict=True))
        return found / (self.uses * sum(rooms))

    def _hits(self, curve: tuple[int, ...], share: float) -> float:
        """Between two numbers of experts the line."""
        place = share * (len(curve) - 1)
        left = min(int(place), len(curve) - 2)
        return curve[left] + (curve[left + 1] - curve[left]) * (place - left)

    def _climbs(self, curve: tuple[int, ...], experts: int) -> bool:
        steps = (0, *curve, self.uses)
        return len(curve) == experts + 1 and all(low <= high for low, high in pairwise(steps))
