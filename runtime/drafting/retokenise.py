"""The same text in the tokens of two models, as it grows: what a target wrote, read by a draft model with another
tokenizer, and what that guesses, as the target would write it.

Texts are split into words, since tokenizers join nothing across them (nearly: where one does, a guess falls, and no
more). A word is translated when it is complete; the cache keeps which tokens of either model spell it, so that a target
token and a draft model's n-gram, or the other way round, stand for one another (OmniDraft, arXiv 2507.02659).
"""

import codecs
import re
from collections import OrderedDict
from collections.abc import Sequence

from ..engines.base import Vocabulary
from ..spelling import Speller
from .draft import Draft

# A line's end with what is blank before it; blanks up to the last before a word; a word with that; other blanks. Long
# runs are cut, for there are texts that know no blanks.
_WORDS = re.compile(r"[^\S\r\n]{0,32}[\r\n]{1,32}|[^\S\r\n]{1,32}(?=[^\S\r\n]\S)|[^\S\r\n]?\S{1,32}|\s{1,32}")
_MOST_WORDS = 8192  # in the cache
_Tokens = tuple[int, ...]


def same_tokens(one: Vocabulary, other: Vocabulary) -> bool:
    """Whether a token of one is the same in the other, over all of both; what only the larger has must be unused."""
    both = min(one.size, other.size)
    larger = one if one.size > both else other
    return (
        all(_same(one, other, token) for token in range(both))
        and not any(larger.piece(token) for token in range(both, larger.size))
        and {token for token in one.ends if token < both} == {token for token in other.ends if token < both}
    )


def _same(one: Vocabulary, other: Vocabulary, token: int) -> bool:
    piece = one.piece(token)
    return piece == other.piece(token) and (bool(piece) or one.text(token) == other.text(token))


class Tongues:
    """Two vocabularies and what was translated between them. Not for two threads."""

    def __init__(self, target: Vocabulary, draft: Vocabulary, most: int = _MOST_WORDS) -> None:
        self.target, self.draft = target, draft
        self._spell = Speller(target), Speller(draft)
        self._words: OrderedDict[str, list[_Tokens | None]] = OrderedDict()  # in target tokens, in draft tokens
        self._most = most
        self._controls: dict[int, _Tokens] = {}  # a target's control token in draft tokens
        self._in_target: dict[int, _Tokens] = {}  # a draft model's token alone

    def __len__(self) -> int:
        return len(self._words)

    def to_target(self, word: str) -> _Tokens | None:
        """None where the vocabulary cannot spell it."""
        return self._translated(word, 0)

    def to_draft(self, word: str) -> _Tokens | None:
        return self._translated(word, 1)

    def at_the_start(self, word: str) -> _Tokens:
        """In draft tokens, where it begins a text or follows a control token: some models put a space before it."""
        return tuple(self.draft.encode(word, special=False))

    def control(self, token: int) -> _Tokens:
        """A control token of the target as the draft model would read it, be it as plain text."""
        if (found := self._controls.get(token)) is None:
            found = self._controls[token] = tuple(self.draft.encode(self.target.text(token)))
        return found

    def alone(self, token: int) -> _Tokens:
        """A token of the draft model in target tokens, whatever stands around it; none where there are no such."""
        if (found := self._in_target.get(token)) is None:
            found = self._in_target[token] = self._alone(token)
        return found

    def _alone(self, token: int) -> _Tokens:
        if piece := self.draft.piece(token):
            return tuple(self._spell[0](piece) or ())
        name = self.draft.text(token)
        own = self.target.encode(name)
        if len(own) == 1 and self.target.text(own[0]) == name:
            return (own[0],)
        return tuple(sorted(self.target.ends)[:1]) if token in self.draft.ends else ()

    def _translated(self, word: str, side: int) -> _Tokens | None:
        if word in self._words:
            self._words.move_to_end(word)
        known = self._words.setdefault(word, [None, None])
        if known[side] is None and (tokens := self._spell[side](word.encode())) is not None:
            known[side] = tuple(tokens)
        if len(self._words) > self._most:
            self._words.popitem(last=False)
        return known[side]


