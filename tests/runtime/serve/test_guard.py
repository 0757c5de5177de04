"""Who is let in, and how much of a request is listened to."""

import asyncio
import json
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.types import Message, Receive, Scope, Send

from accel.errors import Misdirected, NotAllowed
from accel.runtime.serve import guard
from accel.runtime.serve.guard import Door, Guard, is_local
from accel.runtime.serve.keys import Keys, add_key, read_keys
from accel.runtime.serve.openai.errors import shown

HERE = {"host": "127.0.0.1:11500"}
LOCAL = Door(Keys(), "token", frozenset({"127.0.0.1"}))


def check(door: Door, method: str = "POST", path: str = "/v1/models", **headers: str) -> None:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    door.check(method, path, Headers({**HERE, **named}))


@pytest.mark.parametrize("host", ["localhost", "localhost:11500", "127.0.0.1", "[::1]:11500", "LocalHost:1"])
def test_this_machine_is_asked_under_its_own_names(host):
    check(LOCAL, host=host)


@pytest.mark.parametrize(
    "host", ["", "evil.example", "evil.example:11500", "127.0.0.1.evil.example", "localhost.evil.example", "[::1", "["]
)
def test_a_name_that_somebody_bound_to_this_machine_is_none_of_its_own(host):
    with pytest.raises(Misdirected):
        check(LOCAL, host=host)


def test_a_daemon_for_others_is_asked_under_any_name_by_who_has_its_key(tmp_path):
    key = add_key(tmp_path / "keys")
    door = Door(read_keys(tmp_path / "keys"), "token", None)
    check(door, host="box.example", authorization=f"Bearer {key}")
    with pytest.raises(NotAllowed):
        check(door, host="box.example")


@pytest.mark.parametrize(
    "headers",
    [
        {"origin": "http://evil.example"},
        {"origin": "null"},
        {"origin": ""},
        {"origin": "http://["},
        {"origin": "http://127.0.0.1:8080"},
        {"origin": "http://127.0.0.1:11500.evil.example"},
        {"sec_fetch_site": "cross-site"},
        {"sec_fetch_site": "same-site"},
    ],
    ids=str,
)
def test_another_sites_page_may_not_ask(headers):
    with pytest.raises(Misdirected):
        check(LOCAL, **headers)


def test_the_daemons_own_page_may_and_links_from_elsewhere_may_lead_to_it():
    check(LOCAL, origin="http://127.0.0.1:11500", sec_fetch_site="same-origin")
    check(LOCAL, method="GET", path="/", sec_fetch_site="cross-site")


def test_a_key_comes_as_openais_or_as_anthropics_clients_send_it(tmp_path):
    key = add_key(tmp_path / "keys")
    door = Door(read_keys(tmp_path / "keys"), "token", frozenset({"127.0.0.1"}), frozenset({"/health"}))
    check(door, authorization=f"Bearer {key}")
    check(door, authorization=f"bearer  {key} ")
    check(door, x_api_key=key)
    check(door, x_accel_token="token")
    check(door, path="/health")
    for wrong in (
        {},
        {"authorization": key},
        {"authorization": "Bearer "},
        {"x_api_key": "token"},
        {"x_accel_token": ""},
    ):
        with pytest.raises(NotAllowed):
            check(door, **wrong)
    with pytest.raises(NotAllowed):
        check(door, authorization="Bearer wrong", x_accel_token="token")


@pytest.mark.parametrize(
    ("host", "local"),
    [("127.0.0.1", True), ("127.9.9.9", True), ("::1", True), ("[::1]", True), ("localhost", True), ("0.0.0.0", False),
     ("::", False), ("", False), ("192.168.1.2", False), ("box.example", False), ("localhost.evil.example", False)],
)  # fmt: skip
def test_beyond_loopback_others_can_reach_it(host, local):
    assert is_local(host) is local


async def echo(scope: Scope, receive: Receive, send: Send) -> None:
    body = await Request(scope, receive).body()
    await PlainTextResponse(str(len(body)))(scope, receive, send)


async def deaf(scope: Scope, receive: Receive, send: Send) -> None:
    await PlainTextResponse("no matter")(scope, receive, send)


