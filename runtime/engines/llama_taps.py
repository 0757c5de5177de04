"""Values out of the middle of a llama.cpp forward."""

import ctypes
from collections.abc import Callable, Sequence
from functools import cache
from typing import Any

import numpy as np

from ...compiled import library
from ...errors import AccelError, EngineError
from . import llama_api as api
from .base import Tap

# what a tap asks for -> the graph node at which it is known
_NODES = {
    "gate_input": "ffn_moe_logits",
    "experts": "ffn_moe_topk",
    "weights": "ffn_moe_weights",
    "layer_output": "l_out",
    "normalised": "ffn_moe_weights_norm",
}
_HIDDEN = {"weights", "normalised"}  # from taps
_SCORING = (b"SOFT_MAX", b"UNARY")  # what makes scores of a gate's logits; without it they are weighed after the choice
_HOPS = 12  # nodes between the choice of experts and the gate's logits, at most
_Call = ctypes.CFUNCTYPE(ctypes.c_bool, api.address, ctypes.c_int32, ctypes.c_int32)


class _Wanted(ctypes.Structure):
    """Wanted of llama_taps.c."""

    _fields_ = (("prefix", ctypes.c_char_p), ("length", ctypes.c_int64), ("layers", api.address))


class _Filter(ctypes.Structure):
    """Filter of llama_taps.c."""

    _fields_ = (
        ("wanted", ctypes.POINTER(_Wanted)),
        ("kinds", ctypes.c_int32),
        ("layers", ctypes.c_int32),
        ("name", ctypes.c_int64),
        ("op", ctypes.c_int64),
        ("call", _Call),
        ("idle", ctypes.c_int32),
        ("failed", ctypes.c_uint8),
    )


class ChosenExperts:
    """The experts that a layer is about to use, while its forward waits."""

    def __init__(self, node: int, weights: int = 0) -> None:
        self._node, self._weights = node, weights
        self.kept = 1.0  # of the weights' sum

    @property
    def experts(self) -> np.ndarray:
        """(rows, used), int32."""
        return api.tensor_rows(self._node)

    @property
    def weights(self) -> np.ndarray | None:
        """(used,), float32: gate scores of a single row; None where they are not known yet or are logits."""
        if not self._weights:
            return None
        node = api.Tensor.from_address(self._weights)
        for _ in range(_HOPS):
            if api.op_name(node.op) in _SCORING:
                return api.tensor_rows(self._weights)[:, 0]
            if not node.src[0]:
                break
            node = api.Tensor.from_address(node.src[0])
            if api.op_name(node.op) == b"MUL_MAT":  # the gate itself
                break
        return None

    def leave_out(self, which: np.ndarray) -> None:
        """Of a single row, whose `weights` are known: these (bool, of shape (used,)) count for nothing, and their
        bytes are not looked at. The others count for as much as before."""
        ids, scores = api.tensor_rows(self._node), api.tensor_rows(self._weights)
        ids[0, which] = ids[0, scores[:, 0].argmax()]
        whole = scores.sum()
        scores[which, 0] = 0
        self.kept = float(scores.sum() / whole) if whole > 0 else 1.0
        api.put_rows(self._node, ids)
        api.put_rows(self._weights, scores)

    @property
    def gate_input(self) -> np.ndarray | None:
        """(rows, width), float32; None where the graph hides it."""
        node = api.Tensor.from_address(self._node)
        for _ in range(_HOPS):
            before = node.src[0] or node.view_src
            if not before:
                return None
            node = api.Tensor.from_address(before)
            if node.name.startswith(b"ffn_moe_logits-"):
                return api.tensor_rows(node.src[1]) if node.src[1] else None
        return None


