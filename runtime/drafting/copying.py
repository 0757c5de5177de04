"""Copying from the conversation: CopySpec (arXiv 2502.08923), and further where what is copied is changed on the way.

Where the last tokens stood before, what followed them there is guessed: from the place where most tokens agree, of
equals the last one. A place goes on to be copied from as long as the text agrees with it. Where it departs, its first
token that the source has close by is enough to go on from there; and what was put in the place of what (see `edits.py`)
is guessed again wherever the source comes to the same.

The index is that of an LZ77 compressor: a table from runs of three tokens to where each ended last, and from every
place a chain to the place before it with the same three. A token costs one entry, and a look along the chain where the
place that was copied from disagrees. It takes 115 bytes for a token of text at most, and is of the last 65,536 to
131,072 tokens: 15 MB for a text.
"""

from array import array
from collections.abc import Sequence

from .confidence import Odds
from .draft import Context, Draft
from .edits import TRUSTED, Edits
from .immediate import DOUBT, Guess, Immediate

_LEAST = 3  # tokens that agree
_LONGEST = 64  # tokens that are compared: beyond it places count as equal
_PLACES = 32  # that are compared, the last ones
_MOST = 2**17  # tokens that are indexed
_BITS = 21  # of a token
_RUN = 2 ** (_BITS * _LEAST) - 1
_KINDS = 33  # by how many tokens agree; then come those of edits
_SURE = 4  # tokens that agree: a source that the text may depart from and come back to
_EVEN = 0.5  # share of edits that hold, below which the source is believed
_NEAR = 12  # tokens of the source that it may come back at


class Copying(Immediate):
    """Chains, out of each text's own past."""

    def __init__(self, doubt: float = DOUBT) -> None:
        agreed = [(length + 0.5) / (length + 2) for length in range(_KINDS)]
        super().__init__(Odds(agreed + [0.5 + 0.1 * trust for trust in range(TRUSTED + 1)]), doubt)
        self._texts: dict[int, Past] = {}

    def matched(self, number: int) -> int:
        """How many of a text's last tokens agree with the place that it is copied from; 0 where there is none."""
        past = self._texts.get(number)
        return past.agreed if past else 0

    def guess(self, context: Context, limit: int) -> Guess:
        past = self._texts.get(context.number)
        if past is None or past.size > len(context.tokens):
            past = self._texts[context.number] = Past()
        past.grow(context.tokens)
        doubted = [self.odds.of(_KINDS + trust) < _EVEN for trust in range(TRUSTED + 1)]
        tokens, trusts = past.following(context.tokens, limit, doubted)
        kinds = tuple(
            min(past.agreed + depth, _KINDS - 1) if trust < 0 else _KINDS + trust for depth, trust in enumerate(trusts)
        )
        return Guess(Draft.chain(tokens, [self.odds.of(kind) for kind in kinds]), kinds)

    def forget(self, number: int) -> None:
        self._texts.pop(number, None)


class Past:
    """The index of one text, a function of its tokens alone. `place`: the end of an earlier run that agrees with the
    text's last `agreed` tokens, but for edits; -1 where there is none."""

    __slots__ = ("_before", "_due", "_first", "_last", "_run", "_since", "agreed", "edits", "place", "size")

    def __init__(self) -> None:
        self.size = 0  # tokens that were looked at
        self.edits = Edits()
        self._begin(0)

    def _begin(self, first: int) -> None:
        self._first = first  # token that is indexed
        self._last: dict[int, int] = {}  # where a run ended last
        self._before = array("i")  # of every token: where the run that it ends did before
        self._run = 0
        self.place, self.agreed = -1, 0
        self._due, self._since = -1, 0  # where the source was departed from, and the text's first token of its own

    def grow(self, tokens: Sequence[int]) -> None:
        """`tokens`: the text so far, with more at its end than the last time."""
        for end in range(self.size, len(tokens)):
            if end - self._first == _MOST:
                self._begin(end - _MOST // 2)
                for old in range(self._first, end):
                    self._add(tokens, old)
            self._add(tokens, end)
        self.size = len(tokens)

    def _add(self, tokens: Sequence[int], end: int) -> None:
        token = tokens[end]
        self._run = (self._run << _BITS | token) & _RUN
        before = -1
        if end >= self._first + _LEAST - 1:
            before = self._last.get(self._run, -1)
            self._last[self._run] = end
        self._before.append(before)
        if self.place >= 0:
            place = self.edits.follow(tokens, self.place, end)
            if place is not None:
                self.place = place
                self.agreed += 1
                if self.agreed < _LEAST and before >= 0:
                    self.edits.leave()
                    self.place, self.agreed = self._longest(tokens, end, before)
                if self._due >= 0 and self.agreed >= _LEAST:
                    self._learn(tokens, end)
                return
        self._depart(tokens, end, before)

    def _depart(self, tokens: Sequence[int], end: int, before: int) -> None:
        """The text does not go on as its source did: another source, or a place close by."""
        if self.agreed >= _SURE:
            self._due, self._since = self.place + 1, end - self.edits.leave()
        else:
            self.edits.leave()
        self.place, self.agreed = self._longest(tokens, end, before)
        if end - self._since >= _NEAR:
            self._due = -1
        if self.place < 0 and self._due >= 0:
            self.place, self.agreed = self._near(tokens, end)

    def _near(self, tokens: Sequence[int], end: int) -> tuple[int, int]:
        """Where the source has this token soon after it was departed from."""
        for place in range(self._due, min(self._due + _NEAR, self._since)):
            if tokens[place] == tokens[end]:
                return place, 1
        return -1, 0

    def _learn(self, tokens: Sequence[int], end: int) -> None:
        """The text is back at its source: what it had instead is known now."""
        back = self.place - self.agreed + 1
        if self._due <= back <= self._due + _NEAR and self._since <= end - self.agreed + 1:
            self.edits.learn(tokens[self._due : back], tokens[self._since : end - self.agreed + 1])
        self._due = -1

    def _longest(self, tokens: Sequence[int], end: int, place: int) -> tuple[int, int]:
        """Among the last places that end in the same run as `end`: where most tokens agree, and how many."""
        best, most = place, _LEAST if place >= 0 else 0
        for _ in range(_PLACES):
            if place < 0 or most >= _LONGEST:
                break
            if place - most >= self._first and tokens[place - most] == tokens[end - most]:
                agreed = self._agreed(tokens, end, place)
                if agreed > most:
                    best, most = place, agreed
            place = self._before[place - self._first]
        return best, most

    def _agreed(self, tokens: Sequence[int], end: int, place: int) -> int:
        agreed, room = _LEAST, min(_LONGEST, place - self._first + 1)
        while agreed < room and tokens[place - agreed] == tokens[end - agreed]:
            agreed += 1
        return agreed

    def following(self, tokens: Sequence[int], limit: int, doubted: Sequence[bool]) -> tuple[list[int], list[int]]:
        """What followed there, with edits but those of a trust that is doubted; a place that reaches up to the text's
        end repeats itself. And of every token how far its edit is trusted, -1 where it is of none."""
        if self.place < 0:
            return [], []
        return self.edits.guess(tokens, self.place + 1, limit, doubted)
