"""The engine protocol: something that turns rows of tokens into logits.

One call does prefill, decode, batches of many sequences and draft trees, because all four are rows of tokens.

A *row* is one token at one position of one sequence. A *node* is a row that has been forwarded and not yet committed;
a sequence numbers its nodes 0, 1, 2, ... in the order in which they were forwarded since its last `commit`. A row's
parent is such a number, or -1 for the sequence's last committed token; its position is the committed length plus its
depth. A prefill of n tokens is a chain (parents -1, 0, 1, ..., n-2) that is then committed whole.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, BinaryIO, Protocol

import numpy as np

from ...errors import EngineError
from ..model import ModelSpec


@dataclass(frozen=True, slots=True)
class Batch:
    """Rows of one forward: int32 arrays of one length n."""

    tokens: np.ndarray
    sequences: np.ndarray
    parents: np.ndarray
    wants: np.ndarray  # 1 where the row's logits are asked for, else 0

    @classmethod
    def chain(cls, seq: int, tokens: Sequence[int], parent: int = -1, wants: str = "last", first: int = 0) -> "Batch":
        """Rows that follow one another in one sequence: plain prefill or decode.

        `parent` is the node the first row hangs on, `first` the number that the first row will get (how many nodes
        are uncommitted already); `wants` is "last", "all" or "none".
        """
        n = len(tokens)
        parents = np.arange(first - 1, first + n - 1, dtype=np.int32)
        parents[:1] = parent
        asked = np.full(n, wants == "all", dtype=np.int32)
        if wants == "last":
            asked[-1:] = 1
        return cls(np.asarray(tokens, np.int32), np.full(n, seq, np.int32), parents, asked)

    def __len__(self) -> int:
        return len(self.tokens)


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What an engine can do; callers ask this, never the class."""

    sequences: int  # sequences numbered 0 .. sequences-1
    context: int  # positions that all sequences share
    rows: int  # rows of one forward at most
    outputs: int  # rows of one forward whose logits may be wanted
    branches: int = 0  # leaves beyond the first of all draft trees together
    candidates: int = 0  # positions beyond the context, which nodes of drafts may take
    rollback: bool = True  # rows can be taken back; without it a stopped forward leaves its sequences empty
    taps: frozenset[str] = frozenset()  # names a Tap may ask for
    save: bool = False
    view: bool = False
    exact: bool = False  # n rows at once give bit for bit what n single rows give
    decodes: bool = False  # several tokens in one call
    embeds: int = 0  # numbers of what `embed` gives for a token; 0: it gives nothing


class Rows(Protocol):
    """The logits that a forward was asked for; valid until the engine's next `forward`."""

    def row(self, i: int) -> np.ndarray:
        """Logits of batch row i, float32 of shape (vocabulary,); read-only, not a copy. Raises IndexError where the
        row was not wanted."""
        ...

    def argmax(self) -> np.ndarray:
        """First greatest token of every wanted row, in batch order; int32."""
        ...

    def top(self, k: int) -> tuple[np.ndarray, np.ndarray]:
        """(values, tokens) of the k greatest of every wanted row, descending; each of shape (wanted, k)."""
        ...


@dataclass(frozen=True, slots=True)
class LayerUse:
    """Of one layer's experts since the engine was opened."""

    layer: int
    uses: int  # experts that were used
    hits: int  # of them in memory when they were wanted
    late: int  # of the others on their way already
    beside: int  # read through the file's own mapping, for want of room
    expected: int  # read before they were wanted
    fulfilled: int  # foreseen, whether there already or read, and used at the layer's next turn
    stall: float  # seconds that the layer waited
    recall: float  # of its experts, how many were foreseen one layer before
    wasted: int = 0  # read before they were wanted, and then not used
    low: int = 0  # uses that a stand-in of low precision served
    skipped: int = 0  # uses that were left out
    needed: int = 0  # bytes that uses had read for them, when they came or ahead of them; not what was read in vain
    read: int = 0  # bytes of its experts


@dataclass(frozen=True, slots=True)
class Offloaded:
    """What an engine keeps in memory of a model that is larger, and how well that goes."""

    pinned: int = 0  # bytes that stay in place: weights that every token needs, and experts
    read: int = 0  # bytes since it was opened
    layers: tuple[LayerUse, ...] = ()  # those that have experts


@dataclass(frozen=True, slots=True)
class Tap:
    """Calls `call(value)` in mid-forward with one named value of one layer; the call copies and returns, never raises.

    A value has one row per row of the batch; an engine that splits a forward calls once for each part, in order, and
    the last layer's values may lack the rows whose logits nobody wants.
    """

    layer: int
    what: str  # "gate_input" (rows, width), "experts" (rows, used) int32, "layer_output" (rows, width)
    call: Callable[[np.ndarray], None]


@dataclass(frozen=True, slots=True)
class Stop:
    """Ends a forward early, from any thread. The rows of a stopped forward are not there: its nodes are gone."""

    # Two bytes, 0 0 until it is set: an engine hands their address to code that looks without taking Python's lock.
    flag: bytearray = field(default_factory=lambda: bytearray(2))

    def set(self) -> None:
        self.flag[0] = 1

    def __bool__(self) -> bool:
        return self.flag[0] != 0


