"""What a front and a worker say to each other: a closed, versioned set of records, one per frame, as msgpack. Pure.

Whoever decodes trusts nothing: an unknown record or field, a wrong type, a number out of bounds is a LinkError. A
frame's size bounds the memory that decoding takes.

The front begins with `Hello`; the worker answers with `Loading` until it is `Ready`. From then on every request with an
`id` gets exactly one answer that ends it: `Failed`, or the one its docstring names. The front numbers its requests and
never uses a number twice.
"""

from functools import cache
from typing import Annotated, Any, Literal, TypeAlias

import msgspec

from ..errors import STATUS, AccelError, LinkError, UsageError
from ..offload.curves import HitCurves
from .figures import Count, DrafterUse, LayerUse, Seconds, Timings, Usage
from .law import Law
from .text import Markers

VERSION = 8
MOST_PARTS = 2**16  # of one prompt
MOST_CHANCES = 20  # tokens whose probability is told beside that of the one chosen
KINDS: dict[str, type[AccelError]] = {kind.__name__: kind for kind in STATUS}
_MOST_WORDS = 2000  # characters of an error's line

Id: TypeAlias = Annotated[int, msgspec.Meta(ge=0, lt=2**53)]
Token: TypeAlias = Annotated[int, msgspec.Meta(ge=0, lt=2**31)]
Tokens: TypeAlias = Annotated[tuple[Token, ...], msgspec.Meta(max_length=2**21)]
Name: TypeAlias = Annotated[str, msgspec.Meta(min_length=1, max_length=200)]
Path: TypeAlias = Annotated[str, msgspec.Meta(min_length=1, max_length=4096, pattern="^[^\0]+$")]
Stops: TypeAlias = Annotated[tuple[str, ...], msgspec.Meta(max_length=64)]

# Text in which control tokens count as such (a template's output), or the very tokens of an earlier answer. Each part
# is tokenized by itself: a control token's spelling that two parts share is text.
Part: TypeAlias = str | Tokens
Prompt: TypeAlias = Annotated[tuple[Part, ...], msgspec.Meta(min_length=1, max_length=MOST_PARTS)]
Reason: TypeAlias = Literal["end", "stop", "length", "context", "cancelled"]


class Record(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag=True):
    """What all messages are."""


class Hello(Record, frozen=True):
    """The first of a front's messages; the same in every version."""

    version: int = VERSION


