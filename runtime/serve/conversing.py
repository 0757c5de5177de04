"""An answer within a kept conversation: which message it answers, what the model is shown of the rest, what is kept."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Any

import msgspec

from ...errors import Cancelled, UsageError
from .. import history
from ..open import wishes
from .asked import Asked, Ended, Piece, Reading, Words
from .conversations import Conversation, Message
from .daemon import Daemon
from .hosts import Served
from .running import Running

_FULL = "The context is full, so the answer ends here; the oldest messages go with your next one."


@dataclass(frozen=True, slots=True)
class Turn:
    """A question and its place: messages from `at` on give way to it and its answer."""

    at: int
    question: Message
    tries: int = 0  # answers to it before this one


def turn_of(kept: Conversation, text: str, replace: int | None = None, retry: bool = False) -> Turn:
    """A new message of the user's, another text for message `replace`, or the last one again. A last message that got
    no answer gives way to a new one. Raises UsageError for what cannot be meant."""
    messages = kept.messages
    unanswered = len(messages) % 2
    if retry:
        if not messages:
            raise UsageError("there is nothing to answer again", "ask something first")
        at = len(messages) - 2 + unanswered
        return Turn(at, messages[at], 0 if unanswered else messages[-1].tries + 1)
    if not text.strip():
        raise UsageError("the message is empty", "write something")
    if replace is None:
        return Turn(len(messages) - unanswered, Message("user", text))
    if not 0 <= replace < len(messages) or replace % 2:
        raise UsageError(f"message {replace} is none of the user's", "open the conversation again")
    return Turn(replace, Message("user", text))


async def answered(
    daemon: Daemon, id: str, running: Running, text: str, replace: int | None, retry: bool
) -> AsyncGenerator[dict[str, Any]]:
    """The page's events of an answer. A question is kept at once, unless others must give way to it: those go once the
    answer has begun. What was answered is kept, however it ends. Raises what the store and `Daemon.pieces` raise."""
    store = daemon.conversations
    with store.answering(id, running):
        kept = await asyncio.to_thread(store.get, id)
        turn = turn_of(kept, text, replace, retry)
        if turn.at >= len(kept.messages) - 1:
            await asyncio.to_thread(store.put, id, turn.at, (turn.question,))
        async with daemon.hosts.use(running.model) as served:
            before = _before(kept, turn, served)
            shown = await asyncio.to_thread(_fitted, before, served, daemon.settings.max_tokens)
            if (gone := shown.forgotten - before.forgotten) > 0:
                yield _notice(f"The context is full: the model no longer sees the {gone} oldest messages.")
            answer = _Answer()
            try:
                async with aclosing(daemon.pieces([_asked(daemon, shown, turn)], running)) as pieces:
                    async for _, piece in pieces:
                        answer.add(piece)
                        if event := _event(piece):
                            yield event
            except Cancelled:  # before its turn came
                pass
            finally:
                if found := answer.message(turn.tries):
                    messages = (turn.question, found)
                    await asyncio.to_thread(store.put, id, turn.at, messages, shown.model, shown.forgotten)
        if answer.reason == "context":
            yield _notice(_FULL)
        yield answer.ended_event()


@dataclass(slots=True)
class _Answer:
    """What was said of one."""

    text: list[str] = field(default_factory=list)
    thought: list[str] = field(default_factory=list)
    ended: Ended | None = None

    @property
    def reason(self) -> str:
        return self.ended.reason if self.ended else "cancelled"

    def add(self, piece: Piece) -> None:
        if isinstance(piece, Words):
            (self.thought if piece.thought else self.text).append(piece.text)
        elif isinstance(piece, Ended):
            self.ended = piece

    def message(self, tries: int) -> Message | None:
        """None where it had not begun."""
        text, thought, ended = "".join(self.text), "".join(self.thought), self.ended
        if not text and not thought and (not ended or (not ended.tokens and ended.reason == "cancelled")):
            return None
        more_than_text = thought or self.reason == "stop"  # then the tokens are not those of the text
        tokens = ended.tokens if ended and not more_than_text else ()
        return Message("assistant", text, thought, tokens, self.reason, tries)

    def ended_event(self) -> dict[str, Any]:
        usage, timings = (self.ended.usage, self.ended.timings) if self.ended else (None, None)
        return {"type": "ended", "reason": self.reason, "usage": usage, "timings": timings}


def _before(kept: Conversation, turn: Turn, served: Served) -> history.Conversation:
    """The conversation up to and with the question, for the model that is served now."""
    said = tuple(history.Message(each.role, each.content, each.tokens) for each in kept.messages[: turn.at])
    found = history.Conversation(kept.fingerprint, kept.system, said, min(kept.forgotten, turn.at))
    return found.of_model(served.ready.fingerprint).add(history.Message("user", turn.question.content))


def _fitted(before: history.Conversation, served: Served, most: int | None) -> history.Conversation:
    """Not for the event loop."""

    def count(conversation: history.Conversation) -> int:
        prompt = served.template.segments(_shown(conversation))
        return len(served.opened.worker.encode(prompt)) if prompt else 0

    return history.fitted(before, served.ready.context, most, count, history.most_tokens(before.prompt()))


def _asked(daemon: Daemon, shown: history.Conversation, turn: Turn) -> Asked:
    wished = wishes(daemon.settings)
    law = msgspec.structs.replace(wished.law, seed=(wished.law.seed + turn.tries) % 2**64)
    return Asked(law, messages=tuple(_shown(shown)), most=wished.most, stops=wished.stops)


def _shown(conversation: history.Conversation) -> list[dict[str, Any]]:
    return [msgspec.structs.asdict(message) for message in conversation.prompt()]


def _event(piece: Piece) -> dict[str, Any] | None:
    if isinstance(piece, Reading):
        return {"type": "reading", "done": piece.done, "total": piece.total}
    return {"type": "text", "text": piece.text, "thought": piece.thought} if isinstance(piece, Words) else None


def _notice(text: str) -> dict[str, Any]:
    return {"type": "notice", "text": text}
