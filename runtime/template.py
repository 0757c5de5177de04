"""Conversations -> prompts, by the model's own chat template.

The template writes the control tokens that part one message from the next. What messages say is text, also where it
spells a control token: whoever could type one could speak for the model or for the system prompt.
"""

import re
import secrets
from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any

from ..errors import TemplateError
from .controls import Controls
from .renderer import OTHER, Renderer
from .text import Markers

# What models are given that bring no template; many were trained on it.
CHATML = (
    "{% for message in messages %}<|im_start|>{{ message.role }}\n{{ message.content }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
LONGEST = 2**20  # characters of a template

_THOUGHT = r"[\w:]*(?:think|thought|reason)[\w:]*"
_CLOSING = re.compile(rf"([<\[◁])/({_THOUGHT})([>\]▷])", re.IGNORECASE)
_OPENING = re.compile(rf"([<◁])({_THOUGHT})([>▷])", re.IGNORECASE)  # [think] alone may be the template's own code
_PAIRED = re.compile(rf"(<\|)START_({_THOUGHT})(\|>)", re.IGNORECASE)

Message = Mapping[str, Any]  # role, content and what else the template knows; "tokens" where they are known
Part = str | tuple[int, ...]


class ChatTemplate:
    """A chat template, and what renders it: one made earlier is there sooner. `controls` are the spellings of the
    vocabulary's control tokens. Raises TemplateError where the template is too long, or nothing can render it.
    """

    def __init__(
        self,
        source: str = "",
        bos_token: str = "",
        eos_token: str = "",
        controls: Sequence[str] = (),
        renderer: Renderer | None = None,
    ) -> None:
        if len(source) > LONGEST:
            raise TemplateError(f"the model's chat template has {len(source)} characters", OTHER)
        self.source = source or CHATML
        self.thoughts = thought_markers(self.source)
        self._constants = {"bos_token": bos_token, "eos_token": eos_token}
        self._controls = Controls(controls)
        self._renderer = renderer or Renderer()

    def render(
        self,
        messages: Sequence[Message],
        tools: Sequence[Mapping[str, Any]] | None = None,
        add_generation_prompt: bool = True,
        **variables: Any,
    ) -> str:
        """The prompt of a conversation. Raises TemplateError, with the template's own words where it has some."""
        named = {"messages": messages, "tools": tools, "documents": None}
        named["add_generation_prompt"] = add_generation_prompt
        return self._renderer.render(self.source, self._constants | named | variables)

    def segments(
        self,
        messages: Sequence[Message],
        tools: Sequence[Mapping[str, Any]] | None = None,
        add_generation_prompt: bool = True,
        **variables: Any,
    ) -> tuple[Part, ...]:
        """The prompt, in parts that are tokenized one by one: what messages spell of control tokens is cut, so that it
        stays text, and messages that carry `tokens` stand as these, so that what is cached of them fits. Where a
        template takes no system prompt, the first message of the user's begins with it.

        The template sees marks in the place of both. Where it does not show those of tokens once and in order, messages
        stand as the text of their content instead.
        """
        cut = str(secrets.randbits(128))  # digits, so that it is found again whatever becomes of the letters around it
        messages = self._shown(messages)
        try:
            plain = [self._plain(message, cut) for message in messages]
            given = self._controls.cut_all(tools, cut)
        except RecursionError as error:
            raise TemplateError("a message holds what no template can be given", "use text alone") from error
        marks = {i: secrets.token_hex(16) for i, message in enumerate(messages) if message.get("tokens")}
        while marks:
            marked = [{**message, "content": marks.get(i, message.get("content"))} for i, message in enumerate(plain)]
            text = self.render(marked, given, add_generation_prompt, **variables)
            shown = {i: mark for i, mark in marks.items() if text.count(mark) == 1}
            if len(shown) == len(marks):
                pieces = _split(text, list(marks.values()))
                if pieces is None:
                    break
                parts: list[Part] = []
                for piece, tokens in zip(pieces, [*(messages[i]["tokens"] for i in marks), ()], strict=True):
                    parts += [*piece.split(cut), tuple(tokens)]
                return tuple(part for part in parts if part)
            marks = shown
        return tuple(part for part in self.render(plain, given, add_generation_prompt, **variables).split(cut) if part)

    def close(self) -> None:
        self._renderer.close()

    def _plain(self, message: Message, cut: str) -> dict[str, Any]:
        """What the template sees of a message."""
        shown = {key: value for key, value in message.items() if key != "tokens"}
        return {key: value if key == "role" else self._controls.cut_all(value, cut) for key, value in shown.items()}

    def _shown(self, messages: Sequence[Message]) -> Sequence[Message]:
        """The messages, the system prompt where the template takes one."""
        asked = [message.get("role") for message in messages[:2]] == ["system", "user"]
        words = [message.get("content") for message in messages[:2]] if asked else []
        texts = [text for text in words if isinstance(text, str)]
        if len(texts) < 2 or self._takes_system:
            return messages
        return [{**messages[1], "content": "\n\n".join(texts)}, *messages[2:]]

    @cached_property
    def _takes_system(self) -> bool:
        """Whether it shows a system prompt: one template refuses it, another leaves it out."""
        mark = secrets.token_hex(16)
        try:
            return mark in self.render([{"role": "system", "content": mark}, {"role": "user", "content": "Hello"}])
        except TemplateError:
            return False


def _split(text: str, marks: list[str]) -> list[str] | None:
    """The text around the marks, or None where they stand in another order."""
    pieces: list[str] = []
    for mark in marks:
        before, found, text = text.partition(mark)
        if not found:
            return None
        pieces.append(before)
    return [*pieces, text]


def thought_markers(source: str) -> Markers | None:
    """What opens and closes thoughts, as a template's text shows it; None where it knows of none."""
    if found := _CLOSING.search(source):
        return Markers(found[1] + found[2] + found[3], found[0])
    if found := _PAIRED.search(source):
        return Markers(found[0], f"{found[1]}END_{found[2]}{found[3]}")
    if found := _OPENING.search(source):
        return Markers(found[0], f"{found[1]}/{found[2]}{found[3]}")
    return None
