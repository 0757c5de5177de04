"""Text to tokens and back by llama.cpp's tokenizers.

Many of them part a text into words by `std::regex`, which calls itself for every character of a word and ends the
process where the stack does: with the usual 8 MiB at 26,000. So longer texts are read on a deep stack of their own, and
words that would leave even that are refused.
"""

import ctypes
import re
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property, partial

from ...errors import MemoryFull, UsageError
from . import llama_api as api

_CONTROLS, _STRIPS_BEFORE = 1 << 3, 1 << 7  # llama_token_attr
_SHORT = 2**13  # bytes: of what is no longer, llama.cpp finds all control tokens in no time
_DENSE = 256  # control tokens found at once: it takes the square of their number
_SHALLOW = 2**12  # characters: any stack has room for a word of so many
LONGEST_WORD = 2**18  # characters
_DEEP = 2**9 * LONGEST_WORD  # bytes of stack: a character was seen to take 320 of them
_BREAKS = re.compile(r"(?<=\n)(?=\S)|(?<=[!-@[-`{-~])(?=[ \t])")  # where one word ends for every tokenizer
_STARTING = threading.Lock()  # the size of new stacks is the process's


class LlamaVocabulary:
    """Pieces are asked for once: a vocabulary of 150,000 costs nothing until its tokens are used."""

    def __init__(self, model: int) -> None:
        self._vocab = api.get_vocab(model)
        self.size: int = api.vocab_size(self._vocab)
        self._bos: int | None = api.vocab_bos(self._vocab) if api.vocab_adds_bos(self._vocab) else None
        self._pieces: dict[int, bytes] = {}
        self._ends: frozenset[int] | None = None

    def encode(self, text: str, special: bool = True, start: bool = False) -> list[int]:
        """Raises UsageError for a word of more than `LONGEST_WORD` characters, MemoryFull where there is no room for
        one."""
        if len(text) <= _SHALLOW:
            found = self._tokens(text, special)
        else:
            _check_words(text)
            found = _on_deep_stack(partial(self._tokens, text, special))
        return [self._bos, *found] if start and self._bos is not None and found[:1] != [self._bos] else found

    def _tokens(self, text: str, special: bool) -> list[int]:
        data = text.encode(errors="replace")
        return [token for block in self._blocks(data, special) for token in self._encode(block, special)]

    def _blocks(self, data: bytes, special: bool) -> Iterator[bytes]:
        """Cut before control tokens, which part what stands before and behind them anyway."""
        begin = 0
        if special and len(data) > _SHORT and self._controls:
            for number, found in enumerate(self._controls.finditer(data), 1):
                if number % _DENSE == 0:
                    yield data[begin : found.start()]
                    begin = found.start()
        yield data[begin:]

    @cached_property
    def _controls(self) -> "re.Pattern[bytes] | None":
        attributes = {token: api.vocab_attributes(self._vocab, token) for token in range(self.size)}
        tokens = [token for token, kind in attributes.items() if kind & _CONTROLS and not kind & _STRIPS_BEFORE]
        spellings = {self._ask(token, special=True) for token in tokens} - {b""}
        longest_first = sorted(map(re.escape, spellings), key=len, reverse=True)
        return re.compile(b"|".join(longest_first)) if longest_first else None

    def _encode(self, data: bytes, special: bool) -> list[int]:
        room = len(data) + 8  # no tokenizer makes more tokens than bytes, but some add a few at the ends
        tokens = (ctypes.c_int32 * room)()
        count = api.tokenize(self._vocab, data, len(data), ctypes.addressof(tokens), room, False, special)
        if count < 0:
            tokens = (ctypes.c_int32 * -count)()
            count = api.tokenize(self._vocab, data, len(data), ctypes.addressof(tokens), -count, False, special)
        return tokens[:count]

    def piece(self, token: int) -> bytes:
        if (piece := self._pieces.get(token)) is None:
            piece = self._pieces[token] = self._ask(token)
        return piece

    @property
    def ends(self) -> frozenset[int]:
        if self._ends is None:
            self._ends = frozenset(token for token in range(self.size) if api.vocab_is_end(self._vocab, token))
        return self._ends

    def text(self, token: int) -> str:
        return self._ask(token, special=True).decode(errors="replace")

    def _ask(self, token: int, special: bool = False) -> bytes:
        if not 0 <= token < self.size:
            return b""
        room = ctypes.create_string_buffer(256)  # its own: several threads may ask
        length = api.to_piece(self._vocab, token, ctypes.addressof(room), len(room), 0, special)
        if length < 0:
            room = ctypes.create_string_buffer(-length)
            length = api.to_piece(self._vocab, token, ctypes.addressof(room), -length, 0, special)
        return room.raw[:length]


def _check_words(text: str) -> None:
    if len(text) > LONGEST_WORD and (longest := max(map(len, _BREAKS.split(text)))) > LONGEST_WORD:
        what = f"{longest} characters come without a break between words, and {LONGEST_WORD} may"
        raise UsageError(what, "break the text into lines")


def _on_deep_stack(call: Callable[[], list[int]]) -> list[int]:
    """What it returns. Only what is touched of a stack takes memory, and that is the system's again at its end."""
    with ThreadPoolExecutor(1, "tokens") as deep:
        with _STARTING:
            usual = threading.stack_size(_DEEP)
            try:
                found = deep.submit(call)
            except RuntimeError as error:
                raise MemoryFull("there is no memory to read a long text in", "close other programs") from error
            finally:
                threading.stack_size(usual)
        return found.result()