class Chosen:
    """The tokens of one `decode`, which any thread may look at while it runs. What is not chosen yet is -1."""

    MOST = 256

    def __init__(self) -> None:
        self.room = np.full(self.MOST, -1, np.int32)

    def __len__(self) -> int:
        return len(self.tokens())

    def tokens(self) -> list[int]:
        tokens = self.room.tolist()
        return tokens[: tokens.index(-1)] if -1 in tokens else tokens  # others may write while we copy


class Stopped(Exception):
    """A forward was ended by its Stop: an outcome, not an error."""


@dataclass(frozen=True, slots=True)
class CompiledLaw:
    """A law that C code can follow: `accel_choose` of sampling.c and what it takes."""

    choose: int  # its address
    key: int
    temperature: float
    top_k: int
    top_p: float
    min_p: float


class Chooser(Protocol):
    """Logits -> token; see `sampling.Sampler`."""

    @property
    def compiled(self) -> CompiledLaw | None:
        """None where C code could not do what `choose` does."""
        ...

    def choose(self, logits: np.ndarray, position: int) -> int: ...


class Vocabulary(Protocol):
    """Text to tokens and back, as the model file defines it."""

    size: int

    def encode(self, text: str, special: bool = True, start: bool = False) -> list[int]:
        """Tokens of a text. `special`: control tokens written in it become those tokens (a template's output);
        otherwise they stay text (a user's words). `start`: put the beginning-of-text token first where the model
        wants one and it is not there yet."""
        ...

    def piece(self, token: int) -> bytes:
        """The bytes of one token; empty for control tokens. Any thread may ask."""
        ...

    def text(self, token: int) -> str:
        """A token as a template writes it, control tokens too."""
        ...

    @property
    def ends(self) -> frozenset[int]:
        """Every token that ends a turn."""
        ...


class Engine(Protocol):
    """See the module's docstring for rows, nodes and parents. One thread calls an engine at a time."""

    spec: ModelSpec
    can: Capabilities
    vocabulary: Vocabulary

    def forward(self, batch: Batch, taps: Sequence[Tap] = (), stop: Stop | None = None) -> Rows:
        """Raises Stopped, ContextFull, or EngineError (also for a batch that breaks the rules above or the limits of
        `can`); nothing of this batch remains then."""
        ...

    def decode(self, seq: int, token: int, chooser: Chooser, most: int, chosen: Chosen, stop: Stop) -> list[int]:
        """Forwards a token, lets one be chosen after it, forwards that, and so on, one sequence alone: what `forward`,
        `commit` and `choose` would come to one by one, sooner. `seq` has no uncommitted nodes.

        The tokens chosen, which are in `chosen` as soon as they are: of those it forwards every one is committed, the
        last is not forwarded. It ends after `most` tokens or `Chosen.MOST`, a token that ends a turn, or, with one
        token at least, a stop. Empty where the engine or the law cannot, or something is wrong: `forward` then says
        what. Raises EngineError where the sequence is lost."""
        ...

    def embed(self, seq: int, tokens: Sequence[int]) -> np.ndarray:
        """Forwards and commits tokens, at most `can.outputs`, behind what the sequence holds, which has no uncommitted
        nodes. What the last layer makes of each, normed: float32 of shape (tokens, `can.embeds`). Raises what `forward`
        raises, and EngineError where the engine cannot."""
        ...

    def commit(self, seq: int, nodes: Sequence[int]) -> None:
        """These uncommitted nodes, a path from the root, stand; the sequence's others go."""
        ...

    def truncate(self, seq: int, length: int) -> None:
        """Keep the first `length` committed positions; uncommitted nodes go."""
        ...

    def length(self, seq: int) -> int:
        """Committed positions of a sequence."""
        ...

    def fork(self, source: int, target: int, length: int) -> None:
        """`target` becomes the first `length` committed positions of `source`, shared where the engine can."""
        ...

    def save(self, seq: int, sink: BinaryIO) -> None:
        """Writes a sequence's committed positions. Raises EngineError while it has uncommitted nodes."""
        ...

    def load(self, seq: int, source: BinaryIO) -> None:
        """Raises StateError where the state is not one of this engine and model; the sequence is then empty."""
        ...

    def view(self, kv: Any = None, layers: Any = None) -> "Engine":
        """The same weights with sequences of its own, over part of the KV cache or part of the layers."""
        ...

    def offloaded(self) -> Offloaded:
        """Empty where all of the model is simply there."""
        ...

    def close(self) -> None: ...


def check_path(parents: Sequence[int], nodes: Sequence[int]) -> None:
    """Raises EngineError unless `nodes` lead from a root downwards; `parents` are those of all uncommitted nodes."""
    above = -1
    for node in nodes:
        if not 0 <= node < len(parents) or parents[node] != above:
            raise EngineError(f"node {node} does not follow node {above}", "commit a path that begins at a root")
        above = node