class GrammarSource(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What an answer must look like."""

    kind: Literal["json_schema", "regex", "lark", "gbnf"]
    text: str


class Generate(Record, frozen=True):
    """Answer a prompt: `Started`, `Prefilled`..., `Text` and `Drafting`..., then `Finished`."""

    id: Id
    conversation: Name | None  # what is cached of it is not forwarded again; None: of whatever begins alike
    prompt: Prompt
    law: Law
    most: Annotated[int, msgspec.Meta(ge=1)] | None = None  # tokens of the answer
    stops: Stops = ()
    thoughts: Markers | None = None
    thinking: bool = False  # whether the prompt has opened a thought
    grammar: GrammarSource | None = None
    chances: Annotated[int, msgspec.Meta(ge=0, le=MOST_CHANCES)] | None = None  # of how many tokens at every place


class Cancel(Record, frozen=True):
    """End the request with this number; what it was ends with `Finished`, reason "cancelled", if it ends so."""

    id: Id


class Encode(Record, frozen=True):
    """What a prompt is in tokens: `Encoded`."""

    id: Id
    prompt: Prompt


class Embed(Record, frozen=True):
    """What the model makes of a text, as a vector: `Embedded`."""

    id: Id
    prompt: Prompt


class Save(Record, frozen=True):
    """Write what is cached of a conversation to a file of the worker's machine: `Saved`."""

    id: Id
    conversation: Name
    path: Path


class Load(Record, frozen=True):
    """Take a conversation's cache from such a file: `Loaded`, or Failed(StateError) and nothing is cached of it."""

    id: Id
    conversation: Name
    path: Path


class Forget(Record, frozen=True):
    """Let a conversation's cache go, or without one all that is cached of texts that do not run: `Forgotten`."""

    id: Id
    conversation: Name | None


class Measure(Record, frozen=True):
    """Time forwards of several numbers of rows: `Measured`. What is cached of conversations may go."""

    id: Id
    seconds: Annotated[float, msgspec.Meta(gt=0, le=60)]  # for all of it


class Route(Record, frozen=True):
    """Write so many tokens of any text, or as many as there is time for, and tell which experts they used:
    `Routing`..., then `Routed`. All of it goes to a file of the worker's machine where one is named. What is cached of
    conversations may go."""

    id: Id
    tokens: Annotated[int, msgspec.Meta(ge=1, le=2**20)]
    seconds: Annotated[float, msgspec.Meta(gt=0, le=3600)]
    path: Path | None = None


class Survey(Record, frozen=True):
    """`Statistics`, please."""

    id: Id


class Ping(Record, frozen=True):
    """`Pong` at once, whatever is computed."""

    id: Id


class Shutdown(Record, frozen=True):
    """End; there is no answer."""


class Loading(Record, frozen=True):
    """How far the model is loaded, 0 to 1."""

    fraction: float


class Ready(Record, frozen=True):
    """The model is loaded. The template is the model file's own, and as hostile as the file."""

    version: int
    pid: Count
    engine: str
    model: str
    fingerprint: str
    context: Count  # positions that all conversations share, and one may fill
    sequences: Count  # conversations that stay cached
    vocabulary: Count
    template: str
    bos: str
    eos: str
    ends: Tokens
    controls: tuple[str, ...]  # spellings of control tokens
    saves: bool  # whether Save and Load work
    embeds: Count  # numbers of a vector that Embed gives; 0 where it gives none
    seconds: Seconds  # that loading took


class Started(Record, frozen=True):
    """A request's turn has come: of its prompt's tokens so many are cached, the others are forwarded now."""

    id: Id
    prompt: Count
    reused: Count


class Prefilled(Record, frozen=True):
    """`done` of the `total` rows that were to be forwarded."""

    id: Id
    done: Count
    total: Count


class Chance(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How likely a token was: the natural logarithm of its probability, before any cut, penalty or temperature; and
    the likeliest at that place, the most likely first. `length`: characters of the text, from where the token begins to
    be told; of a character that several tokens spell, those before the last have none."""

    piece: bytes
    log: float
    best: tuple[tuple[bytes, float], ...] = ()
    length: Count = 0


class Text(Record, frozen=True):
    """The answer goes on. `tokens` is how many were chosen until now; `chances` of those whose text begins here, where
    they were asked for."""

    id: Id
    text: str
    thought: bool
    tokens: Count
    chances: tuple[Chance, ...] = ()


class Drafting(Record, frozen=True):
    """An answer is drafted for otherwise from here on: `why` says by whom, or why not. Its text is the same."""

    id: Id
    why: str


class Finished(Record, frozen=True):
    """`tokens` are the answer's own, without the one that ended the turn. Where a stop string ended it they include
    the stop, which the text does not."""

    id: Id
    reason: Reason
    tokens: Tokens
    usage: Usage
    timings: Timings
    stop: str = ""  # that ended it


class Failed(Record, frozen=True):
    """A request that cannot be answered; id 0 concerns the whole link. `kind` is a class of errors.py."""

    id: Id
    kind: str
    what: str
    do: str

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ValueError(f"there is no error '{self.kind[:40]}'")


class Encoded(Record, frozen=True):
    id: Id
    tokens: Tokens


class Embedded(Record, frozen=True):
    """`vector`: float32, the lowest byte first, of length 1. `tokens`: how many the text has."""

    id: Id
    tokens: Count
    vector: bytes


class Saved(Record, frozen=True):
    id: Id
    positions: Count
    size: Count


class Loaded(Record, frozen=True):
    id: Id
    positions: Count


class Forgotten(Record, frozen=True):
    id: Id


class Measured(Record, frozen=True):
    """Seconds of one forward for each number of rows."""

    id: Id
    rows: tuple[Count, ...]
    seconds: tuple[Seconds, ...]


class Routing(Record, frozen=True):
    """How far the recording is, 0 to 1."""

    id: Id
    done: Annotated[float, msgspec.Meta(ge=0, le=1)]


class Routed(Record, frozen=True):
    """What keeping some of the experts would have been worth for `tokens` tokens."""

    id: Id
    tokens: Count
    curves: HitCurves


class Statistics(Record, frozen=True):
    """Since the worker is ready: `forwards`, `rows`, `generated`, `read`, `experts`, `drafters` and `prompts_hits`; the
    others now."""

    id: Id
    forwards: Count
    rows: Count  # forwarded
    generated: Count
    running: Count  # requests
    waiting: Count  # requests
    positions: Count  # cached
    context: Count
    anonymous: Count  # bytes that the process holds
    mapped: Count  # bytes of files that are in memory for it
    pinned: Count = 0  # bytes that stay in place: of a model whose experts are read as they are needed
    read: Count = 0  # bytes of experts
    experts: Annotated[tuple[LayerUse, ...], msgspec.Meta(max_length=4096)] = ()  # of every layer that has some
    drafted: Count = 0  # tokens that were guessed and verified
    stood: Count = 0  # of them
    drafting: str = ""  # what is drafted now, and why
    drafters: Annotated[tuple[DrafterUse, ...], msgspec.Meta(max_length=64)] = ()
    prompts: Count = 0  # that no sequence holds and that are kept
    prompts_in_memory: Count = 0  # bytes
    prompts_on_disk: Count = 0  # bytes
    prompts_hits: Count = 0  # times that one came back


class Pong(Record, frozen=True):
    id: Id


Request: TypeAlias = (
    Hello | Generate | Cancel | Encode | Embed | Save | Load | Forget | Measure | Route | Survey | Ping | Shutdown
)  # fmt: skip
Event: TypeAlias = (
    Loading | Ready | Started | Prefilled | Text | Finished | Failed | Encoded | Embedded | Saved | Loaded | Forgotten
    | Measured | Routing | Routed | Statistics | Pong | Drafting
)  # fmt: skip

encode = msgspec.msgpack.Encoder().encode


def decode_request(frame: bytes) -> Request:
    """What a front says. Raises LinkError."""
    return _decode(_requests(), frame)


def check_request(frame: bytes) -> None:
    """Raises UsageError for a request that a worker would not take."""
    try:
        _requests().decode(frame)
    except (msgspec.DecodeError, RecursionError) as error:
        raise UsageError(f"a worker cannot be asked so: {error}", "see `messages.py` for what it takes") from error


def decode_event(frame: bytes) -> Event:
    """What a worker says. Raises LinkError."""
    return _decode(_events(), frame)


def failed(id: int, error: AccelError) -> Failed:
    """An error as it travels: its nearest class of errors.py, and its words."""
    kind = next(kind for kind in type(error).__mro__ if kind in STATUS)
    return Failed(id, kind.__name__, plain(error.what)[:_MOST_WORDS], plain(error.do)[:_MOST_WORDS])


def plain(text: str) -> str:
    """A text that can travel: what is no character becomes a question mark."""
    return text.encode(errors="replace").decode()


def error_of(message: Failed) -> AccelError:
    """The error back."""
    return KINDS[message.kind](message.what, message.do)


@cache
def _requests() -> "msgspec.msgpack.Decoder[Request]":
    return msgspec.msgpack.Decoder(Request)


@cache
def _events() -> "msgspec.msgpack.Decoder[Event]":
    return msgspec.msgpack.Decoder(Event)


def _decode(decoder: "msgspec.msgpack.Decoder[Any]", frame: bytes) -> Any:
    try:
        return decoder.decode(frame)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, AccelError) as error:
        raise LinkError(f"a message that is none of ours: {error}", "use the same version at both ends") from error
