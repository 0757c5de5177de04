"""Control tokens that somebody typed: found in a text and cut in two, so that they stay text."""

import re
from collections.abc import Iterable, Mapping
from itertools import pairwise
from typing import Any


class Controls:
    """How a vocabulary's control tokens are spelled.

    What tokenizes a text knows such a token by its whole spelling alone. Cut after its first character, and tokenized
    in two parts, it is a few ordinary tokens; whatever holds no such spelling is not cut, and its tokens are the same.
    """

    def __init__(self, spellings: Iterable[str] = ()) -> None:
        self._spellings = frozenset(text for text in spellings if len(text) > 1)  # of one character, none is known
        self._lengths = sorted({len(text) for text in self._spellings})
        firsts = "".join(sorted({text[0] for text in self._spellings}))
        self._first = re.compile(f"[{re.escape(firsts)}]") if firsts else None

    def cut(self, text: str, mark: str) -> str:
        """The text with a mark in every spelling that stands in it."""
        if not self._first:
            return text
        starts = (found.start() for found in self._first.finditer(text))
        cuts = [at + 1 for at in starts if any(text[at : at + length] in self._spellings for length in self._lengths)]
        return mark.join(text[begin:end] for begin, end in pairwise([0, *cuts, len(text)]))

    def cut_all(self, value: Any, mark: str) -> Any:
        """The same in all texts of what JSON can hold."""
        if isinstance(value, str):
            return self.cut(value, mark)
        if isinstance(value, Mapping):
            return {key: self.cut_all(inner, mark) for key, inner in value.items()}
        if isinstance(value, list | tuple):
            return [self.cut_all(inner, mark) for inner in value]
        return value
