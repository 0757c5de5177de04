"""Frames of limited size, in bounded queues, between those who may speak with each other."""

import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest
import zmq

from accel.devices.link.keys import new_keys
from accel.devices.link.place import LOOPBACK, meeting_place
from accel.devices.link.sockets import FRAME, Dialer, Listener
from accel.errors import LinkError

PATIENCE = 10.0


@pytest.fixture
def listener() -> Iterator[Listener]:
    with meeting_place() as address, Listener(address) as listener:
        yield listener


def heard(end: Any, seconds: float = PATIENCE) -> Any:
    """What an end receives next; None when it stays silent."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        if (found := end.receive()) is not None:
            return found
        end.wait(until - time.monotonic())
    return None


def raw_peer(listener: Listener, context: zmq.Context) -> zmq.Socket:
    peer = context.socket(zmq.DEALER)
    peer.setsockopt(zmq.LINGER, 0)
    peer.connect(listener.address)
    return peer


@pytest.fixture
def context() -> Iterator[zmq.Context]:
    with zmq.Context() as context:
        yield context


def test_a_frame_goes_there_and_an_answer_comes_back(listener):
    with Dialer(listener.address) as dialer:
        assert dialer.send(b"question")
        peer, frame = heard(listener)
        assert frame == b"question"
        assert listener.send(peer, b"answer")
        assert heard(dialer) == b"answer"


def test_every_peer_gets_its_own_answers(listener):
    with Dialer(listener.address) as one, Dialer(listener.address) as other:
        one.send(b"one")
        other.send(b"other")
        for _ in range(2):
            peer, frame = heard(listener)
            listener.send(peer, frame * 2)
        assert (heard(one), heard(other)) == (b"oneone", b"otherother")


def test_a_dialer_may_come_before_the_listener():
    with meeting_place() as address, Dialer(address) as dialer:
        dialer.send(b"early")
        with Listener(address) as listener:
            assert heard(listener)[1] == b"early"


def test_those_who_met_stay_connected_when_the_folder_goes():
    with meeting_place() as address:
        listener = Listener(address)
        dialer = Dialer(address)
        dialer.send(b"before")
        peer, _ = heard(listener)
    with listener, dialer:
        listener.send(peer, b"after")
        assert heard(dialer) == b"after"
        dialer.send(b"too")
        assert heard(listener) == (peer, b"too")


@pytest.mark.parametrize("parts", [[b"a", b"b"], [b"", b"delimited"], [b"x"] * 5000])
def test_a_message_in_parts_ends_the_peer(listener, context, parts):
    peer = raw_peer(listener, context)
    peer.send_multipart(parts)
    peer.send(b"still there?")
    name, frame = heard(listener)
    assert frame is None
    with Dialer(listener.address) as other:
        other.send(b"fine")
        found = heard(listener)
        assert found[1] == b"fine" and found[0] != name
    peer.close()


def test_a_frame_too_large_never_arrives_and_the_others_go_on(listener, context):
    peer = raw_peer(listener, context)
    peer.send(b"x" * (FRAME + 1))
    with Dialer(listener.address) as other:
        other.send(b"y" * FRAME)
        assert len(heard(listener)[1]) == FRAME
    assert heard(listener, 0.05) is None
    peer.close()


def test_a_listener_of_another_kind_is_an_error_for_the_dialer(context):
    with meeting_place() as address:
        other = context.socket(zmq.ROUTER)
        other.setsockopt(zmq.LINGER, 0)
        other.bind(address)
        with Dialer(address) as dialer:
            dialer.send(b"hello")
            other.send_multipart([other.recv_multipart()[0], b"two", b"parts"])
            with pytest.raises(LinkError):
                heard(dialer)
        other.close()


def test_a_peer_that_does_not_listen_fills_its_queue_and_nothing_more(listener):
    with Dialer(listener.address) as dialer:
        dialer.send(b"hello")
        peer, _ = heard(listener)
        sent = 0
        while listener.send(peer, b"z" * 2**16):
            sent += 1
            assert sent < 10_000
    assert sent


def test_a_peer_that_has_gone_is_an_error_not_silence(listener):
    with Dialer(listener.address) as dialer:
        dialer.send(b"hello")
        peer, _ = heard(listener)
    with pytest.raises(LinkError):
        for _ in range(1000):
            listener.send(peer, b"anyone?")
            listener.wait(0.01)


def test_waiting_ends_when_another_thread_says_so(listener):
    waker = threading.Timer(0.02, listener.wake)
    waker.start()
    start = time.monotonic()
    listener.wait(PATIENCE)
    assert time.monotonic() - start < PATIENCE
    waker.join()


def test_a_wake_before_the_wait_is_not_lost(listener):
    listener.wake()
    listener.wake()
    start = time.monotonic()
    listener.wait(PATIENCE)
    assert time.monotonic() - start < PATIENCE


def test_loopback_without_keys_is_refused():
    with pytest.raises(LinkError):
        Listener(LOOPBACK)
    with pytest.raises(LinkError):
        Dialer("tcp://127.0.0.1:9")


def test_loopback_lets_in_the_key_it_was_told_and_no_other():
    ours, theirs, strangers = new_keys(), new_keys(), new_keys()
    with Listener(LOOPBACK, ours, theirs.public) as listener:
        with (
            Dialer(listener.address, strangers, ours.public) as stranger,
            Dialer(listener.address, theirs, new_keys().public) as deceived,
        ):
            stranger.send(b"let me in")
            deceived.send(b"is it you?")
            assert heard(listener, 0.3) is None
        with Dialer(listener.address, theirs, ours.public) as dialer:
            dialer.send(b"it is me")
            peer, frame = heard(listener)
            assert frame == b"it is me"
            listener.send(peer, b"welcome")
            assert heard(dialer) == b"welcome"


def test_an_address_that_is_taken_is_an_error():
    with pytest.raises(LinkError):
        Listener("ipc:///nowhere/at/all")


def test_a_secret_key_is_not_shown():
    keys = new_keys()
    assert keys.secret not in repr(keys)


def test_an_end_that_nobody_closed_is_collected_without_waiting(tmp_path):
    code = (
        "import gc, sys; from accel.devices.link.sockets import Dialer\n"
        "end = Dialer(sys.argv[1]); end.itself = end; del end; gc.collect(); print('collected')"
    )
    command = [sys.executable, "-W", "ignore", "-c", code, f"ipc://{tmp_path}/nobody"]
    assert subprocess.run(command, capture_output=True, text=True, timeout=30).stdout == "collected\n"
