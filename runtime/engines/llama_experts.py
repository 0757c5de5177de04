"""Experts of an open model kept within a budget: what happens between the choice of experts and their use."""

import math
import time
from collections import Counter
from collections.abc import Callable, Collection, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from ...devices.mappings import most_mappings
from ...errors import EngineError
from ...offload import advice
from ...offload.gguf_header import Header, Tensor, read_header
from ...offload.layout import Layout
from ...offload.mapped import Mapped, mapped_anew
from ...offload.pinned import Part, pin, whole_pages
from ...offload.planes import Planes
from ...offload.policy import make_policy
from ...offload.precision import Thresholds
from ...offload.predict import Gate, Predictor
from ...offload.residency import Residency
from ...offload.store import PAGE, Store
from ...offload.warmed import Warmed, warm
from ...units import Bytes
from . import llama_api as api
from .base import LayerUse, Offloaded
from .llama_taps import ChosenExperts
from .options import READERS, EngineOptions

AHEAD = 2  # layers that are foreseen
POLICY = "lru"
_NORMS = ("ffn_norm", "post_attention_norm")  # what the gate's input goes through, where both are there the first
_SIGMOID = 2  # of llama.cpp's functions that make scores of a gate's logits
_MEMORY = 0.9  # of how long a layer takes, when another is timed


def open_experts(options: EngineOptions, used: int, before: Collection[int], model: int) -> "Experts":
    """Of the model that was just loaded with these options; a token uses so many in each layer. `before`: where its
    files' mappings began before that. Raises ModelError, EngineError."""
    place = _place(options, model)
    approximation = None
    if options.low_experts and options.through_cache:
        raise EngineError("nothing can stand in for an expert where pages cannot be moved", "open it without stand-ins")
    if options.low_experts:
        thresholds = Thresholds(options.low_above, options.skip_above)
        approximation = Approximation(Path(options.low_experts), thresholds, options.deterministic)
    header = read_header(Path(options.path))
    return Experts(header, used, Bytes(options.expert_memory), before, approximation, place, options.through_cache)


def _place(options: EngineOptions, model: int) -> Callable[[str], int] | None:
    """Of a tensor's bytes in memory, for whom they may lie elsewhere than in a mapping that the system tells of."""
    if not (options.gpu_layers or options.through_cache):
        return None
    place = partial(api.data_of, model)
    if options.through_cache:
        try:
            place("")
        except EngineError:
            return None  # it is only given advice the less
    return place


@dataclass(frozen=True, slots=True)
class Approximation:
    """Stand-ins for experts that count for little. `strict`: whatever is in memory."""

    path: Path
    thresholds: Thresholds
    strict: bool


