"""A conversation with a model: what it is shown, what is reused, what goes when the context is full, what is kept.

The worker caches the tokens of a conversation and forwards only those behind the longest common prefix, so a session
shows it the same tokens again: an answer goes back as the very tokens it was made of, and earlier text as it was.
"""

import secrets
from collections.abc import Generator
from dataclasses import dataclass, replace

import msgspec

from ..errors import AccelError, ContextFull, StateError, TemplateError, UsageError
from .history import Conversation, History, Message, fitted, most_tokens
from .law import Law
from .messages import Event, Finished, GrammarSource, Part, Text
from .renderer import Renderer
from .supervisor import Answer, Supervisor
from .template import ChatTemplate

CACHED = "chat"  # the worker's name for what it caches of this conversation


@dataclass(frozen=True, slots=True)
class Notice:
    """Something the user should know about the conversation."""

    text: str


@dataclass(frozen=True, slots=True)
class Wishes:
    """What holds for every answer of a session."""

    law: Law
    most: int | None = None  # tokens
    stops: tuple[str, ...] = ()
    grammar: GrammarSource | None = None  # what an answer must look like


class Session:
    """One conversation. `history` keeps it on disk under `name`; without one nothing is written. A `renderer` that was
    made before the model was loaded saves the time that one takes to start; the session closes it."""

    def __init__(
        self,
        worker: Supervisor,
        wishes: Wishes,
        system: str = "",
        history: History | None = None,
        renderer: Renderer | None = None,
    ) -> None:
        ready = worker.wait()
        self.wishes = wishes
        self.history = history
        self.name = history.new_name() if history else "chat"
        self.conversation = Conversation(ready.fingerprint, system)
        self.last: Finished | None = None
        self._worker = worker
        self._template = ChatTemplate(ready.template, ready.bos, ready.eos, ready.controls, renderer)
        self._unanswered: Message | None = None  # the last question, where it got no answer
        self._answering: Answer | None = None
        self._cancelled = False
        self._used: int | None = 0  # tokens that the conversation takes; None where nobody counted

    def ask(self, text: str) -> Generator[Event | Notice]:
        """Answers a message; what was answered counts even where the iterator is left early or fails.

        Raises ContextFull where the message alone is too long, WorkerDied, TemplateError, EngineError.
        """
        return self._answer(self.conversation, Message("user", text))

    def edit(self, number: int, text: str) -> Generator[Event | Notice]:
        """Puts another text in the place of a message of the user's (0 for the first) and answers it; what was said
        after it is gone. Raises UsageError where there is no such message."""
        if not 0 <= 2 * number < len(self.conversation.messages):
            raise UsageError(f"there is no message {number}", f"there are {len(self.conversation.messages) // 2}")
        self._used = None
        return self._answer(self.conversation.until(2 * number), Message("user", text))

    def retry(self) -> Generator[Event | Notice]:
        """Answers the last message again, with the next seed. Raises UsageError where nothing was asked."""
        before, question = self.conversation, self._unanswered
        if question is None:
            if not before.messages:
                raise UsageError("there is nothing to answer again", "ask something first")
            question, before = before.messages[-2], before.until(len(before.messages) - 2)
        law = self.wishes.law
        self.wishes = replace(self.wishes, law=msgspec.structs.replace(law, seed=(law.seed + 1) % 2**64))
        self._used = None
        return self._answer(before, question)

    def answer(self, text: str) -> str:
        """The whole answer to a message, without thoughts. Raises what `ask` raises."""
        return "".join(event.text for event in self.ask(text) if isinstance(event, Text) and not event.thought)

    def cancel(self) -> None:
        """Ends the answer that is being given, if any; from any thread or signal handler."""
        self._cancelled = True
        if answering := self._answering:  # once: it may end meanwhile
            answering.cancel()

    def set_system(self, text: str) -> None:
        """Another system prompt, from the next message on."""
        self.conversation = self.conversation.with_system(text)
        self._used = None

    def count(self, conversation: Conversation | None = None) -> int:
        """Tokens of what the model would be shown."""
        return len(self._worker.encode(self._prompt(conversation or self.conversation)))

    def _answer(self, before: Conversation, question: Message) -> Generator[Event | Notice]:
        self._cancelled = False
        asked = self._fitted(before.add(question))
        if asked.forgotten > before.forgotten:
            told = asked.forgotten - before.forgotten
            yield Notice(f"the context is full: the model no longer sees the {told} oldest messages")
        text: list[str] = []
        thought = False
        self.last = None
        try:
            with self._generate(asked) as self._answering:
                if self._cancelled:  # before there was anything to cancel
                    self._answering.cancel()
                for event in self._answering:
                    if isinstance(event, Text):
                        text += [] if event.thought else [event.text]
                        thought = thought or event.thought
                    elif isinstance(event, Finished):
                        self.last = event
                    yield event
        finally:
            self._answering = None
            self._keep(before, asked, "".join(text), thought)
            notices = self._save_messages()
        if self.last and self.last.reason == "context":
            yield Notice("the context is full, so the answer ends here; the oldest messages go with your next one")
        yield from notices

    def _generate(self, asked: Conversation) -> Answer:
        prompt = self._prompt(asked)
        thoughts, tail = self._template.thoughts, prompt[-1]
        return self._worker.generate(
            CACHED,
            prompt,
            self.wishes.law,
            most=self.wishes.most,
            stops=self.wishes.stops,
            thoughts=thoughts,
            thinking=bool(thoughts and isinstance(tail, str) and thoughts.opened_by(tail)),
            grammar=self.wishes.grammar,
        )

    def _prompt(self, conversation: Conversation) -> tuple[Part, ...]:
        prompt = self._template.segments([msgspec.structs.asdict(message) for message in conversation.prompt()])
        if not prompt:
            raise TemplateError("the model's chat template makes nothing of the conversation", "use another model file")
        return prompt

    def _keep(self, before: Conversation, asked: Conversation, text: str, thought: bool) -> None:
        """An answer that has begun is part of the conversation, an unanswered question is not."""
        done = self.last
        more_than_text = thought or (done and done.reason == "stop")  # then the tokens are not those of the text
        if text or thought or (done and (done.tokens or done.reason != "cancelled")):
            tokens = done.tokens if done and not more_than_text else ()
            self.conversation, self._unanswered = asked.add(Message("assistant", text, tokens)), None
        else:
            self.conversation, self._unanswered = before, asked.messages[-1]
        self._used = done.usage.prompt + done.usage.generated if done else None

    def _fitted(self, asked: Conversation) -> Conversation:
        longest = None if self._used is None else self._used + most_tokens(asked.messages[-1:])
        return fitted(asked, self._worker.wait().context, self.wishes.most, self.count, longest)

    def _save_messages(self) -> list[Notice]:
        if self.history and self.conversation.messages:
            try:
                self.history.save(self.name, self.conversation)
            except AccelError as error:
                return [Notice(f"this chat is not kept on disk: {error}")]
        return []

    def save(self, name: str = "") -> list[Notice]:
        """Keeps the conversation, and what the worker has cached of it, under `name`, and from now on under it.

        Raises UsageError where sessions are off or the name cannot be one, DiskFull, AccelError.
        """
        if not self.history:
            raise UsageError("this chat is not kept on disk", "start it with --sessions")
        self.history.save(name or self.name, self.conversation)
        self.name = name or self.name
        return self._save_state()

    def _save_state(self) -> list[Notice]:
        if not self.history or not self._worker.pid or not self._worker.wait().saves:  # a new worker has nothing cached
            return []
        try:
            self._worker.save(CACHED, str(self.history.state(self.name)))
        except AccelError as error:
            return [Notice(f"the cache of this chat was not saved: {error}")]
        return []

    def open(self, name: str = "") -> list[Notice]:
        """Goes on with a saved conversation, the last one where no name is given. What cannot be used is told.

        Raises UsageError where there is none; StateError for a damaged one, which is set aside: the session stays as
        it was.
        """
        if not self.history:
            raise UsageError("chats are not kept on disk", "start with --sessions")
        names = self.history.names()
        if not name and not names:
            raise UsageError("no chat was saved yet", "leave out --resume")
        found = self.history.load(name or names[0])
        self.name = name or names[0]
        fingerprint = self._worker.wait().fingerprint
        self.conversation = found.of_model(fingerprint)
        self._used = self._unanswered = None
        self._worker.forget(CACHED)
        if found.model != fingerprint:
            return [Notice(f"'{self.name}' was with another model: this one reads it anew")]
        return self._load_state()

    def _load_state(self) -> list[Notice]:
        if not self.history or not self._worker.wait().saves or not self.history.state(self.name).is_file():
            return []
        try:
            self._worker.load(CACHED, str(self.history.state(self.name)))
        except (StateError, ContextFull) as error:  # it may be of use to an engine that is opened otherwise
            return [Notice(f"the saved cache of '{self.name}' is not used: {error.what}; the chat is read anew")]
        return []

    def close(self) -> list[Notice]:
        """Saves what is worth keeping; the worker goes on."""
        self._template.close()
        if not self.history or not self.conversation.messages:
            return []
        notices = self._save_state()
        self.history.tidy(self.name)
        return notices


def new_seed() -> int:
    return secrets.randbits(32)
