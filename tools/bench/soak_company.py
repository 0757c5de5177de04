"""Who asks a daemon in soak.py: clients that behave, clients that do not, and what each must come to."""

import asyncio
import json
import random
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h11

MANNERS = {  # and how many of a hundred requests have them
    "well": 38,
    "slow": 8,  # the body comes in two pieces
    "leaves before the answer": 8,
    "leaves in mid-answer": 12,
    "leaves in mid-body": 5,
    "cancels": 12,  # DELETE /v1/requests/{id}
    "broken JSON": 4,
    "wrong types": 4,
    "no UTF-8": 3,
    "long prompt": 3,  # longer than the context
    "long body": 2,  # longer than a body may be, announced
    "endless body": 1,  # the same in chunks
}
PATHS = ("/v1/chat/completions", "/v1/completions", "/v1/messages", "/v1/responses")
_REFUSED = {"broken JSON": 400, "wrong types": 400, "no UTF-8": 400, "long prompt": 400}
_REFUSED |= {"long body": 413, "endless body": 413}
_LOST = "the worker was ended by SIGKILL"  # as an error of a lost worker begins; its status is 503
_CANCELLED, _TOO_MUCH = "the request was cancelled", "the prompt has "
_LONG_BODY = 33 * 2**20  # bytes
_MARK = "q-no-utf-8-q"  # what is sent in its place is none
_WORDS = Path(__file__).read_text().split()  # of this very file: text enough


class Fault(Exception):
    """What a daemon must not do."""


