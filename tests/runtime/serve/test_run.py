"""The daemon as a process: it starts, answers, ends what it began, and leaves nothing behind."""

import http.client
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psutil
import pytest

from accel.devices import measure
from accel.devices.probe import probe
from accel.devices.resident import resident
from accel.errors import ModelMissing, SettingError, UsageError
from accel.runtime.serve.keys import key_file, read_keys
from accel.runtime.serve.run import listen, make_daemon, names_of, run, url
from accel.runtime.settings import Settings
from accel.units import Rate, to_json

from .serving import a_daemon, served

QUESTION = {"messages": [{"role": "user", "content": "Hello"}], "max_tokens": 8, "temperature": 0}
SMALL = ("--context", "512", "--threads", "1", "--no-drafting", "--prompt-cache", "0", "--port", "0")
MOST_MEMORY = 120 * 10**6  # bytes of a daemon whose models are closed


def until(holds: Callable[[], Any], seconds: float = 60.0) -> Any:
    end = time.monotonic() + seconds
    while not (found := holds()):
        assert time.monotonic() < end
        time.sleep(0.02)
    return found


class Process:
    """A real daemon, and what it started."""

    def __init__(self, home: Path, *words: str, before: Sequence[str] = ()) -> None:
        self.log = home.parent / "stderr"
        environment = {name: value for name, value in os.environ.items() if not name.startswith("ACCEL_")}
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                [*before, sys.executable, "-m", "accel.runtime.cli", "serve", *SMALL, *words],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=log,
                env={**environment, "ACCEL_HOME": str(home)},
            )
        self.place = urlsplit(until(lambda: re.search(r"at (http\S+)\n", self.said))[1])

    @property
    def said(self) -> str:
        return self.log.read_text()

    def ask(self, path: str, body: Any = None, key: str = "") -> tuple[int, dict[str, Any]]:
        connection = http.client.HTTPConnection(self.place.hostname or "", self.place.port, timeout=60)
        method, text = ("GET", None) if body is None else ("POST", json.dumps(body))
        try:
            connection.request(method, path, text, {"authorization": f"Bearer {key}"} if key else {})
            response = connection.getresponse()
            return response.status, json.loads(response.read())
        finally:
            connection.close()

    def everything(self) -> list[psutil.Process]:
        me = psutil.Process(self.process.pid)
        return [me, *me.children(recursive=True)]

    def end(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()


@pytest.fixture(scope="module")
def warm_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where this machine counts as measured, which else takes seconds."""
    home = tmp_path_factory.mktemp("daemon") / "home"
    machine = probe()
    known = measure.Measured((Rate(1e10),) * machine.processor.threads, Rate(1e9), False)
    cache = home / "cache"
    cache.mkdir(parents=True)
    (cache / f"measured-{measure._METHOD}-{machine.fingerprint}.json").write_bytes(to_json(known))
    return home


@contextmanager
def daemon(home: Path, *words: str, before: Sequence[str] = ()) -> Iterator[Process]:
    found = Process(home, *words, before=before)
    try:
        yield found
    finally:
        found.end()


def gone(processes: list[psutil.Process]) -> bool:
    return not [each for each in processes if each.is_running() and each.status() != psutil.STATUS_ZOMBIE]


def roster(home: Path) -> list[Path]:
    return list((home / "state" / "daemons").glob("*.json"))


def test_it_answers_and_at_a_polite_kill_ends_what_it_began_and_then_itself(warm_home):
    with daemon(warm_home) as running:
        assert running.ask("/health")[0] == 200
        memory = psutil.Process(running.process.pid).memory_info()
        assert memory.rss < MOST_MEMORY
        assert [file.stem for file in roster(warm_home)] == [str(running.process.pid)]

        answers: list[tuple[int, dict[str, Any]]] = []
        asking = threading.Thread(target=lambda: answers.append(running.ask("/v1/chat/completions", QUESTION)))
        asking.start()
        until(lambda: answers or running.ask("/v1/status")[1]["requests"])  # its model is being opened
        running.process.send_signal(signal.SIGTERM)
        asking.join()
        ((status, answer),) = answers
        assert status == 200 and answer["choices"][0]["message"]["content"]
        assert running.process.wait(30) == 0
        assert gone(psutil.Process().children(recursive=True)) and not roster(warm_home)
        kept = (warm_home / "state" / "daemons" / f"{running.process.pid}.log").read_text()
        assert "opened" in kept and "answered" in kept and "Hello" not in kept + running.said


def test_what_large_bodies_took_is_given_back(warm_home):
    with daemon(warm_home) as running:
        running.ask("/v1/completions", {})
        before = resident(running.process.pid)[0]
        for _ in range(3):
            assert running.ask("/v1/completions", "x" * (30 * 2**20))[0] == 400
        until(lambda: resident(running.process.pid)[0] - before < 8 * 2**20)


def test_killed_at_once_it_leaves_nothing_behind(warm_home):
    with daemon(warm_home) as running:
        assert running.ask("/v1/chat/completions", QUESTION)[0] == 200
        processes = running.everything()
        assert len(processes) >= 3  # itself, a worker, and what renders templates
        running.process.kill()
        until(lambda: gone(processes))


def test_at_a_second_signal_it_ends_whatever_it_does(warm_home):
    with daemon(warm_home) as running:
        failures: list[Exception] = []

        def ask() -> None:
            try:
                running.ask("/v1/chat/completions", {**QUESTION, "max_tokens": 400, "n": 16})
            except (OSError, http.client.HTTPException, ValueError) as error:
                failures.append(error)

        asking = threading.Thread(target=ask)
        asking.start()
        until(lambda: running.ask("/v1/status")[1]["requests"], 20)
        processes = running.everything()
        running.process.send_signal(signal.SIGTERM)
        running.process.send_signal(signal.SIGINT)
        assert running.process.wait(30) in (0, 1)
        until(lambda: gone(processes))
        asking.join()
        assert failures


@pytest.mark.skipif(
    not hasattr(signal, "SIGHUP") or signal.getsignal(signal.SIGHUP) is signal.SIG_IGN,
    reason="no terminal hangs up here",
)
def test_a_terminal_that_closes_ends_it_politely(warm_home):
    with daemon(warm_home) as running:
        running.ask("/health")
        running.process.send_signal(signal.SIGHUP)
        assert running.process.wait(30) == 0 and not roster(warm_home)


@pytest.mark.skipif(not shutil.which("nohup"), reason="no nohup here")
def test_one_that_should_outlive_its_terminal_does(warm_home):
    with daemon(warm_home, before=["nohup"]) as running:
        running.ask("/health")
        running.process.send_signal(signal.SIGHUP)
        assert running.ask("/health")[0] == 200


def test_beyond_this_machine_nobody_is_answered_without_the_key_that_is_shown_once(warm_home, tmp_path):
    home = tmp_path / "home"
    with daemon(home, "--host", "0.0.0.0") as running:
        (key,) = re.findall(r"accel-\S{40,}", running.said)
        running.place = running.place._replace(netloc=f"127.0.0.1:{running.place.port}")
        assert running.ask("/v1/models")[0] == 401 and running.ask("/v1/models", key=key)[0] == 200
        assert running.ask("/health")[0] == 200
        assert key not in (home / "config" / "keys.json").read_text()
    with daemon(home, "--host", "0.0.0.0") as again:
        assert not re.findall(r"accel-\S{40,}", again.said)


def test_a_daemon_loads_nothing_heavy_before_it_is_asked():
    code = "import sys, accel.runtime.serve.run; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert not {"torch", "numpy", "llama_cpp", "llguidance", "huggingface_hub", "rich", "jinja2"} & set(loaded)


def test_a_daemon_that_is_about_to_end_takes_no_new_requests():
    ending = a_daemon()
    with served(ending) as address:
        ending.draining = True
        place = urlsplit(address)
        with closing(http.client.HTTPConnection(place.hostname or "", place.port, timeout=10)) as connection:
            connection.request("POST", "/v1/chat/completions", json.dumps(QUESTION))
            response = connection.getresponse()
            assert response.status == 503 and response.headers["retry-after"]
            assert "about to end" in json.loads(response.read())["error"]["message"]
            connection.request("GET", "/health")
            told = json.loads(connection.getresponse().read())
        assert told == {"status": "degraded", "reasons": ["it is about to end"]}


def test_models_are_called_by_their_files_or_as_they_are_named():
    assert names_of([""]) == {"demo": ""}
    assert names_of(["/models/a=b/tiny.gguf", "hf:owner/repo", "big=hf:owner/other:x.gguf"]) == {
        "tiny": "/models/a=b/tiny.gguf",
        "repo": "hf:owner/repo",
        "big": "hf:owner/other:x.gguf",
    }
    assert names_of(["a=b=c", "=d"]) == {"a": "b=c", "=d": "=d"}


def test_two_models_of_one_name_are_told():
    with pytest.raises(SettingError, match="NAME=MODEL"):
        names_of(["a/x.gguf", "b/x.gguf"])


def test_a_port_that_is_taken_is_told():
    with listen("127.0.0.1", 0) as first, pytest.raises(UsageError, match="try another --port"):
        listen("127.0.0.1", first.getsockname()[1])
    with pytest.raises(UsageError):
        listen("no.such.host.invalid", 0)


@pytest.mark.skipif(not socket.has_ipv6, reason="no IPv6 here")
def test_addresses_of_ipv6_are_listened_at_and_written_as_urls_have_them():
    try:
        with listen("::1", 0) as listening:
            assert url(*listening.getsockname()[:2]).startswith("http://[::1]:")
    except UsageError:
        pytest.skip("no IPv6 on loopback here")


def test_on_loopback_no_key_is_needed_and_beyond_it_one_is_made(home, capsys):
    local = make_daemon(Settings(sessions=False), [])
    assert not local.door.keys and local.door.hosts == {"127.0.0.1"} and not key_file().exists()
    beyond = make_daemon(Settings(host="0.0.0.0", sessions=False), [])
    assert beyond.door.keys and beyond.door.hosts is None
    assert capsys.readouterr().err.count("accel-") == 1
    assert make_daemon(Settings(host="::", sessions=False), []).door.keys == beyond.door.keys
    assert not capsys.readouterr().err
    for each in (local, beyond):
        each.conversations.close()


def test_a_new_key_is_printed_alone_and_lets_in(home, capsys):
    assert run(Settings(), [], new_key=True) == 0
    printed = capsys.readouterr()
    assert read_keys(key_file()).lets_in(printed.out.strip()) and "started again" in printed.err


def test_a_mistyped_path_is_told_before_anybody_asks_for_the_model(home):
    with pytest.raises(ModelMissing, match=r"no file nowhere\.gguf"):
        make_daemon(Settings(sessions=False), ["mine=nowhere.gguf"])
