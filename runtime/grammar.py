"""What an answer must look like: which tokens may come next, from a JSON schema, a regular expression or a grammar.

llguidance does the work: it walks the vocabulary as a trie of bytes, so that a grammar knows nothing of tokens. A
grammar ends an answer by allowing nothing but the tokens that end a turn.
"""

import re
from typing import TYPE_CHECKING, Literal, get_args

import numpy as np

from ..errors import GrammarError
from .engines.base import Vocabulary
from .json_form import JSON_FORM
from .spelling import Speller

if TYPE_CHECKING:
    from llguidance import LLMatcher, LLTokenizer

Kind = Literal["json_schema", "regex", "lark", "gbnf"]
LONGEST = 2**18  # characters of a grammar
_DO = "change the grammar, or ask without one"


class Grammars:
    """Compiles grammars for one vocabulary, which is read when the first is asked for."""

    def __init__(self, vocabulary: Vocabulary) -> None:
        self._vocabulary = vocabulary
        self._tokenizer: LLTokenizer | None = None

    def compile(self, kind: Kind, text: str) -> "Grammar":
        """Raises GrammarError, with the keyword or the place at fault, for what cannot be enforced."""
        from llguidance import LLMatcher, grammar_from

        if kind not in get_args(Kind):
            raise GrammarError(f"there are no grammars of kind '{kind}'", f"use one of {', '.join(get_args(Kind))}")
        if len(text) > LONGEST:
            raise GrammarError(f"a grammar of {len(text)} characters is too long", f"use at most {LONGEST}")
        try:
            if kind == "json_schema":
                schema = "{}" if text.strip() == "true" else text  # the same, and options go into an object alone
                source = LLMatcher.grammar_from_json_schema(schema, overrides=JSON_FORM)
            else:
                source = grammar_from(kind, text)
        except (ValueError, RecursionError) as error:
            raise _unusable(kind, str(error)) from error
        matcher = LLMatcher(self._tokens(), source, log_level=0)
        if matcher.is_error():
            raise _unusable(kind, matcher.get_error())
        return Grammar(matcher, self._vocabulary.size)

    def _tokens(self) -> "LLTokenizer":
        if self._tokenizer is None:
            from llguidance import LLTokenizer, TokenizerWrapper

            wrapped = TokenizerWrapper(_Wrapped(self._vocabulary))
            ends = sorted(self._vocabulary.ends)
            self._tokenizer = LLTokenizer(wrapped, n_vocab=self._vocabulary.size, eos_token=ends)
        return self._tokenizer


class Grammar:
    """One answer on its way through a grammar."""

    def __init__(self, matcher: "LLMatcher", size: int) -> None:
        self._matcher = matcher
        self._size = size
        self._mask: np.ndarray | None = None  # of the present state

    def mask(self) -> np.ndarray:
        """Which tokens may come next: bool of shape (vocabulary,), read-only. Raises GrammarError where deciding takes
        more work than is allowed."""
        if self._mask is None:
            packed = np.frombuffer(self._matcher.compute_bitmask(), np.uint8)
            if self._matcher.is_error():
                raise GrammarError(f"the grammar cannot go on: {_line(self._matcher.get_error())}", _DO)
            mask = np.unpackbits(packed, count=self._size, bitorder="little").view(bool)
            mask.flags.writeable = False
            self._mask = mask
        return self._mask

    def accept(self, token: int) -> None:
        """Raises GrammarError where the token may not come here; the grammar is of no use afterwards."""
        self._mask = None
        if not self._matcher.consume_token(token):
            raise GrammarError(f"token {token} may not come here: {_line(self._matcher.get_error())}", _DO)

    def fork(self) -> "Grammar":
        twin = Grammar(self._matcher.deep_copy(), self._size)
        twin._mask = self._mask
        return twin

    @property
    def finished(self) -> bool:
        """Whether nothing but the end of the turn may follow."""
        return self._matcher.is_stopped()


class _Wrapped:
    """A vocabulary as llguidance wants to see it."""

    bos_token_id = None

    def __init__(self, vocabulary: Vocabulary) -> None:
        if not vocabulary.ends:
            raise GrammarError("this model has no token that ends a turn", "ask without a grammar")
        self.tokens = [vocabulary.piece(token) for token in range(vocabulary.size)]
        self.special_token_ids = [token for token, piece in enumerate(self.tokens) if not piece]
        self.eos_token_id = min(vocabulary.ends)
        self._spell = Speller(vocabulary)

    def __call__(self, data: bytes) -> list[int]:
        tokens = self._spell(data)
        if tokens is None:
            raise GrammarError("this model's vocabulary cannot spell what the grammar wants", _DO)
        return tokens


def _unusable(kind: str, why: str) -> GrammarError:
    return GrammarError(f"this {kind.replace('_', ' ')} cannot be enforced: {_line(why)}", _DO)


def _line(why: str) -> str:
    """The words of llguidance on one line, without the state and the source that it adds."""
    words = " ".join(re.split(r"<state>|<backtrace>|\n\s*\d+ \| ", why)[0].split())
    return words if len(words) <= 300 else f"{words[:100]} ... {words[-200:]}"
