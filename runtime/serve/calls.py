"""An answer's text as it comes, with the calls of tools in it taken out. Pure."""

from collections.abc import Sequence

from ..messages import Chance
from ..shares import Shares
from .asked import Call, Words
from .tool_format import ToolFormat

_LONGEST = 2**20  # characters of calls


class CallReader:
    """`push` every text, with the chances of the tokens that begin in it; then `finish`. What comes does not depend on
    how the text was cut, and words come with the chances of their own tokens.

    What looks like a call is held back until it is one; what turns out to be none is text, as it stands. White space
    around a call is no part of the answer. `opened`: the prompt ended in what stands before a call.
    """

    def __init__(self, format: ToolFormat, tools: frozenset[str], opened: bool = False) -> None:
        self._format, self._tools = format, tools
        self._begin, self._end = format.begin, format.end
        self._held = ""  # of which is not known yet what it is
        self._chances = Shares[Chance]()  # of `_before` and what is held
        self._calling = opened
        self._before = ""  # white space and marker of what may be a call
        self._plain = False  # something was said
        self._after_call = False  # and nothing was since
        self.called = False

    def push(self, text: str, chances: Sequence[Chance] = ()) -> list[Words | Call]:
        self._held += text
        for chance in chances:
            self._chances.add(chance, chance.length)
        found: list[Words | Call] = []
        more = bool(self._held)
        while more:
            more = self._read_call(found) if self._calling else self._read_text(found)
        return found

    def finish(self) -> list[Words | Call]:
        """Nothing can complete what is held any more."""
        found: list[Words | Call] = []
        if self._calling:
            self._end_call(self._held, "", found)
        elif self._held.strip() or not self._after_call:
            self._say(self._held, found)
        self._held = ""
        return found

    def _read_text(self, found: list[Words | Call]) -> bool:
        """Says what is certain; whether a call has begun."""
        if self._after_call:
            text = self._held.lstrip()
            self._chances.drop(len(self._held) - len(text))
            self._held = text
        at = self._held.find(self._begin) if self._begin else self._start()
        if at >= 0:
            text = self._held[:at].rstrip()
            self._say(text, found)
            self._before = self._held[len(text) : at] + self._begin
            self._held = self._held[at + len(self._begin) :]
            self._calling = True
            return True
        certain = len(self._held) - (_unfinished(self._held, self._begin) if self._begin else self._undecided())
        certain = len(self._held[:certain].rstrip())  # white space may stand before a call
        self._say(self._held[:certain], found)
        self._held = self._held[certain:]
        return False

    def _start(self) -> int:
        """Where a call begins that nothing stands before: at the answer's first letter, or nowhere."""
        start = self._held.lstrip()
        begins = bool(start) and not self._plain and self._format.begins(start, self._tools)
        return len(self._held) - len(start) if begins else -1

    def _undecided(self) -> int:
        start = self._held.lstrip()
        early = not start or self._format.begins(start, self._tools) is None
        return len(self._held) if early and not self._plain else 0

    def _read_call(self, found: list[Words | Call]) -> bool:
        """Whether a call has ended, and there may be more."""
        at = self._held.find(self._end) if self._end else -1
        if at < 0 and len(self._held) <= _LONGEST:
            return False
        at, end = (at, at + len(self._end)) if at >= 0 else (len(self._held), len(self._held))
        self._end_call(self._held[:at], self._held[at:end], found)
        self._held = self._held[end:]
        return bool(self._held)

    def _end_call(self, text: str, close: str, found: list[Words | Call]) -> None:
        self._calling = False
        calls = self._format.calls(text, self._tools)
        if calls:
            found += calls
            self._chances.drop(len(self._before) + len(text) + len(close))
            self.called = self._after_call = True
        else:
            self._say(f"{self._before}{text}{close}", found)

    def _say(self, text: str, found: list[Words | Call]) -> None:
        if text:
            chances = tuple(chance for chance, _ in self._chances.take(len(text)))
            found.append(Words(text, chances=chances))
            self._after_call = False
            self._plain = True


def _unfinished(text: str, word: str) -> int:
    """Length of the longest end of a text that begins the word."""
    return next((length for length in range(min(len(text), len(word) - 1), 0, -1) if text.endswith(word[:length])), 0)
