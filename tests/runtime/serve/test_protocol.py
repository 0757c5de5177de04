"""Clients that hold connections and say nothing."""

import asyncio
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack

import pytest
import uvicorn
from starlette.responses import PlainTextResponse
from starlette.types import Receive, Scope, Send

from accel.runtime.serve import protocol
from accel.runtime.serve.protocol import Protocol
from accel.runtime.serve.run import listen

ASK = b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"
SLOW = ASK.replace(b"/ ", b"/slow ")
go, begun = threading.Event(), threading.Semaphore(0)


async def app(scope: Scope, receive: Receive, send: Send) -> None:
    if scope["path"] == "/slow":
        begun.release()
        while not go.is_set():
            await asyncio.sleep(0.005)
    await PlainTextResponse("hello")(scope, receive, send)


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    listening = listen("127.0.0.1", 0)
    config = uvicorn.Config(app, http=Protocol, ws="none", loop="asyncio", lifespan="off", log_config=None)
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, args=([listening],))
    number = listening.getsockname()[1]
    thread.start()
    yield number
    go.set()
    server.should_exit = True
    thread.join()


def connected(port: int) -> socket.socket:
    return socket.create_connection(("127.0.0.1", port), timeout=10)


def answered(connection: socket.socket, ask: bytes = ASK) -> bool:
    """Whether it is; not where the connection was closed."""
    try:
        connection.sendall(ask)
        received = b""
        while b"hello" not in received:
            if not (more := connection.recv(4096)):
                return False
            received += more
    except ConnectionError:
        return False
    return True


def is_closed(connection: socket.socket) -> bool:
    try:
        return connection.recv(1) == b""
    except ConnectionError:
        return True


@pytest.mark.parametrize("head", [b"", b"GET / HT", b"GET / HTTP/1.1\r\nHost: localhost\r\n"])
def test_a_head_that_does_not_come_to_an_end_is_not_waited_for(port, monkeypatch, head):
    monkeypatch.setattr(protocol, "HEAD_SECONDS", 0.1)
    with connected(port) as connection:
        connection.sendall(head)
        assert is_closed(connection)


def test_a_head_that_trickles_in_is_not_waited_for_either(port, monkeypatch):
    monkeypatch.setattr(protocol, "HEAD_SECONDS", 0.1)
    with connected(port) as connection, pytest.raises(ConnectionError):
        for _ in range(1000):
            connection.sendall(b"x")
            time.sleep(0.01)


def test_the_next_head_on_a_connection_is_waited_for_no_longer(port, monkeypatch):
    with connected(port) as connection:
        assert answered(connection) and answered(connection)
        monkeypatch.setattr(protocol, "HEAD_SECONDS", 0.1)
        connection.sendall(ASK[:10])
        assert is_closed(connection)


def test_an_answer_may_take_longer_than_a_head(port, monkeypatch):
    monkeypatch.setattr(protocol, "HEAD_SECONDS", 0.05)
    go.clear()
    threading.Timer(0.2, go.set).start()
    with connected(port) as connection:
        assert answered(connection, SLOW)
        time.sleep(0.1)
        assert answered(connection)  # and the connection outlives it


def test_connections_on_which_nothing_is_asked_make_room(port, monkeypatch):
    monkeypatch.setattr(protocol, "MOST_CONNECTIONS", 4)
    with ExitStack() as open:
        first, *others = [open.enter_context(connected(port)) for _ in range(4)]
        assert all(map(answered, (first, *others)))
        newest = open.enter_context(connected(port))
        assert answered(newest) and is_closed(first)
        assert all(map(answered, others))


def test_many_that_come_at_once_make_room_for_the_last_of_them(port, monkeypatch):
    monkeypatch.setattr(protocol, "MOST_CONNECTIONS", 4)
    with ExitStack() as open:
        connections = [open.enter_context(connected(port)) for _ in range(40)]
        assert all(map(is_closed, connections[:-4]))
        assert all(map(answered, connections[-4:]))


def test_where_all_are_being_answered_a_new_one_is_turned_away_and_none_is_disturbed(port, monkeypatch):
    monkeypatch.setattr(protocol, "MOST_CONNECTIONS", 2)
    go.clear()
    with ExitStack() as open:
        asking = [open.enter_context(connected(port)) for _ in range(2)]
        found: list[bool] = []
        threads = [threading.Thread(target=lambda each=each: found.append(answered(each, SLOW))) for each in asking]
        while begun.acquire(blocking=False):
            pass
        for thread in threads:
            thread.start()
        assert begun.acquire(timeout=10) and begun.acquire(timeout=10)
        assert is_closed(open.enter_context(connected(port)))
        go.set()
        for thread in threads:
            thread.join()
        assert found == [True, True]
