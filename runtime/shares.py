"""Whose the characters of a text are, when some of it is given and the rest left out. Pure."""

from collections import deque
from typing import Generic, TypeVar

T = TypeVar("T")


class Shares(Generic[T]):
    """`add` owners in the order of the text, each with its number of characters; then `take` and `drop` characters from
    the text's beginning. An owner of none shares the fate of the next character: a part of it may be its."""

    def __init__(self) -> None:
        self._owners: deque[tuple[T, int]] = deque()  # with how many characters that were neither taken nor dropped
        self._began = False  # whether some of the first one's were taken

    def add(self, owner: T, length: int) -> None:
        self._owners.append((owner, length))

    def take(self, count: int) -> list[tuple[T, int]]:
        """The owners of so many characters of whom none was taken before, with how many they had left."""
        return self._use(count, True)

    def drop(self, count: int) -> None:
        self._use(count, False)

    def _use(self, count: int, taken: bool) -> list[tuple[T, int]]:
        found: list[tuple[T, int]] = []
        while count and self._owners:
            owner, left = self._owners[0]
            if taken and not self._began:
                found.append((owner, left))
            if left > count:
                self._owners[0] = owner, left - count
                self._began = self._began or taken
                return found
            self._owners.popleft()
            self._began = False
            count -= left
        return found
