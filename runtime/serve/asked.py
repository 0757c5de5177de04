"""What every API's request comes to, and the pieces that every API's answer is made of: they know of no protocol."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from ..law import Law
from ..messages import Chance, GrammarSource, Part, Reason, Timings, Usage

MOST_CHOICES = 16  # answers to one request


@dataclass(frozen=True, slots=True)
class Asked:
    """A conversation to go on with, or a `prompt` as it stands. `count` answers are wanted; the first has the law's
    seed, each of the others the next."""

    law: Law
    messages: tuple[Mapping[str, Any], ...] = ()  # for the chat template: role, content and what else it knows
    prompt: tuple[Part, ...] = ()
    tools: tuple[Mapping[str, Any], ...] = ()  # as OpenAI describes functions
    must_call: str | None = None  # a tool's name; "" for any
    most: int | None = None  # tokens of an answer
    stops: tuple[str, ...] = ()
    grammar: GrammarSource | None = None
    chances: int | None = None
    count: int = 1
    variables: Mapping[str, Any] = field(default_factory=dict)  # for the template


@dataclass(frozen=True, slots=True)
class Reading:
    """The prompt has so many tokens, so many of them read or cached."""

    done: int
    total: int


@dataclass(frozen=True, slots=True)
class Words:
    text: str
    thought: bool = False
    chances: tuple[Chance, ...] = ()


@dataclass(frozen=True, slots=True)
class Call:
    """Of a tool, whole; `arguments` is the text of a JSON object."""

    name: str
    arguments: str


@dataclass(frozen=True, slots=True)
class Ended:
    reason: Reason
    usage: Usage
    timings: Timings
    called: bool = False  # whether it called tools
    stop: str = ""  # the one of the stops that ended it
    tokens: tuple[int, ...] = ()  # as `messages.Finished`


Piece: TypeAlias = Reading | Words | Call | Ended
