"""The llama.cpp engine: its low-level API behind the protocol of base.py.

A sequence whose uncommitted nodes form a chain, which is all of prefill and plain decoding, lies in the cache under its
own number and costs no call beside `decode`. A draft tree needs one number more per further leaf: a cell carries the
numbers of all leaves below it, since a row sees the cells that carry its own (see llama_tree.py).
"""

import ctypes
from collections.abc import Callable, Sequence
from contextlib import ExitStack, nullcontext
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from ...errors import ContextFull, EngineError, ModelError, ModelUnsupported, StateError
from ...offload.mapped import mappings_of
from ..model import ModelSpec
from . import llama_api as api
from . import llama_decode
from .base import Batch, Capabilities, Chooser, Chosen, Offloaded, Stop, Stopped, Tap, check_path
from .llama_experts import Experts, open_experts
from .llama_lazy import Copying, mapped_lazily
from .llama_memory import LlamaMemory
from .llama_rows import LlamaRows
from .llama_taps import Taps
from .llama_tree import Tree
from .llama_vocabulary import LlamaVocabulary
from .options import EngineOptions
from .state import read_state, write_filled


def open_engine(options: EngineOptions, progress: Callable[[float], bool] | None = None) -> "LlamaCpp":
    """Raises ModelError, EngineError, Cancelled (where `progress` returned False)."""
    spec = ModelSpec.read(Path(options.path))
    options = replace(options, path=spec.paths[0], repack=options.repack and not options.expert_memory)
    files = tuple(map(Path, spec.paths))
    before = [mapped.base for path in files for mapped in mappings_of(path)] if options.expert_memory else ()
    copying = Copying(files, before, progress) if options.expert_memory and options.gpu_layers else None
    with mapped_lazily() if options.expert_memory else nullcontext():
        model = api.load_model(options, copying or progress)
    with ExitStack() as opened:
        opened.callback(api.model_free, model)
        experts, taps = None, None
        if copying:
            copying.end()
        if options.expert_memory:
            experts = open_experts(options, spec.experts_used, before, model)
            opened.callback(experts.close)
        if options.taps or experts:
            taps = Taps(spec.layers, spec.experts > 0, experts and experts.before, weighed=bool(options.low_experts))
        context = api.new_context(model, options, taps and taps.callback, taps and taps.data)
        opened.callback(api.context_free, context)
        if not api.writes(model, context):
            raise ModelUnsupported(f"{spec.name} does not write token after token", "choose another model")
        engine = LlamaCpp(options, spec, model, context, taps, experts)
        opened.pop_all()
        return engine


class _Line:
    """One sequence: how many positions are committed, and which nodes are not."""

    __slots__ = ("count", "length", "tree")

    def __init__(self) -> None:
        self.length = 0
        self.count = 0  # uncommitted nodes
        self.tree: Tree | None = None  # None while they are a chain


