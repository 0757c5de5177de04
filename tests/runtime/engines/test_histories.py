"""Whatever was done to an engine before, a row's logits are those of its path alone."""

import io

import numpy as np
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from accel.errors import EngineError, StateError
from accel.runtime.engines.base import Batch, Engine, Stop, Stopped

SEQUENCES = 4  # the engine's last one is for looking answers up
MOST = 30  # positions of one sequence
tokens = st.integers(3, 200)
sequences = st.integers(0, SEQUENCES - 1)


class Histories(RuleBasedStateMachine):
    """Committed tokens and trees of every sequence, beside an engine that is told the same."""

    def __init__(self, engine: Engine) -> None:
        super().__init__()
        self.engine = engine
        self.known: dict[tuple[int, ...], np.ndarray] = {}

    @initialize()
    def begin(self) -> None:
        for seq in range(self.engine.can.sequences):
            self.engine.truncate(seq, 0)
        self.committed: list[list[int]] = [[] for _ in range(SEQUENCES)]
        self.nodes: list[list[tuple[int, int]]] = [[] for _ in range(SEQUENCES)]  # (token, parent)

    def path(self, seq: int, node: int) -> list[int]:
        """Nodes from the root to this one."""
        found: list[int] = []
        while node >= 0:
            found.insert(0, node)
            node = self.nodes[seq][node][1]
        return found

    def depth(self, seq: int, node: int) -> int:
        return len(self.committed[seq]) + len(self.path(seq, node))

    def leaves(self, seq: int) -> int:
        return len(self.nodes[seq]) - len({parent for _, parent in self.nodes[seq]} - {-1})

    def alone(self, text: list[int]) -> np.ndarray:
        """The logits after a text that nothing else was mixed with."""
        key = tuple(text)
        if key not in self.known:
            last = self.engine.can.sequences - 1
            self.engine.truncate(last, 0)
            rows = self.engine.forward(Batch.chain(last, text))
            self.known[key] = rows.row(len(text) - 1).copy()
            self.engine.truncate(last, 0)
        return self.known[key]

    def batch(self, rows: list[tuple[int, int, int]]) -> Batch:
        found = np.array(rows, np.int32)
        return Batch(found[:, 0], found[:, 1], found[:, 2], np.ones(len(rows), np.int32))

    @rule(data=st.data(), seqs=st.lists(sequences, min_size=1, max_size=12))
    def grow(self, data: st.DataObject, seqs: list[int]) -> None:
        """Rows of several sequences in any mixture, each on any node of its own."""
        rows = []
        for seq in seqs:
            there = len(self.nodes[seq])
            last = st.just(there - 1)
            parent = data.draw(last | st.integers(-1, there - 1))
            node = (data.draw(tokens), parent)
            self.nodes[seq].append(node)
            fits = self.depth(seq, len(self.nodes[seq]) - 1) <= MOST
            trees = sum(max(0, self.leaves(other) - 1) for other in range(SEQUENCES))
            if not fits or trees > self.engine.can.branches:
                self.nodes[seq].pop()
                continue
            rows.append((node[0], seq, parent, len(self.nodes[seq]) - 1))
        if not rows:
            return
        got = self.engine.forward(self.batch([row[:3] for row in rows]))
        logits = [got.row(i).copy() for i in range(len(rows))]
        for (_, seq, _, node), found in zip(rows, logits, strict=True):
            text = self.committed[seq] + [self.nodes[seq][at][0] for at in self.path(seq, node)]
            wanted = self.alone(text)
            most = 0.0 if self.engine.can.exact else 1e-2 if self.engine.spec.sliding_window else 1e-4
            assert np.abs(found - wanted).max() <= most

    @rule(seq=sequences, text=st.lists(tokens, min_size=1, max_size=5))
    def stopped(self, seq: int, text: list[int]) -> None:
        stop, there = Stop(), len(self.nodes[seq])
        stop.set()
        with pytest.raises(Stopped):
            self.engine.forward(Batch.chain(seq, text, parent=there - 1, first=there), stop=stop)

    @rule(seq=sequences, text=st.lists(tokens, min_size=1, max_size=3))
    def refused(self, seq: int, text: list[int]) -> None:
        there = len(self.nodes[seq])
        rows = [(token, seq, -1) for token in text] + [(3, seq, there + len(text) + 1)]
        with pytest.raises(EngineError):
            self.engine.forward(self.batch(rows))

    @rule(seq=sequences, data=st.data())
    def commit(self, seq: int, data: st.DataObject) -> None:
        node = data.draw(st.integers(-1, len(self.nodes[seq]) - 1))
        path = self.path(seq, node)
        self.engine.commit(seq, path)
        self.committed[seq] += [self.nodes[seq][at][0] for at in path]
        self.nodes[seq] = []

    @rule(seq=sequences, data=st.data())
    def truncate(self, seq: int, data: st.DataObject) -> None:
        length = data.draw(st.integers(0, len(self.committed[seq])))
        self.engine.truncate(seq, length)
        self.committed[seq] = self.committed[seq][:length]
        self.nodes[seq] = []

    @rule(source=sequences, further=st.integers(1, SEQUENCES - 1), data=st.data())
    def fork(self, source: int, further: int, data: st.DataObject) -> None:
        into = (source + further) % SEQUENCES
        length = data.draw(st.integers(0, len(self.committed[source])))
        self.engine.fork(source, into, length)
        self.committed[into] = self.committed[source][:length]
        self.nodes[into] = []

    @precondition(lambda self: any(not nodes for nodes in self.nodes))
    @rule(data=st.data(), into=sequences, damaged=st.booleans())
    def save_and_load(self, data: st.DataObject, into: int, damaged: bool) -> None:
        source = data.draw(st.sampled_from([seq for seq in range(SEQUENCES) if not self.nodes[seq]]))
        file = io.BytesIO()
        self.engine.save(source, file)
        text = list(self.committed[source])
        state = file.getvalue()[: -1 if damaged else None]
        if damaged:
            with pytest.raises(StateError):
                self.engine.load(into, io.BytesIO(state))
            text = []
        else:
            self.engine.load(into, io.BytesIO(state))
        self.committed[into], self.nodes[into] = text, []

    @invariant()
    def lengths_agree(self) -> None:
        for seq, text in enumerate(getattr(self, "committed", [])):
            assert self.engine.length(seq) == len(text)


def test_any_history_gives_the_logits_of_the_path(engine):
    steps = settings(max_examples=25 if engine.can.exact else 15, stateful_step_count=20, deadline=None)
    run_state_machine_as_test(lambda: Histories(engine), settings=steps)  # pyright: ignore[reportArgumentType]
