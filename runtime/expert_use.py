"""How keeping only a part of the experts in memory went, over some tokens: by layer, and of all layers. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from operator import attrgetter

from .messages import LayerUse

_COUNTED = ("uses", "hits", "late", "beside", "expected", "fulfilled", "wasted", "low", "skipped", "read")


@dataclass(frozen=True, slots=True)
class ExpertUse:
    """Shares of what a layer used (`hits` to `beside`), of what was read ahead (`wasted`), and means of a token."""

    layer: int | None  # None: all of them
    hits: float  # in memory when they were wanted, in a precision that would do
    low: float  # of low precision
    skipped: float  # left out
    late: float  # on their way when they were wanted
    beside: float  # looked at in the file, for want of room
    wasted: float  # read ahead for nothing
    read: float  # bytes
    stall: float  # seconds that were waited for experts
    recall: float  # foreseen one layer before: the first layer is not

    @property
    def words(self) -> str:
        """What is not as exact computing would have it; empty where everything is."""
        return ", ".join(
            f"{share:.1%} {what}"
            for share, what in ((self.low, "of low precision"), (self.skipped, "left out"))
            if share
        )


def since(before: Sequence[LayerUse], now: Sequence[LayerUse]) -> tuple[LayerUse, ...]:
    """What happened between two surveys of one worker; what was foreseen is as it was in the end."""
    old = {layer.layer: layer for layer in before}
    return tuple(_less(layer, old[layer.layer]) if layer.layer in old else layer for layer in now)


def of_layers(layers: Sequence[LayerUse], tokens: int) -> tuple[ExpertUse, ...]:
    return tuple(_use(layer, layer.layer, tokens) for layer in layers)


def of_all(layers: Sequence[LayerUse], tokens: int) -> ExpertUse:
    """One of `layers` at least."""
    sums = {name: sum(map(attrgetter(name), layers)) for name in (*_COUNTED, "stall")}
    foreseen = [layer.recall for layer in layers if layer.recall]
    return _use(LayerUse(layer=0, recall=sum(foreseen) / max(1, len(foreseen)), **sums), None, tokens)


def _less(now: LayerUse, before: LayerUse) -> LayerUse:
    counts = {name: getattr(now, name) - getattr(before, name) for name in _COUNTED}
    return LayerUse(layer=now.layer, recall=now.recall, stall=now.stall - before.stall, **counts)


def _use(layer: LayerUse, number: int | None, tokens: int) -> ExpertUse:
    uses, ahead, tokens = max(1, layer.uses), max(1, layer.expected), max(1, tokens)
    return ExpertUse(
        layer=number,
        hits=layer.hits / uses,
        low=layer.low / uses,
        skipped=layer.skipped / uses,
        late=layer.late / uses,
        beside=layer.beside / uses,
        wasted=min(1.0, layer.wasted / ahead),  # a read may have been asked for before
        read=layer.read / tokens,
        stall=layer.stall / tokens,
        recall=layer.recall,
    )
