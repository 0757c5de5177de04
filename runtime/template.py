"""Conversations -> prompts, by the model's own chat template.

A template is a program that came with a model file, so it runs in a process that can do nothing else
(template_process.py): one that loops for ever, fills memory, opens files or reaches for Python's inside is a
TemplateError within a second, whatever it does.
"""

import json
import os
import re
import secrets
import subprocess
import sys
import threading
import weakref
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from ..errors import TemplateError
from .text import Markers

# What models are given that bring no template; many were trained on it.
CHATML = (
    "{% for message in messages %}<|im_start|>{{ message.role }}\n{{ message.content }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
LONGEST = 2**20  # characters of a template
_SCRIPT = Path(__file__).with_name("template_process.py")
_START_SECONDS = 60.0  # until the process is there, on a machine under load
_WALL_SECONDS = 20.0  # for a job that is limited to far less processor time
_UNTIMED_SECONDS = 1.0  # where the system cannot limit processor time
_FIT = "change them as the model wants them"
_DO = "use another model file, or give a template of your own"

_THOUGHT = r"[\w:]*(?:think|thought|reason)[\w:]*"
_CLOSING = re.compile(rf"([<\[◁])/({_THOUGHT})([>\]▷])", re.IGNORECASE)
_OPENING = re.compile(rf"([<◁])({_THOUGHT})([>▷])", re.IGNORECASE)  # [think] alone may be the template's own code
_PAIRED = re.compile(rf"(<\|)START_({_THOUGHT})(\|>)", re.IGNORECASE)

Message = Mapping[str, Any]  # role, content and what else the template knows; "tokens" where they are known
Part = str | tuple[int, ...]


class ChatTemplate:
    """A chat template and the process that renders it, which starts and ends with the object: make it early, and it is
    there when the first text is needed. Raises TemplateError where there can be no such process.
    """

    def __init__(self, source: str = "", bos_token: str = "", eos_token: str = "") -> None:
        if len(source) > LONGEST:
            raise TemplateError(f"the model's chat template has {len(source)} characters", _DO)
        self.source = source or CHATML
        self.thoughts = thought_markers(self.source)
        self._constants = {"bos_token": bos_token, "eos_token": eos_token}
        self._process = _Process()

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
        return self._process.render(self.source, self._constants | named | variables)

    def segments(
        self,
        messages: Sequence[Message],
        tools: Sequence[Mapping[str, Any]] | None = None,
        add_generation_prompt: bool = True,
        **variables: Any,
    ) -> tuple[Part, ...]:
        """The prompt, in which messages that carry `tokens` stand as these, so that what is cached of them fits.

        The template sees a mark instead of such a message's content. Where it does not show every mark once and in
        order, messages stand as the text of their content instead.
        """
        plain = [{key: value for key, value in message.items() if key != "tokens"} for message in messages]
        marks = {i: secrets.token_hex(16) for i, message in enumerate(messages) if message.get("tokens")}
        while marks:
            marked = [{**message, "content": marks.get(i, message.get("content"))} for i, message in enumerate(plain)]
            text = self.render(marked, tools, add_generation_prompt, **variables)
            shown = {i: mark for i, mark in marks.items() if text.count(mark) == 1}
            if len(shown) == len(marks):
                pieces = _split(text, list(marks.values()))
                if pieces is None:
                    break
                tokens: list[Part] = [tuple(messages[i]["tokens"]) for i in marks]
                mixed = [part for pair in zip(pieces, [*tokens, ""], strict=True) for part in pair]
                return tuple(part for part in mixed if part)
            marks = shown
        text = self.render(plain, tools, add_generation_prompt, **variables)
        return (text,) if text else ()

    def close(self) -> None:
        self._process.close()


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


class _Process:
    """One job at a time, from any thread; a process that was killed is followed by another."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._seconds = 0.0  # that a job may take; unknown until the process has said hello
        self._child = self._start()

    def render(self, source: str, variables: Mapping[str, Any]) -> str:
        try:
            job = json.dumps({"source": source, "variables": variables}, default=_plain)
        except (TypeError, ValueError, RecursionError) as error:
            raise TemplateError(f"a message holds what no template can be given: {error}", "use text alone") from error
        with self._lock:
            if self._child.poll() is not None:
                self._child = self._start()
            if not self._seconds:
                self._greet()
            answer = self._ask(job, self._seconds)
        if answer is None:
            raise TemplateError("the model's chat template does not come to an end", _DO)
        if "refused" in answer:
            raise TemplateError(f"the model does not take these messages: {_line(str(answer['refused']))}", _FIT)
        if not isinstance(answer.get("text"), str):
            raise TemplateError(f"the model's chat template {_line(str(answer.get('error')))}", _DO)
        return answer["text"]

    def close(self) -> None:
        with self._lock:
            _end(self._child)

    def _start(self) -> "subprocess.Popen[str]":
        kept = {name: os.environ[name] for name in ("SYSTEMROOT",) if name in os.environ}  # Windows needs it to start
        path = os.pathsep.join(place for place in sys.path if place)
        try:
            child = subprocess.Popen(
                [sys.executable, "-P", str(_SCRIPT)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                env={"PYTHONPATH": path, "PYTHONUTF8": "1", **kept},
                encoding="utf-8",
                start_new_session=True,  # Ctrl-C at a terminal is for us
            )
        except OSError as error:
            raise TemplateError(f"no process for the chat template: {error}", "free memory or processes") from error
        weakref.finalize(self, _end, child)
        self._seconds = 0.0
        return child

    def _greet(self) -> None:
        hello = self._ask("", _START_SECONDS)
        if hello is None:
            raise TemplateError("the process for the chat template does not start", "install accel again")
        self._seconds = _WALL_SECONDS if hello.get("timed") else _UNTIMED_SECONDS

    def _ask(self, job: str, seconds: float) -> dict[str, Any] | None:
        """The answer, or None where the process ended over it."""
        child = self._child
        assert child.stdin and child.stdout
        watch = threading.Timer(seconds, child.kill)
        watch.daemon = True
        watch.start()
        try:
            if job:
                child.stdin.write(job + "\n")
                child.stdin.flush()
            answer = json.loads(child.stdout.readline())
        except (OSError, ValueError):
            answer = None
        finally:
            watch.cancel()
        if isinstance(answer, dict):
            return answer
        _end(child)
        return None


def _end(child: "subprocess.Popen[str]") -> None:
    child.kill()
    child.wait()
    for stream in (child.stdin, child.stdout):
        with suppress(OSError):  # what it had not read of a job is lost with it
            if stream:
                stream.close()


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return dict(value)
    raise TypeError(f"a {type(value).__name__}")


def _line(words: str) -> str:
    """On one line, at most as long as a message should be."""
    return " ".join(words.split())[:300]
