"""A worker process holds out against whatever is said to it, and ends when its parent does."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, replace
from typing import Any

import msgspec
import psutil
import pytest
import zmq

from accel.devices.link.keys import new_keys
from accel.devices.link.place import LOOPBACK, meeting_place
from accel.devices.link.sockets import FRAME, Dialer
from accel.errors import ModelDamaged
from accel.runtime import engine_thread, messages
from accel.runtime.engines.fake import SPECIALS, FakeEngine, FakeOptions
from accel.runtime.law import Law
from accel.runtime.opening import Listening, Opening

PATIENCE = 20.0


class Front:
    """One end of a worker's link."""

    def __init__(self, address: str, **keys: Any) -> None:
        self.dialer = Dialer(address, **keys)

    def say(self, *requests: Any) -> None:
        for request in requests:
            assert self.dialer.send(messages.encode(request))

    def hear(self, kind: type, id: int | None = None, seconds: float = PATIENCE) -> Any:
        """The next message of this kind; what comes before it is passed over."""
        until = time.monotonic() + seconds
        while (left := until - time.monotonic()) > 0:
            while frame := self.dialer.receive():
                message = messages.decode_event(frame)
                if isinstance(message, kind) and id in (None, getattr(message, "id", None)):
                    return message
            self.dialer.wait(left)
        raise TimeoutError(f"no {kind.__name__} came")

    def hello(self) -> "Front":
        self.say(messages.Hello())
        self.hear(messages.Ready)
        return self


class Running:
    """A worker process and where it listens."""

    def __init__(self, address: str, allowed: str = "", **options: Any) -> None:
        command = [sys.executable, "-P", "-m", "accel.runtime.worker"]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        assert self.process.stdin and self.process.stdout
        raw = msgspec.Raw(msgspec.json.encode(asdict(FakeOptions(**options))))
        self.process.stdin.write(msgspec.json.encode(Opening("fake", raw, address, allowed)) + b"\n")
        self.process.stdin.flush()
        self.listening = msgspec.json.decode(self.process.stdout.readline(), type=Listening)
        self.address = self.listening.address
        self.fronts: list[Front] = []

    def front(self, **keys: Any) -> Front:
        front = Front(self.address, **keys)
        self.fronts.append(front)
        return front

    def ends(self, seconds: float = PATIENCE) -> int:
        return self.process.wait(seconds)


@contextmanager
def running(address: str = "", **options: Any) -> Iterator[Running]:
    with meeting_place() as place:
        worker = Running(address or place, **options)
        try:
            yield worker
        finally:
            for front in worker.fronts:
                front.dialer.close()
            worker.process.kill()
            worker.process.wait()
            for pipe in (worker.process.stdin, worker.process.stdout):
                if pipe:
                    pipe.close()


@pytest.fixture(scope="module")
def worker() -> Iterator[Running]:
    with running(answer_length=200) as worker:
        yield worker


@pytest.fixture(scope="module")
def front(worker: Running) -> Front:
    """Its front; the same for all tests here: a worker has but one."""
    return worker.front().hello()


def ask(id: int, **wishes: Any) -> messages.Generate:
    return messages.Generate(id, f"c{id}", ("hello",), Law(seed=1), **wishes)


def raw(worker: Running, context: zmq.Context) -> zmq.Socket:
    peer = context.socket(zmq.DEALER)
    peer.setsockopt(zmq.LINGER, 0)
    peer.connect(worker.address)
    return peer


@pytest.mark.parametrize(
    "parts",
    [
        [b""],
        [b"garbage"],
        [b"\xdd\xff\xff\xff\xff"],
        [os.urandom(2000)],
        [b"x" * (FRAME + 1)],
        [messages.encode(messages.Hello()), b"more"],
        [b"x"] * 1000,
        [messages.encode(messages.Hello(version=999))],
        [messages.encode(messages.Hello())],
        [messages.encode(messages.Ping(1))],
        [messages.encode(messages.Shutdown())],
        [messages.encode(ask(1))],
        [messages.encode(messages.Save(1, "c", "/etc/passwd"))],
        [messages.encode(messages.Pong(1))],
    ],
    ids=lambda parts: f"{len(parts)} of {len(parts[0])}",
)
def test_a_stranger_gets_nothing_and_the_front_is_served_on(worker, front, parts):
    with zmq.Context() as context:
        stranger = raw(worker, context)
        stranger.send_multipart(parts)
        stranger.send(messages.encode(messages.Ping(5)))
        front.say(messages.Ping(7))
        assert front.hear(messages.Pong, 7)
        heard = []
        while stranger.poll(50):
            heard.append(messages.decode_event(stranger.recv()))
        assert all(isinstance(message, messages.Failed) and message.kind == "LinkError" for message in heard)
        stranger.close()
    front.say(ask(number := next(numbers)))
    assert front.hear(messages.Finished, number).tokens
    assert worker.process.poll() is None