class Taps:
    """The one evaluation callback of a context. llama.cpp asks it about every node of every graph, and calls it again
    with the nodes it wanted once they are computed."""

    def __init__(
        self,
        layers: int,
        experts: bool,
        before_experts: Callable[[int, ChosenExperts], object] | None = None,
        weighed: bool = False,
    ) -> None:
        """`before_experts(layer, chosen)` is called in every forward once a layer's experts are chosen (`weighed`: and
        their weights known) and before they are touched; unlike a tap it may raise, and the forward then computes
        nothing more."""
        self.names = frozenset(_NODES) - _HIDDEN if experts else frozenset({"layer_output"})
        self._layers = layers
        self._before_experts, self._before_at = before_experts, _WEIGHTS if weighed else _EXPERTS
        self._wanted: list[dict[int, list[Tap]]] = [{} for _ in _NODES]
        self._kept = np.ones(max(1, layers))  # of the weights of each layer, where some were left out
        self._failure: BaseException | None = None
        self._masks = np.zeros((len(_NODES), max(1, layers)), np.uint8)
        kinds = [
            _Wanted(node.encode(), len(node), mask.ctypes.data)
            for node, mask in zip(_NODES.values(), self._masks, strict=True)
        ]
        self._filter = _Filter(
            (_Wanted * len(kinds))(*kinds), len(kinds), layers, api.NAME_OFFSET, api.OP_OFFSET, _Call(self._call)
        )
        self.data = ctypes.addressof(self._filter)  # what the callback is to be called with
        self.callback = compiled() or api.EvalCallback(self._visit)
        self.want(())

    def want(self, taps: Sequence[Tap]) -> None:
        """For the next forward. Raises EngineError where a tap asks for what is not there."""
        self._failure, self._filter.failed = None, 0
        self._masks[:] = 0
        self._wanted = [{} for _ in _NODES]
        if self._before_experts:
            self._masks[self._before_at] = 1
        for tap in taps:
            if tap.what not in self.names or not 0 <= tap.layer < self._layers:
                raise EngineError(f"there is no '{tap.what[:40]}' in layer {tap.layer}", "ask `can.taps`")
            kind = list(_NODES).index(tap.what)
            self._masks[kind, tap.layer] = 1
            self._wanted[kind].setdefault(tap.layer, []).append(tap)

    def failure(self) -> AccelError | None:
        """What was raised in the forward that ended: an exception may not cross C, so it waited here."""
        if self._failure is None or isinstance(self._failure, AccelError):
            return self._failure
        error = EngineError(f"a tap failed ({type(self._failure).__name__}: {self._failure})")
        error.__cause__ = self._failure
        return error

    def _call(self, node: int, kind: int, layer: int) -> bool:
        """One wanted value; False ends the forward."""
        try:
            if kind == self._before_at and self._before_experts:
                chosen = (node,) if kind == _EXPERTS else (api.Tensor.from_address(node).src[1], node)
                self._before(layer, ChosenExperts(*chosen))
            elif kind == _NORMALISED:
                self._shrink(layer, node)
            for tap in self._wanted[kind].get(layer, ()):
                source = api.Tensor.from_address(node).src[1] if kind == _GATE_INPUT else node
                tap.call(api.tensor_rows(source))
        except BaseException as error:  # noqa: BLE001 - raised by the forward that it spoils
            self._failure = error
        return self._failure is None

    def _before(self, layer: int, chosen: ChosenExperts) -> None:
        assert self._before_experts
        self._before_experts(layer, chosen)
        self._kept[layer], self._masks[_NORMALISED, layer] = chosen.kept, chosen.kept < 1

    def _shrink(self, layer: int, node: int) -> None:
        """Where the graph makes the sum of the weights one, those that are left would grow for those that are not."""
        weights = api.tensor_rows(node)
        weights *= np.float32(self._kept[layer])
        api.put_rows(node, weights)

    def _visit(self, node: int, ask: bool, _: int) -> bool:
        """What `accel_visit` of llama_taps.c does, where it was not compiled."""
        if self._filter.failed:
            return self._skip(api.Tensor.from_address(node), ask)
        # By name each time: addresses are used again for other nodes.
        name, dash, number = ctypes.string_at(node + api.NAME_OFFSET).decode(errors="replace").rpartition("-")
        kind, layer = _KINDS.get(name), int(number) if number.isdecimal() else self._layers
        if not dash or kind is None or layer >= self._layers or not self._masks[kind, layer]:
            return not ask
        if ask:
            return True
        self._filter.failed = not self._call(node, kind, layer)
        return not self._filter.failed

    def _skip(self, node: api.Tensor, ask: bool) -> bool:
        if ask:
            self._filter.idle, node.op = node.op, 0
        else:
            node.op = self._filter.idle
        return ask


_KINDS = {node: kind for kind, node in enumerate(_NODES.values())}
_GATE_INPUT, _EXPERTS, _WEIGHTS, _, _NORMALISED = range(len(_NODES))


@cache
def compiled() -> Any:
    """`accel_visit` of llama_taps.c, or None where it was not compiled, or does not load."""
    loaded = library(f"{__package__}._llama_taps")
    return loaded and loaded.accel_visit
