"""A whole engine over a tiny vocabulary: every capability, no model. Tests and people who write against the protocol
use it; it is deterministic, and can be told to be slow, to fail or to die.

Tokens are the 256 bytes and a few control tokens, so that any text works. Logits are a hash of the path's tokens: the
same bits however rows are batched, shared or saved. Left alone it babbles lower-case letters and ends by chance; a
script makes it answer.
"""

import os
import re
import signal
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import BinaryIO

import numpy as np

from ...errors import Cancelled, ContextFull, EngineError, StateError
from ...units import Bytes
from ..model import ModelSpec
from .base import Batch, Capabilities, Chooser, Chosen, Offloaded, Stop, Stopped, Tap, check_path
from .fake_hash import MASK, hash_of, mix, noise
from .options import FakeOptions
from .state import read_state, write_state

SPECIALS = ("<s>", "</s>", "<|im_start|>", "<|im_end|>")
BOS, EOS, TURN, TURN_END = range(256, 256 + len(SPECIALS))
VOCABULARY = 256 + len(SPECIALS)
ENDS = frozenset({EOS, TURN_END})
LAYERS, WIDTH, EXPERTS, EXPERTS_USED = 4, 8, 8, 2
TEMPLATE = (
    "{% for message in messages %}<|im_start|>{{ message.role }}\n{{ message.content }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
_CHANGES = ("", "<|im_end|>\n<|im_start|>assistant\n")  # what may stand between a script's prompt and its answer
_SURE = np.float32(100.0)
_TASTE = np.full(VOCABULARY, -8, np.float32)
_TASTE[32:127] = 0
_TASTE[[ord(" "), *range(ord("a"), ord("z") + 1)]] = 6


def open_engine(options: FakeOptions, progress: Callable[[float], bool] | None = None) -> "FakeEngine":
    for step in range(11):
        if progress and not progress(step / 10):
            raise Cancelled("opening the engine was stopped")
        time.sleep(options.seconds_to_open / 11)
    return FakeEngine(options)


def fake_spec(context: int) -> ModelSpec:
    """What the fake engine says about itself: a model of no bytes."""
    return ModelSpec(
        paths=(), sizes=(), fingerprint="fake", architecture="fake", name="fake", layers=LAYERS, width=WIDTH,
        heads=(1,) * LAYERS, kv_heads=(1,) * LAYERS, key_size=WIDTH, value_size=WIDTH, ff_width=WIDTH,
        vocabulary=VOCABULARY, context=context, experts=EXPERTS, experts_used=EXPERTS_USED, expert_width=WIDTH,
        shared_experts=0, sliding_window=0, recurrent=False, state=Bytes(0), weights=(), tokenizer="bytes",
        pre_tokenizer="", bos=BOS, eos=EOS, ends=tuple(sorted(ENDS)), add_bos=True, chat_template=TEMPLATE,
        specials=(BOS, EOS, TURN, TURN_END),
    )  # fmt: skip


class FakeVocabulary:
    """The 256 bytes, then `SPECIALS`."""

    size = VOCABULARY
    ends = ENDS
    _written = re.compile("|".join(map(re.escape, SPECIALS)))

    def encode(self, text: str, special: bool = True, start: bool = False) -> list[int]:
        tokens: list[int] = [BOS] if start else []
        at = 0
        for found in self._written.finditer(text) if special else ():
            tokens += text[at : found.start()].encode(errors="replace")
            tokens.append(256 + SPECIALS.index(found[0]))
            at = found.end()
        tokens += text[at:].encode(errors="replace")
        return tokens[1:] if tokens[:2] == [BOS, BOS] else tokens

    def piece(self, token: int) -> bytes:
        return bytes([token]) if token < 256 else b""

    def text(self, token: int) -> str:
        return chr(token) if token < 256 else SPECIALS[token - 256]


@dataclass(slots=True, eq=False)
class _Cell:
    """One token at the end of one path."""

    token: int
    above: "_Cell | None"
    state: int  # the path's hash
    owners: int = 0  # sequences that hold it


@dataclass(slots=True)
class _Sequence:
    committed: list[_Cell] = field(default_factory=list)
    nodes: list[_Cell] = field(default_factory=list)
    parents: list[int] = field(default_factory=list)

    def leaves(self) -> int:
        return len(self.nodes) - len(set(self.parents) - {-1})


class FakeRows:
    def __init__(self, logits: dict[int, np.ndarray]) -> None:
        self._logits = logits
        self._all = np.stack(list(logits.values())) if logits else np.empty((0, VOCABULARY), np.float32)

    def row(self, i: int) -> np.ndarray:
        if i not in self._logits:
            raise IndexError(f"the logits of row {i} were not asked for")
        return self._logits[i]

    def argmax(self) -> np.ndarray:
        return self._all.argmax(axis=1).astype(np.int32)

    def top(self, k: int) -> tuple[np.ndarray, np.ndarray]:
        tokens = np.argsort(-self._all, axis=1, kind="stable")[:, :k].astype(np.int32)
        return np.take_along_axis(self._all, tokens, axis=1), tokens


class FakeEngine:
    """See the module's docstring. `forwards` and `rows_forwarded` count what it was asked to do."""

    def __init__(
        self, options: FakeOptions | None = None, kv: int | None = None, layers: Sequence[int] | None = None
    ) -> None:
        self.options = options or FakeOptions()
        self.spec = fake_spec(self.options.context)
        self.vocabulary = FakeVocabulary()
        self.can = Capabilities(
            sequences=self.options.sequences,
            context=self.options.context,
            rows=self.options.batch,
            outputs=self.options.outputs,
            branches=self.options.branches if self.options.rollback else 0,
            candidates=self.options.candidates,
            rollback=self.options.rollback,
            taps=frozenset({"gate_input", "experts", "layer_output"}),
            save=True,
            view=True,
            exact=True,
            decodes=self.options.decodes,
            embeds=WIDTH,
        )
        self.forwards = 0
        self.rows_forwarded = 0
        self._kv = kv
        self._layers = tuple(range(LAYERS)) if layers is None else tuple(layers)
        self._sequences = [_Sequence() for _ in range(self.options.sequences)]
        self._used = 0  # cells that any sequence holds
        self._script = [
            (_letters(self.vocabulary.encode(ask + change)), _letters(self.vocabulary.encode(answer)) + chr(TURN_END))
            for ask, answer in self.options.script
            for change in _CHANGES
        ]

    def forward(self, batch: Batch, taps: Sequence[Tap] = (), stop: Stop | None = None) -> FakeRows:
        self._check(batch)
        before = {int(seq): len(self._sequences[seq].nodes) for seq in set(batch.sequences.tolist())}
        cells = self._grow(batch, before)
        try:
            self._work(len(batch), stop)
            self._call(taps, cells)
        except (Stopped, EngineError):
            self._take_back(before)
            for seq in () if self.can.rollback else before:
                self._clear(self._sequences[seq])
            raise
        self.rows_forwarded += len(batch)
        return FakeRows({i: self._logits(cells[i]) for i in np.flatnonzero(batch.wants).tolist()})

    def decode(self, seq: int, token: int, chooser: Chooser, most: int, chosen: Chosen, stop: Stop) -> list[int]:
        tokens, most = [token], min(most, chosen.MOST)
        while (
            self.can.decodes
            and chooser.compiled
            and self._used < self.options.context
            and self.forwards + 1 != self.options.fail_at
        ):
            rows = self.forward(Batch.chain(seq, tokens[-1:]))
            self.commit(seq, (0,))
            tokens.append(chooser.choose(rows.row(0), self.length(seq)))
            chosen.room[len(tokens) - 2] = tokens[-1]
            if len(tokens) > most or tokens[-1] in ENDS or stop:
                break
        return tokens[1:]

    def embed(self, seq: int, tokens: Sequence[int]) -> np.ndarray:
        outputs: list[np.ndarray] = []
        self.forward(Batch.chain(seq, tokens, wants="all"), [Tap(LAYERS - 1, "layer_output", outputs.append)])
        self.commit(seq, range(len(tokens)))
        return outputs[0] - np.float32(0.5)

    def _check(self, batch: Batch) -> None:
        n, wanted = len(batch), int(np.count_nonzero(batch.wants))
        if not 0 < n <= self.can.rows or wanted > self.can.outputs:
            raise EngineError(f"{n} rows, {wanted} of them with logits, are no forward of this engine", "chunk them")
        if not ((batch.sequences >= 0) & (batch.sequences < self.can.sequences)).all():
            raise EngineError("a row is of a sequence that this engine lacks", f"it has {self.can.sequences}")
        if not ((batch.tokens >= 0) & (batch.tokens < VOCABULARY)).all():
            raise EngineError("a row's token is not in the vocabulary", f"it has {VOCABULARY}")
        room = self.options.context + self.options.candidates
        if self._used + n > room:
            raise ContextFull(f"{self._used} of {room} positions are taken, {n} more are asked for")

    def _grow(self, batch: Batch, before: dict[int, int]) -> list[_Cell]:
        cells: list[_Cell] = []
        for token, seq, parent in np.stack([batch.tokens, batch.sequences, batch.parents], axis=1).tolist():
            line = self._sequences[seq]
            if not -1 <= parent < len(line.nodes):
                self._take_back(before)
                raise EngineError(f"node {parent} is no parent: sequence {seq} has {len(line.nodes)} nodes")
            above = line.nodes[parent] if parent >= 0 else line.committed[-1] if line.committed else None
            cell = _Cell(token, above, mix(above.state if above else 0, token))
            cells.append(cell)
            line.nodes.append(cell)
            line.parents.append(parent)
            self._hold([cell])
        if sum(max(0, line.leaves() - 1) for line in self._sequences) > self.can.branches:
            self._take_back(before)
            raise EngineError("the draft trees have too many branches", f"this engine has {self.can.branches}")
        return cells

    def _take_back(self, before: dict[int, int]) -> None:
        for seq, count in before.items():
            line = self._sequences[seq]
            self._release(line.nodes[count:])
            del line.nodes[count:], line.parents[count:]

    def _work(self, rows: int, stop: Stop | None) -> None:
        """The time a forward takes, and the fate it was told."""
        self.forwards += 1
        ready = time.monotonic() + self.options.seconds_per_forward + rows * self.options.seconds_per_row
        while (left := ready - time.monotonic()) > 0 and not stop:
            time.sleep(min(left, 0.001))
        if self.forwards == self.options.die_at:
            os.kill(os.getpid(), getattr(signal, "SIGKILL", signal.SIGTERM))
        if self.forwards == self.options.fail_at:
            raise EngineError("the fake engine failed, as it was told to")
        if stop:
            raise Stopped

    def _call(self, taps: Sequence[Tap], cells: list[_Cell]) -> None:
        states = np.array([cell.state for cell in cells], np.uint64)
        for tap in sorted(taps, key=lambda tap: tap.layer):
            if tap.what not in self.can.taps or not 0 <= tap.layer < LAYERS:
                raise EngineError(f"there is no '{tap.what}' in layer {tap.layer}")
            found = noise(states + np.uint64(tap.layer), WIDTH)
            value = np.argsort(found, axis=1)[:, :EXPERTS_USED].astype(np.int32) if tap.what == "experts" else found
            try:
                tap.call(value)
            except Exception as error:
                raise EngineError(f"a tap on '{tap.what}' failed: {error}") from error

    def _logits(self, cell: _Cell) -> np.ndarray:
        state = cell.state if self._kv is None else hash_of(_path(cell)[-self._kv :])
        logits = _TASTE + 8 * noise(np.array([state], np.uint64), VOCABULARY)[0]
        skipped = set(range(LAYERS)) - set(self._layers)
        for layer in skipped:
            logits += noise(np.array([(state + layer) & MASK], np.uint64), VOCABULARY)[0]
        if (state >> 20) % self.options.answer_length == 0:
            logits[TURN_END] += 40
        if self._script and (token := self._scripted(_path(cell))) is not None:
            logits[token] += _SURE
        logits.flags.writeable = False
        return logits

    def _scripted(self, path: list[int]) -> int | None:
        """The token that the script wants next; None where it has nothing to say."""
        letters, found = _letters(path), []
        for ask, answer in self._script:
            at = letters.find(ask, max(0, len(letters) - len(ask) - len(answer) + 1))
            while at >= 0:
                said = len(letters) - at - len(ask)
                if answer.startswith(letters[at + len(ask) :]):
                    found.append((said, ord(answer[said])))
                at = letters.find(ask, at + 1)
        # An answer may hold its own question: where several fit, the one that has come furthest was asked.
        return max(found)[1] if found else None

    def commit(self, seq: int, nodes: Sequence[int]) -> None:
        line = self._line(seq)
        check_path(line.parents, nodes)
        if not self.can.rollback and len(nodes) < len(line.nodes):
            raise EngineError("this engine cannot take rows back", "commit all of them")
        stand = [line.nodes[node] for node in nodes]
        self._hold(stand)
        self._drop_nodes(line)
        line.committed += stand

    def truncate(self, seq: int, length: int) -> None:
        line = self._line(seq)
        if not 0 <= length <= len(line.committed):
            raise EngineError(f"sequence {seq} has {len(line.committed)} positions, not {length}")
        if not self.can.rollback and length and (length < len(line.committed) or line.nodes):
            raise EngineError("this engine cannot take rows back", "truncate to 0")
        self._drop_nodes(line)
        self._release(line.committed[length:])
        del line.committed[length:]

    def offloaded(self) -> Offloaded:
        return Offloaded()

    def length(self, seq: int) -> int:
        return len(self._line(seq).committed)

    def fork(self, source: int, target: int, length: int) -> None:
        origin, line = self._line(source), self._line(target)
        if source == target or not 0 <= length <= len(origin.committed):
            raise EngineError(f"sequence {source} has {len(origin.committed)} positions, not {length}")
        if not self.can.rollback and length not in (0, len(origin.committed)):
            raise EngineError("this engine cannot take rows back", "fork the whole sequence")
        self._clear(line)
        line.committed = origin.committed[:length]
        self._hold(line.committed)

    def save(self, seq: int, sink: BinaryIO) -> None:
        line = self._line(seq)
        if line.nodes:
            raise EngineError(f"sequence {seq} has uncommitted nodes", "commit first")
        tokens = np.array([cell.token for cell in line.committed], np.int32)
        write_state(sink, "fake", len(tokens), memoryview(tokens.tobytes()))

    def load(self, seq: int, source: BinaryIO) -> None:
        line = self._line(seq)
        self._clear(line)
        positions, payload = read_state(source, "fake", self.options.context, 4 * self.options.context)
        tokens = np.frombuffer(payload, np.int32) if len(payload) == 4 * positions else None
        if tokens is None or not ((tokens >= 0) & (tokens < VOCABULARY)).all():
            raise StateError("the saved state is damaged", "prefill the conversation again")
        if self._used + positions > self.options.context:
            raise ContextFull(f"no room for the {positions} positions of the saved state")
        for token in tokens.tolist():
            above = line.committed[-1] if line.committed else None
            line.committed.append(_Cell(token, above, mix(above.state if above else 0, token)))
        self._hold(line.committed)

    def view(self, kv: int | None = None, layers: Sequence[int] | None = None) -> "FakeEngine":
        """`kv`: only so many last positions are seen; `layers`: those that are kept, the others add their noise."""
        return FakeEngine(replace(self.options, fail_at=0, die_at=0), kv, layers)

    def close(self) -> None:
        self._sequences.clear()

    def _line(self, seq: int) -> _Sequence:
        if not 0 <= seq < len(self._sequences):
            raise EngineError(f"there is no sequence {seq}", f"this engine has {len(self._sequences)}")
        return self._sequences[seq]

    def _drop_nodes(self, line: _Sequence) -> None:
        self._release(line.nodes)
        line.nodes.clear()
        line.parents.clear()

    def _clear(self, line: _Sequence) -> None:
        self._drop_nodes(line)
        self._release(line.committed)
        line.committed = []

    def _hold(self, cells: Sequence[_Cell]) -> None:
        for cell in cells:
            self._used += cell.owners == 0
            cell.owners += 1

    def _release(self, cells: Sequence[_Cell]) -> None:
        for cell in cells:
            cell.owners -= 1
            self._used -= cell.owners == 0


def _path(cell: _Cell | None) -> list[int]:
    tokens: list[int] = []
    while cell:
        tokens.append(cell.token)
        cell = cell.above
    return tokens[::-1]


def _letters(tokens: Sequence[int]) -> str:
    """Tokens as a string that can be searched."""
    return "".join(map(chr, tokens))