numbers = iter(range(1000, 10**6))


def test_a_wrong_version_is_told_both():
    with running() as worker:
        front = worker.front()
        front.say(messages.Hello(version=999))
        failed = front.hear(messages.Failed)
        assert failed.id == 0 and "999" in failed.what and str(messages.VERSION) in failed.what
        assert worker.front().hello()


def test_a_front_that_breaks_the_rules_loses_its_worker_to_one_that_keeps_them():
    with running(seconds_per_forward=0.02, answer_length=10**6) as worker:
        front = worker.front().hello()
        front.say(ask(1))
        front.hear(messages.Text)
        front.dialer.send(b"garbage")
        assert front.hear(messages.Failed).kind == "LinkError"
        other = worker.front().hello()
        other.say(ask(2, most=2))
        assert other.hear(messages.Finished, 2).reason == "length"
        other.say(messages.Survey(3))
        assert other.hear(messages.Statistics).running == 0


def test_requests_of_one_number_end_the_front(worker, front):
    with running(seconds_per_forward=0.05) as worker:
        front = worker.front().hello()
        front.say(ask(1), ask(1))
        assert front.hear(messages.Failed).id == 0


def test_more_requests_than_are_reasonable_are_refused_one_by_one():
    with running(seconds_per_forward=0.2, answer_length=10**6) as worker:
        front = worker.front().hello()
        for id in range(1, 1031):
            while not front.dialer.send(messages.encode(ask(id))):
                front.dialer.wait(0.01)
        failed = front.hear(messages.Failed)
        assert failed.id > 1000 and failed.kind == "LinkError"
        front.say(messages.Ping(5000))
        assert front.hear(messages.Pong, 5000)


def test_a_ping_is_answered_while_a_long_forward_runs():
    with running(seconds_per_forward=2.0) as worker:
        front = worker.front().hello()
        front.say(messages.Generate(1, "c", ("x" * 400,), Law()))
        front.hear(messages.Started, 1)
        front.say(messages.Ping(2))
        assert front.hear(messages.Pong, 2, seconds=1.5)


def test_a_prompt_is_cancelled_in_the_middle_of_a_long_chunk():
    with running(seconds_per_row=0.5) as worker:
        front = worker.front().hello()
        front.say(messages.Generate(1, "c", ("x" * 400,), Law()))
        front.hear(messages.Started, 1)
        front.say(messages.Cancel(1))
        assert front.hear(messages.Finished, 1, seconds=10).reason == "cancelled"


def test_cancelling_what_is_not_there_is_no_error(front):
    front.say(messages.Cancel(10**9), messages.Ping(9))
    assert front.hear(messages.Pong, 9)


def test_words_come_at_once_and_then_together(front):
    front.say(messages.Generate(90, "long", ("x",), Law(logit_bias=((257, -1e9), (259, -1e9))), most=400))
    texts = []
    while not isinstance(message := front.hear(messages.Record), messages.Finished):
        if isinstance(message, messages.Text):
            texts.append(message)
    assert texts[-1].tokens == 400 == len("".join(text.text for text in texts))
    assert len(texts) < 200


def test_progress_is_told_while_the_engine_is_opened():
    with running(seconds_to_open=0.5) as worker:
        front = worker.front()
        front.say(messages.Hello(), messages.Ping(1))
        assert front.hear(messages.Pong, 1)
        fractions = [front.hear(messages.Loading).fraction for _ in range(3)]
        assert fractions == sorted(fractions) and 0 < fractions[-1] <= 1
        assert front.hear(messages.Ready).seconds > 0.4


def test_what_a_model_says_of_its_words_is_told_or_refused_where_no_message_holds_it():
    engine: Any = FakeEngine(FakeOptions())
    assert set(engine_thread._ready(engine, "fake", 0.0).controls) == set(SPECIALS)
    engine.spec = replace(engine.spec, chat_template="x" * FRAME)
    with pytest.raises(ModelDamaged, match=r"8\.00 MiB"):
        engine_thread._ready(engine, "fake", 0.0)


def test_a_front_that_comes_late_is_told_where_things_stand():
    with running() as worker:
        time.sleep(0.5)
        assert worker.front().hello()


