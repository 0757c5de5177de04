"""Bytes in the middle of a text as a model would write them: tokens whose pieces are these bytes."""

from functools import cached_property

from .engines.base import Vocabulary

_FIRST = b"\x02"  # a character that no tokenizer joins to what follows


class Speller:
    """For one vocabulary, of which it looks at no more than it needs."""

    def __init__(self, vocabulary: Vocabulary) -> None:
        self._vocabulary = vocabulary

    def __call__(self, data: bytes) -> list[int] | None:
        """None where the vocabulary cannot spell it."""
        encode, piece = self._vocabulary.encode, self._vocabulary.piece
        text = data.decode(errors="replace")
        tokens = encode(text, special=False)
        if self._spelled(tokens) == data:
            return tokens
        # Some tokenizers begin every text with a space: what stands behind another character has none.
        after = encode(_FIRST.decode() + text, special=False)
        for n in range(1, len(after)):
            if piece(after[n - 1]) == _FIRST and self._spelled(after[n:]) == data:
                return after[n:]
        return self._longest_first(data)

    def _spelled(self, tokens: list[int]) -> bytes:
        return b"".join(map(self._vocabulary.piece, tokens))

    def _longest_first(self, data: bytes) -> list[int] | None:
        """For tokenizers that change a text before they split it."""
        found: list[int] = []
        at = 0
        while at < len(data):
            lengths = range(min(len(data) - at, self._longest), 0, -1)
            length = next((n for n in lengths if data[at : at + n] in self._by_piece), None)
            if length is None:
                return None
            found.append(self._by_piece[data[at : at + length]])
            at += length
        return found

    @cached_property
    def _by_piece(self) -> dict[bytes, int]:
        pieces = ((self._vocabulary.piece(token), token) for token in range(self._vocabulary.size))
        return {piece: token for piece, token in pieces if piece}

    @cached_property
    def _longest(self) -> int:
        return max(map(len, self._by_piece), default=0)
