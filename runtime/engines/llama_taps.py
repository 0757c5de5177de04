"""Values out of the middle of a llama.cpp forward."""

import ctypes
from collections.abc import Sequence

from ...errors import EngineError
from . import llama_api as api
from .base import Tap

# what a tap asks for -> the graph node at which it is known
_NODES = {"gate_input": "ffn_moe_logits", "experts": "ffn_moe_topk", "layer_output": "l_out"}


class Taps:
    """The one evaluation callback of a context. llama.cpp asks it about every node of every graph, and calls it again
    with the nodes it wanted once they are computed."""

    def __init__(self, layers: int, experts: bool) -> None:
        self.names = frozenset(_NODES if experts else {"layer_output"})
        self.callback = api.EvalCallback(self._visit)
        self._layers = layers
        self._wanted: dict[bytes, list[Tap]] = {}
        self._failure: BaseException | None = None

    def want(self, taps: Sequence[Tap]) -> None:
        """For the next forward. Raises EngineError where a tap asks for what is not there."""
        self._wanted, self._failure = {}, None
        for tap in taps:
            if tap.what not in self.names or not 0 <= tap.layer < self._layers:
                raise EngineError(f"there is no '{tap.what[:40]}' in layer {tap.layer}", "ask `can.taps`")
            self._wanted.setdefault(f"{_NODES[tap.what]}-{tap.layer}".encode(), []).append(tap)

    def failure(self) -> EngineError | None:
        """What a tap raised in the forward that ended: an exception may not cross C, so it waited here."""
        if self._failure is None:
            return None
        error = EngineError(f"a tap failed ({type(self._failure).__name__}: {self._failure})")
        error.__cause__ = self._failure
        return error

    def _visit(self, tensor: int, ask: bool, _: int) -> bool:
        if not self._wanted:
            return not ask
        # By name each time: addresses are used again for other tensors.
        taps = self._wanted.get(ctypes.string_at(tensor + api.NAME_OFFSET))
        if taps and not ask and self._failure is None:
            self._call(tensor, taps)
        return taps is not None

    def _call(self, tensor: int, taps: list[Tap]) -> None:
        try:
            for tap in taps:
                source = api.Tensor.from_address(tensor).src[1] if tap.what == "gate_input" else tensor
                tap.call(api.tensor_rows(source))
        except BaseException as error:  # noqa: BLE001 - raised by the forward that it spoils
            self._failure = error
