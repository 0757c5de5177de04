"""What is put in the place of what while a text is copied: a variable's new name, another word for the same.

An edit is learned where the text departs from its source and comes back to it, and holds for the same tokens of the
source from then on, until the text keeps them.
"""

from collections.abc import Sequence
from dataclasses import dataclass

_LONGEST = 8  # tokens, of either side
_MOST = 1024  # edits of one text, the last ones
TRUSTED = 3  # times that an edit held, beyond which it is trusted no more


@dataclass(slots=True)
class Edit:
    old: tuple[int, ...]
    new: tuple[int, ...]
    held: int = 0  # times


class Edits:
    """Of one text and all its sources. While it is `within` an edit, a text has written its first tokens."""

    __slots__ = ("_known", "_within", "_written")

    def __init__(self) -> None:
        self._known: dict[int, Edit] = {}  # by the first of its old tokens
        self._within: Edit | None = None
        self._written = 0

    @property
    def learned(self) -> int:
        """How many are known."""
        return len(self._known)

    def learn(self, old: Sequence[int], new: Sequence[int]) -> None:
        if 0 < len(old) <= _LONGEST and len(new) <= _LONGEST:
            self._known.pop(old[0], None)
            self._known[old[0]] = Edit(tuple(old), tuple(new))
            if len(self._known) > _MOST:
                del self._known[next(iter(self._known))]

    def follow(self, tokens: Sequence[int], place: int, end: int) -> int | None:
        """A source was copied up to `place` when the text got its token at `end`: the place that it is copied up to
        now, before `end`, or None where the token is neither the source's next nor an edit's."""
        token = tokens[end]
        if edit := self._within:
            return self._go_on(edit, place) if edit.new[self._written] == token else None
        edit = self._at(tokens, place + 1, end)
        if tokens[place + 1] == token:
            if edit and edit.new[:1] != (token,):
                del self._known[edit.old[0]]  # it was not made here
            elif edit:
                return self._go_on(edit, place)
            return place + 1
        if edit and edit.new[:1] == (token,):
            return self._go_on(edit, place)
        if edit and not edit.new and (after := place + 1 + len(edit.old)) < end and tokens[after] == token:
            edit.held = min(edit.held + 1, TRUSTED)
            return after
        return None

    def leave(self) -> int:
        """The text departs from its source, and from any edit that it was within; how much of that it had written."""
        written = self._written if self._within else 0
        self._within = None
        return written

    def guess(
        self, tokens: Sequence[int], place: int, limit: int, doubted: Sequence[bool]
    ) -> tuple[list[int], list[int]]:
        """What comes next where a source is copied from `place` on, and of every token how far the edit that it is of
        is trusted; -1 where it is of none. Whether edits are doubted goes by that."""
        found: list[int] = []
        trusts: list[int] = []
        if edit := self._within:
            found += edit.new[self._written :]
            trusts += [edit.held] * len(found)
            place += len(edit.old)
        size = len(tokens)
        while len(found) < limit and place < size + len(found):
            edit = self._at(tokens, place, size)
            if edit and not doubted[edit.held]:
                found += edit.new
                trusts += [edit.held] * len(edit.new)
                place += len(edit.old)
            else:
                found.append(tokens[place] if place < size else found[place - size])
                trusts.append(-1)
                place += 1
        return found[:limit], trusts[:limit]

    def _go_on(self, edit: Edit, place: int) -> int:
        """One more token of an edit is written."""
        self._written = self._written + 1 if self._within else 1
        self._within = edit
        if self._written < len(edit.new):
            return place
        self._within = None
        edit.held = min(edit.held + 1, TRUSTED)
        return place + len(edit.old)

    def _at(self, tokens: Sequence[int], place: int, end: int) -> Edit | None:
        """The edit of the source's tokens there, all of them before `end`."""
        if not self._known or place >= end or not (edit := self._known.get(tokens[place])):
            return None
        whole = place + len(edit.old) <= end and tuple(tokens[place : place + len(edit.old)]) == edit.old
        return edit if whole else None