class Reading:
    """One text of the target as the draft model reads it. It only grows."""

    def __init__(self, tongues: Tongues) -> None:
        self._tongues = tongues
        self._tokens = list(tongues.draft.encode("", start=True))
        self._at_the_start = True
        self.read = 0  # tokens of the target
        self._open = ""  # the last word, which may go on
        self._written: list[tuple[int, str]] = []  # the target's tokens that wrote it: (token, its text)
        self._decode = codecs.getincrementaldecoder("utf-8")("replace")

    def follow(self, tokens: Sequence[int]) -> list[int] | None:
        """The whole text in draft tokens; None while it ends within a character, or cannot be spelled."""
        for token in tokens[self.read :]:
            if piece := self._tongues.target.piece(token):
                text = self._decode.decode(piece)
                self._open += text
                self._written.append((token, text))
            else:
                self._read_control(token)
        self.read = len(tokens)
        *complete, last = _WORDS.findall(self._open) or [""]
        for word in complete:
            self._close(word)
        half = self._decode.getstate()[0]
        spelled = self._draft_tokens(last) if last else ()
        return None if half or spelled is None else [*self._tokens, *spelled]

    def translate(self, draft: Draft, most: int) -> Draft:
        """A chain that the draft model guessed after the text, in target tokens: its complete words, no more tokens
        than `most`. A guess that became several tokens is charged to the first, several that became one are to it."""
        guessed, charges = self._guessed(draft)
        tokens, there, end = list[int](), len(self._open), 0
        for word in _WORDS.findall(self._open + guessed)[:-1]:
            start, end = end, end + len(word)
            if end <= there:
                continue
            rest = self._rest_of(word) if start == 0 else self._tongues.to_target(word[max(there - start, 0) :])
            if rest is None:
                break
            tokens += rest
        return self._charged(tokens[:most], charges)

    def _read_control(self, token: int) -> None:
        for word in _WORDS.findall(self._open):
            self._close(word)
        self._decode.reset()
        self._written, self._at_the_start = [], True
        spelled = self._tongues.control(token)
        if spelled != tuple(self._tokens):  # both begin a text by a token of theirs
            self._tokens += spelled

    def _draft_tokens(self, word: str) -> _Tokens | None:
        return self._tongues.at_the_start(word) if self._at_the_start else self._tongues.to_draft(word)

    def _close(self, word: str) -> None:
        self._tokens += self._draft_tokens(word) or ()
        self._at_the_start = False
        self._open = self._open[len(word) :]
        length = len(word)
        while length > 0 and length >= len(self._written[0][1]):
            length -= len(self._written.pop(0)[1])
        if length:  # the next word begins within a token
            self._written[0] = (-1, self._written[0][1][length:])

    def _guessed(self, draft: Draft) -> tuple[str, list[tuple[int, float]]]:
        """The text of a guess, up to what is no whole character or no text, and where in its bytes each of its tokens
        begins, with its probability."""
        data, charges = b"", list[tuple[int, float]]()
        sure = draft.probabilities or (1.0,) * len(draft)
        for token, probability in zip(draft.tokens, sure, strict=True):
            if not (piece := self._tongues.draft.piece(token)):
                break
            charges.append((len(data), probability))
            data += piece
        try:
            text = codecs.getincrementaldecoder("utf-8")().decode(data)
        except UnicodeDecodeError as error:
            text = data[: error.start].decode()
        return text, charges

    def _rest_of(self, word: str) -> _Tokens | None:
        """What the target would write to complete the word that the text ends within."""
        written = tuple(token for token, _ in self._written)
        spelled = self._tongues.to_target(word)
        if spelled is not None and spelled[: len(written)] == written:
            return spelled[len(written) :]
        return self._tongues.to_target(word[len(self._open) :])

    def _charged(self, tokens: list[int], charges: list[tuple[int, float]]) -> Draft:
        """As far as its characters are whole."""
        sure, end, whole = list[float](), 0, 0
        decode = codecs.getincrementaldecoder("utf-8")("replace")
        for token in tokens:
            piece = self._tongues.target.piece(token)
            end += len(piece)
            sure.append(1.0)
            while charges and charges[0][0] < end:
                sure[-1] *= charges.pop(0)[1]
            decode.decode(piece)
            whole = whole if decode.getstate()[0] else len(sure)
        return Draft.chain(tokens[:whole], sure[:whole])