def test_over_loopback_only_the_front_with_the_key_is_heard():
    ours, strangers = new_keys(), new_keys()
    with running(LOOPBACK, allowed=ours.public) as worker:
        stranger = worker.front(keys=strangers, listener_key=worker.listening.key)
        stranger.say(messages.Hello())
        assert worker.front(keys=ours, listener_key=worker.listening.key).hello()
        with pytest.raises(TimeoutError):
            stranger.hear(messages.Record, seconds=0.3)


def test_an_opening_that_cannot_be_read_is_one_line():
    command = [sys.executable, "-P", "-m", "accel.runtime.worker"]
    found = subprocess.run(command, input=b"{}\n", capture_output=True, check=False)
    assert found.returncode == 2 and found.stderr.count(b"\n") == 1 and not found.stdout


def test_options_that_the_engine_does_not_know_are_an_error():
    with running(context="many") as worker:
        front = worker.front()
        front.say(messages.Hello())
        assert front.hear(messages.Failed).kind == "UsageError"


def test_ctrl_c_in_the_terminal_does_not_reach_it():
    with running() as worker:
        worker.process.send_signal(signal.SIGINT)
        assert worker.front().hello()


@pytest.mark.parametrize("options", [{}, {"seconds_to_open": 30.0}], ids=["ready", "loading"])
def test_it_ends_when_the_pipe_from_its_parent_does(options):
    with running(**options) as worker:
        assert worker.process.stdin
        worker.process.stdin.close()
        assert worker.ends() == 0


def test_it_ends_with_its_parent_in_the_middle_of_a_forward():
    with running(seconds_per_forward=60.0) as worker:
        front = worker.front().hello()
        front.say(messages.Generate(1, "c", ("x" * 400,), Law()))
        front.hear(messages.Started)
        assert worker.process.stdin
        worker.process.stdin.close()
        assert worker.ends() == 0


PARENT = """
import json, sys, time
from accel.runtime.engines.fake import FakeOptions
from accel.runtime.law import Law
from accel.runtime.opening import Opening, Listening
from accel.runtime.supervisor import Supervisor

stage, folder = sys.argv[1:]
options = FakeOptions(
    seconds_to_open=60.0 if stage == "loading" else 0.0,
    seconds_per_row=0.01 if stage == "prefill" else 0.0,
    seconds_per_forward=0.02 if stage == "decode" else 0.0,
    answer_length=10**6,
)
supervisor = Supervisor("fake", options)
supervisor.start()
if stage == "loading":
    while not supervisor.pid:
        time.sleep(0.01)
    time.sleep(0.3)
else:
    supervisor.wait()
    if stage != "idle":
        answer = supervisor.generate("c", ["x" * 400 if stage == "prefill" else "x"], Law())
        next(answer)
    if stage == "decode":
        next(answer), next(answer)
print(supervisor.pid, flush=True)
time.sleep(60)
"""


@pytest.mark.parametrize("stage", ["loading", "prefill", "decode", "idle"])
def test_it_dies_with_a_parent_that_was_killed(stage, tmp_path):
    environment = os.environ | {"TMPDIR": str(tmp_path)}
    command = [sys.executable, "-c", PARENT, stage, str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, env=environment) as parent:
        assert parent.stdout
        worker = int(parent.stdout.readline())
        assert not is_gone(worker)
        parent.kill()
    assert eventually(lambda: is_gone(worker))
    if stage != "loading":  # before they have met, the folder is how they find each other
        assert not list(tmp_path.iterdir())


def test_a_parent_that_just_ends_leaves_nothing(tmp_path):
    code = PARENT.replace("time.sleep(60)\n", "")
    environment = os.environ | {"TMPDIR": str(tmp_path)}
    command = [sys.executable, "-c", code, "decode", str(tmp_path)]
    found = subprocess.run(command, capture_output=True, env=environment, check=True, timeout=60)
    assert not found.stderr
    assert eventually(lambda: is_gone(int(found.stdout)))
    assert not list(tmp_path.iterdir())


def is_gone(pid: int) -> bool:
    """Whether a process has ended, even where nobody has asked how."""
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def eventually(what: Callable[[], bool]) -> bool:
    until = time.monotonic() + PATIENCE
    while not what():
        if time.monotonic() > until:
            return False
        time.sleep(0.01)
    return True


def test_others_need_not_wait_for_the_end_of_a_long_decode():
    with running(decodes=True, answer_length=10**9, seconds_per_forward=0.01, context=1000) as worker:
        front = worker.front().hello()
        front.say(ask(1))
        front.hear(messages.Text, 1)
        front.say(ask(2, most=3))
        assert len(front.hear(messages.Finished, 2).tokens) == 3
        front.say(messages.Cancel(1))
        found = front.hear(messages.Finished, 1)
        assert found.reason == "cancelled" and 3 < len(found.tokens) < 200