class LlamaCpp:
    """See `base.Engine`."""

    def __init__(
        self,
        options: EngineOptions,
        spec: ModelSpec,
        model: int,
        context: int,
        taps: Taps | None,
        experts: Experts | None = None,
    ) -> None:
        """Owns model, context and experts from now on; see `open_engine`."""
        self.experts = experts
        self.spec = spec
        self.vocabulary = LlamaVocabulary(model)
        rollback = not (api.is_recurrent(model) or api.is_hybrid(model))
        self._model, self._context, self._taps = model, context, taps
        self.can = Capabilities(
            sequences=options.sequences,
            context=min(options.context, api.n_ctx(self._context)),  # which is rounded up to whole cells
            rows=api.n_batch(self._context),
            outputs=options.outputs,
            branches=options.branches if rollback else 0,
            candidates=options.candidates,
            rollback=rollback,
            taps=self._taps.names if self._taps and options.taps else frozenset(),
            save=True,
            decodes=llama_decode.compiled() is not None and not self._taps,
            embeds=api.output_width(model),
        )
        self._maker = (
            f"llama.cpp {api.version().decode()} {spec.fingerprint} {options.kv_type} {options.flash_attention}"
        )
        self._state_bytes = (
            2 * (spec.kv_bytes_per_position(options.kv_type) + 64) * self.can.context + spec.state + 2**20
        )
        self._memory = LlamaMemory(self._context)
        self._lines = [_Line() for _ in range(options.sequences)]
        self._free = list(range(options.sequences, options.sequences + self.can.branches))
        self._views: dict[int, np.ndarray] = {}
        self._stop: Stop | None = None
        self._stop_flag: Any = None
        self._make_batch(self.can.rows, 1 + self.can.branches)
        self._decoder = llama_decode.Decoder(context, self._batch, self.vocabulary.size, self.vocabulary.ends)

    def _make_batch(self, rows: int, width: int) -> None:
        """The one batch that every forward fills: arrays of ours that llama.cpp reads in place."""
        self._counting = np.arange(rows, dtype=np.int32)
        self._shared = False  # whether some row carries more than one number
        self._tokens = np.zeros(rows, np.int32)
        self._positions = np.zeros(rows, np.int32)
        self._ids = np.zeros((rows, width), np.int32)
        self._id_counts = np.ones(rows, np.int32)
        self._wants = np.zeros(rows, np.int8)
        self._id_rows = (self._ids.ctypes.data + np.arange(rows) * self._ids.strides[0]).astype(np.uint64)
        self._batch = api.new_batch(self._tokens, self._positions, self._id_counts, self._id_rows, self._wants)

    def forward(self, batch: Batch, taps: Sequence[Tap] = (), stop: Stop | None = None) -> LlamaRows:
        n = len(batch.tokens)
        if not 0 < n <= self.can.rows or (n > 1 and np.count_nonzero(batch.wants) > self.can.outputs):
            most = f"at most {self.can.rows} rows, {self.can.outputs} of them with logits"
            raise EngineError(f"{n} rows are no forward of this engine", f"chunk them: {most}")
        if taps or self._taps:
            self._want(taps)
        if stop is not self._stop:
            self._watch(stop)
        placed: dict[int, list[tuple[int, int]]] = {}
        try:
            if n > 1 or self._shared or not self._place_one(batch, placed):
                self._place(batch, n, placed)
                self._tokens[:n] = batch.tokens
                self._wants[:n] = batch.wants
                self._batch.n_tokens = n
            result = api.decode(self._context, self._batch)
            if result or self._taps:
                self._check(result)
        except (EngineError, ModelError, ContextFull, Stopped):
            self._take_back(placed)
            raise
        return LlamaRows(self.logits, self.vocabulary.size, batch.wants)

    def decode(self, seq: int, token: int, chooser: Chooser, most: int, chosen: Chosen, stop: Stop) -> list[int]:
        law, line = chooser.compiled, self._line(seq)
        if not (law and self.can.decodes and line.count == 0 and line.length < self.can.context):
            return []
        if self._stop:
            self._watch(None)
        if self._shared:
            self._id_counts.fill(1)
            self._shared = False
        self._batch.n_tokens, self._tokens[0], self._wants[0] = 1, token, 1
        self._positions[0], self._ids[0, 0] = line.length, seq
        whole = self._decoder(law, most, chosen, stop)
        tokens = chosen.tokens()
        line.length += len(tokens)
        if not whole:
            self._take_back({seq: [(0, 0)]})
            if not self.can.rollback:  # nothing of the sequence is left that `forward` could go on from
                raise EngineError("llama.cpp failed in a forward", api.LOG.reason("it does not say why"))
        return tokens

    def embed(self, seq: int, tokens: Sequence[int]) -> np.ndarray:
        api.set_embeddings(self._context, True)
        try:
            self.forward(Batch.chain(seq, tokens, wants="all"))
            outputs = api.embeddings(self._context, len(tokens), self.can.embeds)
        finally:
            api.set_embeddings(self._context, False)
        self.commit(seq, range(len(tokens)))
        return outputs

    def logits(self, i: int) -> np.ndarray:
        """Of row i of the last batch: a view of the context's buffer. The row must have been wanted."""
        place = api.logits_of(self._context, i)
        if (view := self._views.get(place)) is None:
            view = api.floats_at(place, self.vocabulary.size)
            if len(self._views) > 2 * self.can.outputs:  # llama.cpp took another buffer
                self._views.clear()
            self._views[place] = view
        return view

    def _want(self, taps: Sequence[Tap]) -> None:
        if self._taps is None or (taps and not self.can.taps):
            raise EngineError("this engine was opened without taps", "open it with `taps`")
        self._taps.want(taps)

    def _watch(self, stop: Stop | None) -> None:
        self._stop = stop
        if stop is None:
            api.set_abort(self._context, None, None)
        else:
            self._stop_flag = (ctypes.c_char * 2).from_buffer(stop.flag)
            api.set_abort(self._context, api.STOP_CHECK, ctypes.addressof(self._stop_flag))

    def _place_one(self, batch: Batch, placed: dict[int, list[tuple[int, int]]]) -> bool:
        """What `_place` and `forward` do for a single row that prolongs a chain, in few words: a small model's forward
        takes 200 us. False where the row is none."""
        seq = batch.sequences.item(0)
        line = self._line(seq)
        if line.tree or batch.parents.item(0) != line.count - 1:
            return False
        placed[seq] = [(line.count, 0)]
        self._positions[0] = line.length + line.count
        self._ids[0, 0] = seq
        self._tokens[0] = batch.tokens[0]
        self._wants[0] = batch.wants[0]
        self._batch.n_tokens = 1
        line.count += 1
        return True

    def _place(self, batch: Batch, n: int, placed: dict[int, list[tuple[int, int]]]) -> None:
        """Gives every row its position and its sequence numbers. `placed` gets, for every sequence, (node, row) where
        its runs of rows begin."""
        if self._shared:
            self._id_counts.fill(1)
            self._shared = False
        sequences, parents = batch.sequences, batch.parents
        edges = (0, n) if n == 1 else (0, *(np.flatnonzero(sequences[1:] != sequences[:-1]) + 1).tolist(), n)
        for first, end in pairwise(edges):
            seq = int(sequences[first])
            line = self._line(seq)
            runs = placed.setdefault(seq, [])
            runs.append((line.count, first))
            if line.tree is None and self._is_chain(parents, first, end, line.count):
                self._positions[first:end] = self._counting[: end - first] + (line.length + line.count)
                self._ids[first:end, 0] = seq
                line.count += end - first
            else:
                self._place_tree(seq, line, parents[first:end].tolist(), runs)

    def _is_chain(self, parents: np.ndarray, first: int, end: int, count: int) -> bool:
        if end - first == 1:
            return parents[first] == count - 1
        return np.array_equal(parents[first:end], self._counting[: end - first] + (count - 1))

    def _place_tree(self, seq: int, line: _Line, parents: list[int], runs: list[tuple[int, int]]) -> None:
        if line.tree is None:
            line.tree = Tree(self._memory, self._free, seq, line.length, line.count)
        row = runs[-1][1]
        for parent in parents:
            if not -1 <= parent < line.count:
                raise EngineError(f"node {parent} is no parent: sequence {seq} has {line.count} nodes")
            place = line.tree.grow(parent, runs[0][0])
            if place is None:
                raise EngineError("the draft trees have too many branches", f"this engine has {self.can.branches}")
            self._positions[row] = place.position
            self._ids[row, 0] = place.branch
            for node in place.sharing:
                self._share(next(at + node - start for start, at in reversed(runs) if start <= node), place.branch)
            line.count += 1
            row += 1

    def _share(self, row: int, branch: int) -> None:
        self._ids[row, self._id_counts[row]] = branch
        self._id_counts[row] += 1
        self._shared = True

    def _check(self, result: int) -> None:
        """Raises what a forward came to, if it came to something else than logits."""
        if self._taps and (failure := self._taps.failure()):
            raise failure
        if result == api.NO_SLOT:
            raise ContextFull(f"the context of {self.can.context} positions is full", "ask for a larger context")
        if result == api.ABORTED:
            raise Stopped
        if result != api.OK:
            reason = api.LOG.reason(f"code {result}")
            api.LOG.clear()
            raise EngineError(f"llama.cpp failed at a forward ({reason})")

    def _take_back(self, placed: dict[int, list[tuple[int, int]]]) -> None:
        """Removes the rows of a forward that came to nothing, computed or not."""
        for seq, ((count, _), *_) in placed.items():
            line = self._lines[seq]
            line.count = count
            if not self.can.rollback:
                if self._memory.length(seq) != line.length + count:
                    self._clear(seq)
            elif line.tree:
                line.tree.cut(count)
            else:
                self._memory.remove(seq, line.length + count)

    def commit(self, seq: int, nodes: Sequence[int]) -> None:
        line = self._line(seq)
        count, n = line.count, len(nodes)
        whole = n == count and line.tree is None
        if whole and (nodes == range(n) if isinstance(nodes, range) else list(nodes) == list(range(n))):
            line.length += n  # plain prefill and decoding end here: the cache holds what it should
            line.count = 0
            return
        check_path(line.tree.parents if line.tree else range(-1, count - 1), nodes)
        if line.tree:
            line.tree.end(list(nodes))
        else:
            self._memory.remove(seq, line.length + n)
        line.length += n
        line.count, line.tree = 0, None

    def truncate(self, seq: int, length: int) -> None:
        line = self._line(seq)
        if not 0 <= length <= line.length:
            raise EngineError(f"sequence {seq} has {line.length} positions, not {length}")
        if length == 0:
            self._clear(seq)
        elif line.count or length < line.length:
            self.commit(seq, ())
            self._memory.remove(seq, length)
            line.length = length

    def length(self, seq: int) -> int:
        return self._line(seq).length

    def fork(self, source: int, target: int, length: int) -> None:
        line = self._line(source)
        if source == target or not 0 <= length <= line.length:
            raise EngineError(f"sequence {source} has {line.length} positions, not {length}")
        if not self.can.rollback and length and (length < line.length or line.count):
            raise EngineError("this model's state cannot be taken back", "fork the whole sequence")
        self._line(target)
        self._clear(target)
        self._memory.copy(source, target, 0, length)
        self._lines[target].length = length

    def save(self, seq: int, sink: BinaryIO) -> None:
        line = self._line(seq)
        if line.count:
            raise EngineError(f"sequence {seq} has uncommitted nodes", "commit first")
        size = api.state_size(self._context, seq, 0)

        def fill(place: memoryview) -> None:
            start = ctypes.addressof(ctypes.c_char.from_buffer(place))
            if api.state_get(self._context, start, size, seq, 0) != size:
                raise EngineError("llama.cpp did not give the sequence's state", api.LOG.reason("it does not say why"))

        write_filled(sink, self._maker, line.length, size, fill)

    def load(self, seq: int, source: BinaryIO) -> None:
        line = self._line(seq)
        self._clear(seq)
        positions, payload = read_state(source, self._maker, self.can.context, self._state_bytes)
        data = np.frombuffer(payload, np.uint8)
        read = api.state_set(self._context, data.ctypes.data, data.nbytes, seq, 0)
        if read == data.nbytes and self._memory.length(seq) == positions:
            line.length = positions
            return
        self._memory.remove(seq)
        if sum(other.length + other.count for other in self._lines) + positions > self.can.context:
            raise ContextFull(f"no room for the {positions} positions of the saved state", "forget another sequence")
        raise StateError("llama.cpp does not take the saved state", "prefill the conversation again")

    def view(self, kv: Any = None, layers: Any = None) -> "LlamaCpp":
        raise EngineError("this engine has no views", "ask `can.view`")

    def offloaded(self) -> Offloaded:
        return self.experts.offloaded() if self.experts else Offloaded()

    def close(self) -> None:
        if self._context:
            api.context_free(self._context)
            if self.experts:
                self.experts.close()  # what it still reads goes to the model's own mapping
            api.model_free(self._model)
            self._context = self._model = None
            self._lines = []

    def _line(self, seq: int) -> _Line:
        if not 0 <= seq < len(self._lines):
            raise EngineError(f"there is no sequence {seq}", f"this engine has {len(self._lines)}")
        return self._lines[seq]

    def _clear(self, seq: int) -> None:
        line = self._lines[seq]
        if line.tree:
            line.tree.end([])
        self._memory.remove(seq)
        line.length = line.count = 0
        line.tree = None