class Experts:
    """Of a model that was loaded lazily."""

    def __init__(
        self,
        header: Header,
        used: int,
        budget: Bytes,
        before: Collection[int] = (),
        approximation: Approximation | None = None,
        place: Callable[[str], int] | None = None,
        through_cache: bool = False,
    ) -> None:
        """`before`: where its files' mappings began before it was loaded; `place`: of a tensor's bytes in memory, where
        some lie elsewhere than in the mapping; `through_cache`: no page can be moved. Raises ModelError, EngineError.
        """
        mapped = _mapped(header, before, place) if through_cache else mapped_anew(header.files, before)
        elsewhere = _elsewhere(header, mapped, place) if place else ()
        whole = Layout.of(header)
        copied = {(tensor.file, tensor.offset) for tensor in elsewhere}
        # Layers that only foretell further tokens are not loaded, and their part of the file may be unmapped.
        layout = whole.within(
            lambda file, start, end: mapped[file].holds(start, end) and (whole.files[file], start) not in copied
        )
        if not layout.layers:
            raise EngineError("this model has no experts to keep apart", "open it without memory for experts")
        self.approximation = approximation
        planes = Planes.read(approximation.path, header, whole) if approximation else None
        dense, bases = _dense(layout, header, mapped, elsewhere), [each.base for each in mapped]
        self.store: Store | Warmed
        if through_cache:
            for each in mapped:
                each.advise(advice.USUAL)  # what the system took back comes in more than a page at once
            self.pinned = Bytes(0)
            warm(dense, READERS)
            self.store = Warmed(layout, bases, READERS)
        else:
            self.pinned = pin(dense, READERS)
            self.store = Store(layout, bases, READERS, planes)
        count, pieces = layout.experts * len(layout.layers), max(map(len, layout.layers.values()))
        self._places = {layer: place for place, layer in enumerate(layout.layers)}
        policy = make_policy(POLICY, len(layout.layers), layout.experts)
        try:
            self.residency = Residency(
                self.store,
                policy,
                layout.experts,
                used,
                Bytes(budget - self.store.staging),
                count if through_cache else most_mappings() // (2 * pieces),
                strict=approximation is not None and approximation.strict,
            )
            self.predictor = Predictor(_gates(header, layout), used, AHEAD)
        except BaseException:
            self.store.close()  # it has threads
            raise
        self._sizes = [layout.size_of(layer) for layer in layout.layers]
        lows = (planes.layers[layer] if planes else () for layer in layout.layers)
        self._low_sizes = [sum(plane.record_size for plane in each) for each in lows]
        self._computing = np.full(len(self._sizes), 1e-3)  # seconds from one layer's experts to the next one's
        self._left_at = 0.0
        self._left = -1

    def before(self, layer: int, chosen: ChosenExperts) -> None:
        """Returns once what a layer chose is there, and has more read for the layers after it. Raises ModelError,
        EngineError."""
        place = self._places.get(layer)
        if place is None:
            return
        ids = chosen.experts
        if not len(ids):  # of the last layer, where nobody wants logits
            return
        self._time(place)
        experts = ids[0].astype(np.int64) if len(ids) == 1 else np.unique(ids).astype(np.int64)
        scores = chosen.weights if self.approximation and len(ids) == 1 else None
        wanted = self.approximation.thresholds.wanted(scores) if self.approximation and scores is not None else None

        def meanwhile() -> None:
            # What is read for later layers follows what this one waits for, so that the disk never rests.
            self._look_ahead(place, chosen.gate_input)
            if len(ids) == 1:
                self.predictor.learn(place, experts)

        taken = self.residency.use(place, experts, wanted, meanwhile)
        if not taken.all():
            chosen.leave_out(~taken)
        self._left, self._left_at = place, time.perf_counter()

    def offloaded(self) -> Offloaded:
        counts, recall = self.residency.counts, self.predictor.recall
        read = self.store.read.reshape(len(self._places), -1).sum(1)
        layers = tuple(
            LayerUse(
                layer=layer,
                uses=int(counts.uses[place]),
                hits=int(counts.hits[place]),
                late=int(counts.late[place]),
                beside=int(counts.beside[place]),
                expected=int(counts.expected[place]),
                fulfilled=int(counts.fulfilled[place]),
                stall=float(counts.stall[place]),
                wasted=int(counts.wasted[place]),
                low=int(counts.low[place]),
                skipped=int(counts.skipped[place]),
                needed=self._needed(place),
                read=int(read[place]),
                recall=float(recall[place, 1]) if 0 < place < len(recall) else 0.0,
            )
            for layer, place in self._places.items()
        )
        pinned = self.pinned + self.residency.bytes_held if isinstance(self.store, Store) else Bytes(0)
        return Offloaded(pinned, int(read.sum()), layers)

    def close(self) -> None:
        self.store.close()

    def _needed(self, place: int) -> int:
        counts = self.residency.counts
        return int(counts.needed[place] * self.store.rooms[place] + counts.needed_low[place] * self._low_sizes[place])

    def _time(self, place: int) -> None:
        if place == self._left + 1:
            spent = time.perf_counter() - self._left_at
            self._computing[place] = _MEMORY * self._computing[place] + (1 - _MEMORY) * spent

    def _look_ahead(self, place: int, inputs: np.ndarray | None) -> None:
        """Has as much read for the next layers as the disk can do while this one computes, so that it never rests; what
        is beyond that would be waited for as well if it were asked for later, when it is known."""
        if inputs is None:
            return
        prompt, seconds, asked = len(inputs) > 1, 0.0, 0
        for far in range(1, 2 if prompt else self.predictor.ahead + 1):
            later = place + far
            if later >= len(self._sizes):
                return
            seconds += self._computing[later]
            room = math.ceil(seconds * self.store.rate / self._sizes[later]) - asked
            experts = self.predictor.expect(place, far, inputs) if room > 0 else None
            if experts is None:
                return
            wanted = None
            if self.approximation and not prompt:
                wanted = self.approximation.thresholds.wanted(self.predictor.scores(place, far, experts, inputs))
            asked += self.residency.expect(later, experts, len(experts) if prompt else room, prompt, wanted)
        if self.approximation and not prompt:
            self.residency.improve()