class Client:
    """Of one guard: it sends the parts of a body one by one, and keeps the answer."""

    def __init__(self, app: Any = echo, door: Door = LOCAL, **options: Any) -> None:
        self.told: list[tuple[str, int]] = []
        self.guard = Guard(app, door, lambda path: shown, self.hear, **options)

    def hear(self, scope: Scope, status: int) -> None:
        self.told.append((scope["path"], status))

    def ask(self, parts: Sequence[bytes] = (), method: str = "POST", **headers: str) -> tuple[int, dict[str, str], str]:
        return asyncio.run(self.asking(parts, method, 0.0, **headers))

    async def asking(
        self, parts: Sequence[bytes] = (), method: str = "POST", slow: float = 0.0, **headers: str
    ) -> tuple[int, dict[str, str], str]:
        named = {**HERE, **{name.replace("_", "-"): value for name, value in headers.items()}}
        if parts:
            named.setdefault("transfer-encoding", "chunked")
        coming, sent = list(parts), []

        async def receive() -> Message:
            if slow:
                await asyncio.sleep(slow)
            if not coming:
                return {"type": "http.disconnect"} if parts else {"type": "http.request", "body": b""}
            return {"type": "http.request", "body": coming.pop(0), "more_body": bool(coming)}

        async def send(message: Message) -> None:
            sent.append(message)

        raw = [(name.encode(), value.encode()) for name, value in named.items()]
        scope = {"type": "http", "method": method, "path": "/v1/x", "headers": raw, "query_string": b""}
        await self.guard(scope, receive, send)
        start, *rest = sent
        found = {name.decode(): value.decode() for name, value in start["headers"]}
        return start["status"], found, b"".join(each.get("body", b"") for each in rest).decode()


def test_a_body_comes_through_whole():
    status, headers, text = Client().ask([b"abc", b"", b"de"])
    assert (status, text) == (200, "5") and "connection" not in headers


def test_a_body_that_is_said_to_be_too_long_is_not_read():
    status, headers, text = Client(most_body=10).ask([b"x"], content_length="11")
    assert status == 413 and headers["connection"] == "close"
    assert "more than 10" in json.loads(text)["error"]["message"]


def test_a_body_that_turns_out_too_long_is_not_read_to_its_end():
    status, headers, _ = Client(most_body=10).ask([b"12345"] * 3 + [b"never"] * 10)
    assert status == 413 and headers["connection"] == "close"


@pytest.mark.parametrize("length", ["-1", "1e3", "٣", "9" * 400, "0x10"])
def test_a_length_that_is_none_is_refused(length):
    assert Client(most_body=10).ask(content_length=length)[0] == 413


def test_a_body_that_comes_too_slowly_is_given_up(monkeypatch):
    monkeypatch.setattr(guard, "_BODY_SECONDS", 0.05)
    status, headers, _ = asyncio.run(Client().asking([b"x", b"y"], slow=10.0))
    assert status == 408 and headers["connection"] == "close"


def test_who_goes_away_while_sending_is_no_trouble():
    client = Client()

    async def scene() -> None:
        async def receive() -> Message:
            return {"type": "http.disconnect"}

        async def send(message: Message) -> None:
            assert message.get("status") in (None, 499)

        headers = [(b"host", b"localhost"), (b"content-length", b"5")]
        await client.guard({"type": "http", "method": "POST", "path": "/", "headers": headers}, receive, send)

    asyncio.run(scene())
    assert client.told == [("/", 499)]


def test_all_bodies_together_have_a_bound_and_give_their_room_back(monkeypatch):
    monkeypatch.setattr(guard, "_MOST_HELD", 10)

    async def scene() -> None:
        go, held = asyncio.Event(), asyncio.Event()

        async def holds(scope: Scope, receive: Receive, send: Send) -> None:
            await Request(scope, receive).body()
            held.set()
            await go.wait()
            await PlainTextResponse("done")(scope, receive, send)

        client = Client(holds)
        first = asyncio.create_task(client.asking([b"12345678"]))
        await held.wait()
        status, headers, _ = await client.asking([b"12345678"])
        assert status == 429 and int(headers["retry-after"]) >= 1
        go.set()
        assert (await first)[0] == (await client.asking([b"12345678"]))[0] == 200

    asyncio.run(scene())


def test_a_small_body_is_read_to_its_end_before_it_is_answered_so_that_the_answer_arrives():
    for client, status in ((Client(deaf), 200), (Client(), 403)):
        headers = {} if status == 200 else {"origin": "http://evil.example"}
        found, told, _ = client.ask([b"abc", b"de"], content_length="5", **headers)
        assert found == status and "connection" not in told


def test_who_is_answered_before_the_body_was_read_is_not_listened_to_any_more():
    assert Client(deaf).ask([b"x", b"y"])[1]["connection"] == "close"
    assert "connection" not in Client(deaf).ask(method="GET")[1]


@given(st.text(st.characters(max_codepoint=127), max_size=80))
def test_every_answer_carries_its_requests_number_or_one_of_ours(number):
    found = Client(deaf).ask(method="GET", x_request_id=number)[1]["x-request-id"]
    plain = 0 < len(number) <= 64 and all(letter.isalnum() or letter in "_.-" for letter in number)
    assert found == number if plain else found.startswith("req_")


def test_refusals_too_carry_a_number_and_what_keeps_pages_in_bounds():
    client = Client()
    status, headers, text = client.ask(host="evil.example", x_request_id="mine")
    assert status == 403 and headers["x-request-id"] == "mine"
    assert "default-src 'self'" in headers["content-security-policy"] and headers["x-content-type-options"] == "nosniff"
    assert "evil.example" in json.loads(text)["error"]["message"]
    assert client.told == [("/v1/x", 403)]
