"""Tokenizers that differ, and models that know a text by heart in the tokens of either."""

from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

import numpy as np

from accel.runtime.engines.base import Batch, Capabilities

CONTROLS = ("<end>", "<turn>")


class Pieces:
    """Longest piece first within a word, every byte a token; then the control tokens. `prefix`: a space is put before
    every text, as some do."""

    def __init__(self, merges: Sequence[str], prefix: bool = False, controls: Sequence[str] = CONTROLS) -> None:
        self._pieces = [bytes([byte]) for byte in range(256)] + [merge.encode() for merge in merges]
        self._ids = {piece: token for token, piece in enumerate(self._pieces)}
        self._longest = max(map(len, self._pieces))
        self._prefix, self._controls = prefix, controls
        self.size = len(self._pieces) + len(controls)
        self.ends = frozenset({self.size - len(controls)})
        self.encoded = 0

    def encode(self, text: str, special: bool = True, start: bool = False) -> list[int]:
        self.encoded += 1
        tokens: list[int] = []
        while special and (found := [(text.find(c), c) for c in self._controls if c in text]):
            at, control = min(found)
            tokens += [*self._plain(text[:at]), len(self._pieces) + self._controls.index(control)]
            text = text[at + len(control) :]
        return tokens + self._plain(text)

    def _plain(self, text: str) -> list[int]:
        data = (" " * (self._prefix and text != "") + text).encode()
        tokens, at = list[int](), 0
        while at < len(data):
            blank = data.find(b" ", at + 1)
            end = min(len(data) if blank < 0 else blank, at + self._longest)
            length = next(n for n in range(end - at, 0, -1) if data[at : at + n] in self._ids)
            tokens.append(self._ids[data[at : at + length]])
            at += length
        return tokens

    def piece(self, token: int) -> bytes:
        return self._pieces[token] if token < len(self._pieces) else b""

    def text(self, token: int) -> str:
        if token >= len(self._pieces):
            return self._controls[token - len(self._pieces)]
        return self._pieces[token].decode(errors="replace")

    def said(self, tokens: Sequence[int]) -> bytes:
        return b"".join(map(self.piece, tokens))


class Parrot:
    """An engine of chains that, after any part of its text, knows how it goes on in its own tokens, and is the surer of
    it the greater `sure`; what else it says is noise that depends on the bytes before."""

    def __init__(self, vocabulary: Any, text: str, sure: float = 12.0, sequences: int = 4) -> None:
        self.vocabulary, self._sure, self._text = vocabulary, sure, text.encode()
        self.can = Capabilities(sequences=sequences, context=4096, rows=512, outputs=512, exact=True)
        self.spec = SimpleNamespace()
        self._committed: list[list[int]] = [[] for _ in range(sequences)]
        self._nodes: list[list[tuple[int, ...]]] = [[] for _ in range(sequences)]  # the path to each
        self.rows_forwarded = 0

    def forward(self, batch: Batch, taps: Any = (), stop: Any = None) -> Any:
        logits = {}
        columns = zip(batch.tokens.tolist(), batch.sequences.tolist(), batch.parents.tolist(), strict=True)
        for i, (token, seq, parent) in enumerate(columns):
            nodes = self._nodes[seq]
            nodes.append((*(nodes[parent] if parent >= 0 else ()), token))
            logits[i] = self._logits([*self._committed[seq], *nodes[-1]])
        self.rows_forwarded += len(batch.tokens)
        return SimpleNamespace(row=logits.__getitem__)

    def _logits(self, tokens: list[int]) -> np.ndarray:
        said = self.vocabulary.said(tokens)
        row = np.random.default_rng(list(said[-12:])).normal(0, 1, self.vocabulary.size).astype(np.float32)
        for length in range(min(len(said), 12), 3, -1):
            if (at := self._text.find(said[-length:])) >= 0:
                rest = self._text[at + length :]
                following = (
                    self.vocabulary._plain(rest[:60].decode(errors="ignore")) if rest else [min(self.vocabulary.ends)]
                )
                if following and (not rest or rest.startswith(self.vocabulary.piece(following[0]))):
                    row[following[0]] += self._sure
                break
        return row

    def commit(self, seq: int, nodes: Sequence[int]) -> None:
        if nodes := list(nodes):
            self._committed[seq] += self._nodes[seq][nodes[-1]]
        self._nodes[seq] = []

    def truncate(self, seq: int, length: int) -> None:
        del self._committed[seq][length:]
        self._nodes[seq] = []

    def length(self, seq: int) -> int:
        return len(self._committed[seq])
