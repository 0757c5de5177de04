"""Which texts run and which wait: they get sequences in their order as there is room, and step back without it.

Where a prompt begins as one that is being read, it waits until that is read so far, and shares what was: what many
prompts have in common is forwarded once.
"""

import time
from collections import deque
from collections.abc import Callable

from .prefix import common_prefix
from .schedule import Pace, next_rows, passed_over
from .sequences import Sequences
from .stream import Stream

_WORTH_WAITING = 32  # tokens that somebody else is about to have forwarded


class Admission:
    """`running` and `waiting`, each in its order. Not for two threads."""

    def __init__(self, sequences: Sequences, most: int, shares: bool, started: Callable[[Stream], None]) -> None:
        """`most` may run at once; `shares`: whether any part of a sequence can be; `started` is told of each that
        runs for the first time."""
        self._sequences = sequences
        self._most = most
        self._shares = shares
        self._started = started
        self.running: list[Stream] = []
        self.waiting: deque[Stream] = deque()
        self._crowded = False  # there was less room than the engine said: who stepped back waits until someone leaves

    def add(self, stream: Stream) -> None:
        self.waiting.append(stream)

    def next_rows(self, pace: Pace) -> list[tuple[Stream, int]]:
        """Who gets how many rows of the next forward; those that wait may have come to run."""
        if self.waiting and not (self._crowded and self.running):
            self._admit()
        decoding = sum(stream.decoding for stream in self.running)
        shares = next_rows(self.running, pace.rows(decoding, len(self.running) - decoding))
        for stream, rows in passed_over(self.running, shares):
            stream.passed += rows
        return shares

    def leave(self, stream: Stream) -> None:
        """It is answered; its cache stays."""
        self._crowded = False
        if stream.seat:
            self.running.remove(stream)
            self._sequences.release(stream.seat, stream.tokens[: stream.done], len(stream.tokens))
        else:
            self.waiting.remove(stream)

    def lose(self, stream: Stream) -> None:
        """It failed: nothing of its cache is trusted any more."""
        self._crowded = False
        if stream.seat:
            self.running.remove(stream)
            self._sequences.drop(stream.seat, len(stream.tokens))

    def make_room(self) -> bool:
        """For what is promised: caches of others go, then the text that came last steps back; whether one did."""
        sequences, before = self._sequences, len(self.running)
        while sequences.promised + sequences.idle > sequences.context and not sequences.make_room():
            self._step_back()
        return len(self.running) < before

    def squeeze(self) -> bool:
        """The engine found no room where there should be some: one cache or text less; whether there was one."""
        if self._sequences.make_any_room():
            return True
        if len(self.running) < 2:
            return False
        self._crowded = True
        self._step_back()
        return True

    def _step_back(self) -> None:
        stream = max(self.running, key=lambda stream: stream.ticket.arrived)
        self.running.remove(stream)
        if stream.seat:
            self._sequences.drop(stream.seat, len(stream.tokens))
        stream.seat, stream.done, stream.decoding = None, 0, False
        self.waiting.appendleft(stream)

    def _admit(self) -> None:
        """Those that wait, as far as there is room; a conversation's requests one after another."""
        busy = {stream.ticket.request.conversation for stream in self.running} - {None}
        for stream in list(self.waiting):
            if len(self.running) == self._most:
                return
            conversation = stream.ticket.request.conversation
            if conversation in busy or self._is_being_read(stream):
                continue
            found = self._sequences.take(conversation, stream.tokens)
            if not found:
                return
            if conversation is not None:
                busy.add(conversation)
            self.waiting.remove(stream)
            self.running.append(stream)
            stream.seat, stream.done = found
            if not stream.started_at:
                stream.started_at = stream.told_at = time.monotonic()
                stream.reused = stream.done
                self._started(stream)

    def _is_being_read(self, stream: Stream) -> bool:
        """Whether more of its prompt is about to be there than is now."""
        reading = [other for other in self.running if not other.decoding and other.pending] if self._shares else []
        if not reading:
            return False
        least = self._sequences.shared(stream.tokens) + _WORTH_WAITING
        return any(other.done < common_prefix(other.tokens, stream.tokens) >= least for other in reading)