@dataclass(frozen=True, slots=True)
class Deed:
    """A request, and how whoever sends it behaves; `pause`: seconds after which the client does what it does."""

    path: str
    body: bytes
    manner: str = "well"
    streamed: bool = False
    pause: float = 0.0

    @property
    def length(self) -> int | None:
        """As it is announced."""
        if self.manner == "endless body":
            return None
        return _LONG_BODY if self.manner == "long body" else len(self.body)

    def parts(self) -> Iterator[bytes]:
        """Of the body, as far as it is sent."""
        half = len(self.body) // 2
        if self.manner == "endless body":
            yield from (b" " * 2**20 for _ in range(_LONG_BODY // 2**20))
        elif self.manner == "slow":
            yield from (self.body[:half], self.body[half:])
        else:
            yield self.body[:half] if self.manner == "leaves in mid-body" else self.body


def deed_of(draw: random.Random, context: int) -> Deed:
    path = draw.choice(PATHS)
    (manner,) = draw.choices(list(MANNERS), list(MANNERS.values()))
    streamed = manner == "leaves in mid-answer" or draw.random() < 0.5
    count = 8 * context if manner == "long prompt" else draw.randint(1, context // 16)
    begun = _WORDS[: context // 32] if draw.random() < 0.3 else []  # what many prompts share
    body = _question(path, " ".join([*begun, *draw.choices(_WORDS, k=count), _MARK]), draw) | {"stream": streamed}
    if manner == "wrong types":
        body |= draw.choice(({"temperature": "warm"}, {"stream": 7}, {"model": [[1]]}))
    raw = json.dumps(body).encode()
    if manner == "broken JSON":
        raw = raw[: draw.randrange(len(raw))]
    if manner == "no UTF-8":
        raw = raw.replace(_MARK.encode(), b"\xff\xfe\x80")
    return Deed(path, raw, manner, streamed, draw.uniform(0.0, 0.3))


def _question(path: str, text: str, draw: random.Random) -> dict[str, Any]:
    most, said = draw.randint(1, 48), [{"role": "user", "content": text}]
    alike = {"temperature": draw.choice((0, 0.8))}
    match path:
        case "/v1/chat/completions":
            json_alone = {"response_format": {"type": "json_object"}}
            more = draw.choice(({}, {}, {"n": 2}, {"logprobs": True}, {"stop": ["zq"]}, json_alone))
            return {"messages": said, "max_tokens": most, **alike, **more}
        case "/v1/completions":
            return {"prompt": text, "max_tokens": most, **alike}
        case "/v1/messages":
            return {"messages": said, "max_tokens": most, **alike}
    return {"input": text, "max_output_tokens": most, **alike}


def judge(deed: Deed, status: int, body: bytes) -> str:
    """What came of a request: "answered", "refused", "busy", "cancelled" or "lost". Raises Fault for anything else."""
    try:
        events = _events(body) if status == 200 and deed.streamed else [json.loads(body)]
        last = events[-1]
        error = last.get("error") if isinstance(last, dict) else None
        if isinstance(last, dict) and last.get("type") == "response.failed":
            error = last["response"]["error"]
        if error:
            return _judge_error(deed, status, error["message"])
        if status == 200 and deed.manner not in _REFUSED and _is_whole(deed, events):
            return "answered"
    except (ValueError, LookupError, TypeError) as wrong:
        raise Fault(f"{status} with a body that cannot be read ({wrong!r}): {body[-100:]!r}") from wrong
    raise Fault(f"{status} with a body that is not whole, ending {body[-100:]!r}")


def _judge_error(deed: Deed, status: int, message: str) -> str:
    told = deed.streamed and status == 200  # as an event, since the answer had begun
    if status == _REFUSED.get(deed.manner) or (told and deed.manner == "long prompt" and message.startswith(_TOO_MUCH)):
        return "refused"
    if message.startswith(_LOST) and (told or status == 503):
        return "lost"
    if message.startswith(_CANCELLED) and deed.manner == "cancels" and (told or status == 499):
        return "cancelled"
    if status == 429:
        return "busy"
    raise Fault(f"{status} {message[:200]}")


def _events(body: bytes) -> list[Any]:
    """Of a stream; "[DONE]" is what ends OpenAI's."""
    found = [line[6:] for line in body.decode().split("\n") if line.startswith("data: ")]
    return [text if text == "[DONE]" else json.loads(text) for text in found]


def _is_whole(deed: Deed, events: list[Any]) -> bool:
    """Whether an answer, or the events of one, came to an end."""
    last = events[-1]
    if deed.path == "/v1/messages":
        return last["type"] == "message_stop" if deed.streamed else bool(last["stop_reason"])
    if deed.path == "/v1/responses":
        return (last["response"] if deed.streamed else last)["status"] in ("completed", "incomplete")
    if deed.streamed and events.pop() != "[DONE]":
        return False
    ended = [choice for event in events for choice in event["choices"] if choice["finish_reason"]]
    return len(ended) == json.loads(deed.body).get("n", 1)


class Client:
    """One connection, made anew where it was closed. Raises OSError, h11.ProtocolError."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._http: h11.Connection | None = None

    async def send(self, method: str, path: str, length: int | None = None, id: str = "") -> None:
        """The head. `length` of the body; None for one that comes in chunks."""
        if self._http is None or self._http.our_state is not h11.IDLE:
            self.close()
            self._reader, self._writer = await asyncio.open_connection("127.0.0.1", self._port)
            self._http = h11.Connection(h11.CLIENT)
        size = ("transfer-encoding", "chunked") if length is None else ("content-length", str(length))
        headers = [("host", "127.0.0.1"), size, *([("x-request-id", id)] if id else [])]
        await self._send(h11.Request(method=method, target=path, headers=headers))

    async def send_body(self, body: bytes) -> None:
        await self._send(h11.Data(data=body))

    async def end_body(self) -> None:
        await self._send(h11.EndOfMessage())

    async def status(self) -> int:
        event = await self._next()
        if isinstance(event, h11.Response):
            return event.status_code
        raise h11.RemoteProtocolError("the connection ended without an answer")

    async def data(self) -> AsyncIterator[bytes]:
        """Of the answer; once it has ended, the connection takes another request, or is closed."""
        while isinstance(event := await self._next(), h11.Data):
            yield bytes(event.data)
        if self._http and self._http.our_state is self._http.their_state is h11.DONE:
            self._http.start_next_cycle()
        else:
            self.close()

    async def ask(self, method: str, path: str, body: bytes = b"") -> tuple[int, bytes]:
        await self.send(method, path, len(body))
        await self.send_body(body)
        await self.end_body()
        return await self.status(), b"".join([part async for part in self.data()])

    def close(self) -> None:
        if self._http:
            self._http = None
            self._writer.close()

    async def _send(self, event: Any) -> None:
        assert self._http
        self._writer.write(self._http.send(event) or b"")
        await self._writer.drain()

    async def _next(self) -> Any:
        assert self._http
        while (event := self._http.next_event()) is h11.NEED_DATA:
            self._http.receive_data(await self._reader.read(2**16))
        return event