def _mapped(header: Header, before: Collection[int], place: Callable[[str], int] | None) -> tuple[Mapped, ...]:
    """Its files' mappings as the system tells of them, or as most of its tensors lie; else of unknown place: 0."""
    with suppress(EngineError):
        return mapped_anew(header.files, before)
    found = []
    for path, size in zip(header.files, header.sizes, strict=True):
        tensors = [tensor for tensor in header.tensors.values() if tensor.file == path] if place else []
        bases = Counter(place(tensor.name) - tensor.offset for tensor in tensors if place)
        base = max(bases, key=bases.__getitem__, default=0)
        found.append(Mapped(base if base > 0 and base % PAGE == 0 else 0, ((0, size),)))
    return tuple(found)


def _elsewhere(header: Header, mapped: Sequence[Mapped], place: Callable[[str], int]) -> tuple[Tensor, ...]:
    """Tensors that nobody reads in the mapping: they were copied to a GPU, or not loaded."""
    bases = {path: mapping.base for path, mapping in zip(header.files, mapped, strict=True)}
    tensors = header.tensors.values()
    return tuple(tensor for tensor in tensors if place(tensor.name) != bases[tensor.file] + tensor.offset)


def _dense(layout: Layout, header: Header, mapped: Sequence[Mapped], elsewhere: Sequence[Tensor] = ()) -> list[Part]:
    """All that is mapped, no expert's, and not read elsewhere; but the pages that it shares with what is."""
    found = []
    for file, (path, size) in enumerate(zip(layout.files, layout.sizes, strict=True)):
        at = min((tensor.offset for tensor in header.tensors.values() if tensor.file == path), default=size)
        taken = [(tensor.offset, tensor.offset + tensor.size) for tensor in elsewhere if tensor.file == path]
        taken += [(start, end) for number, start, end in layout.ranges() if number == file]
        gaps = []
        for start, end in sorted(taken):
            gaps.append((at, start))
            at = end
        for start, end in [*gaps, (at, size)]:
            for first, last in mapped[file].runs:
                found.append(whole_pages(path, max(start, first), min(end, last), mapped[file].base))
    return [part for part in found if part]


def _gates(header: Header, layout: Layout) -> dict[int, Gate]:
    """By place. A layer without a gate that can be read is not foreseen."""
    gates = {}
    scoring = header.metadata.get(f"{header.metadata.get('general.architecture')}.expert_gating_func")
    for place, layer in enumerate(layout.layers):
        weight = _matrix(header, f"blk.{layer}.ffn_gate_inp.weight")
        if weight is None or weight.ndim != 2 or len(weight) != layout.experts:
            continue
        norm = _vector(header, weight.shape[1], *(f"blk.{layer}.{name}.weight" for name in _NORMS))
        bias = _vector(header, layout.experts, f"blk.{layer}.ffn_gate_inp.bias")
        favour = _vector(header, layout.experts, f"blk.{layer}.exp_probs_b.bias", f"blk.{layer}.exp_probs_b")
        # Who favours experts and does not say how it scores them means sigmoids, as llama.cpp does.
        sigmoid = scoring == _SIGMOID or (scoring is None and favour is not None)
        gates[place] = Gate(weight, norm, bias, favour, sigmoid)
    return gates


def _vector(header: Header, length: int, *names: str) -> np.ndarray | None:
    """The first of these that there is, if it is one of so many numbers."""
    name = next((name for name in names if name in header.tensors), "")
    found = _matrix(header, name)
    return found if found is not None and found.shape == (length,) else None


def _matrix(header: Header, name: str) -> np.ndarray | None:
    """Rows first, float32; None where there is none, or it is quantised."""
    tensor = header.tensors.get(name)
    kinds = {"F32": np.float32, "F16": np.float16}
    if tensor is None or tensor.format not in kinds:
        return None
    with Path(tensor.file).open("rb") as file:
        file.seek(tensor.offset)
        raw = file.read(tensor.size)
    if len(raw) != tensor.size:
        raise EngineError(f"{tensor.file} ends within '{name}'", "load the model again")
    return np.frombuffer(raw, kinds[tensor.format]).astype(np.float32).reshape(tensor.shape[::-1])
