"""Daemons as their user sees them from another terminal."""

import http.client
import json
import os
import re
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import msgspec
import psutil
import pytest

from accel.errors import AccelError, NotThere, UsageError
from accel.runtime import cli
from accel.runtime.engines.options import FakeOptions
from accel.runtime.opening import PromptStore
from accel.runtime.prompt_files import Lying, folder_of, lying
from accel.runtime.serve import manage, roster
from accel.runtime.serve.keys import add_key, read_keys
from accel.runtime.serve.manage import asked, cache, gained, lasting, logs, ps, rows, stop, table
from accel.runtime.serve.roster import Entry, birth, enrolled, log_of
from accel.runtime.serve.status import Cached, ModelStatus, Status
from accel.units import Bytes

from .serving import Model, a_daemon, served


@pytest.fixture(autouse=True)
def own_home(home: Path) -> Path:
    return home


@pytest.fixture(scope="module")
def listening(tmp_path_factory) -> Iterator[Entry]:
    """A daemon that others can reach too, so that it has keys, as its roster knows it."""
    file = tmp_path_factory.mktemp("keys") / "keys.json"
    add_key(file)
    with served(a_daemon(read_keys(file), {"fake": Model(), "other": Model()})) as url:
        place = urlsplit(url)
        yield Entry(os.getpid(), birth(os.getpid()), place.hostname or "", place.port or 0, "page", time.time() - 3700)


def child(code: str) -> "subprocess.Popen[bytes]":
    """A process that is ready once it has said so."""
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE)
    assert process.stdout and process.stdout.readline()
    return process


def enrol(process: "subprocess.Popen[bytes]", port: int = 1) -> Entry:
    entry = Entry(process.pid, birth(process.pid), "127.0.0.1", port, "token", time.time())
    log_of(process.pid).with_suffix(".json").write_bytes(msgspec.json.encode(entry))
    return entry


POLITE = "print(flush=True); import time; time.sleep(600)"
DEAF = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print(flush=True); time.sleep(600)"


def test_the_users_own_commands_are_let_in_and_told_how_it_is(listening):
    found = asked(listening)
    assert found and [model.name for model in found.models] == ["fake", "other"]
    assert found.models[0].state == "cold" and not found.requests and not found.draining
    assert asked(msgspec.structs.replace(listening, token="wrong")) is None


def test_ps_shows_what_runs(listening, capsys):
    with enrolled(listening):
        assert ps() == 0
    heads, first, second = capsys.readouterr().out.splitlines()
    assert heads.split() == list(manage._HEADS)
    assert first.split()[:2] == [str(os.getpid()), f"http://127.0.0.1:{listening.port}"]
    assert (
        "1 h 1 min" in first
        and first.split()[-4:] == ["fake", "-", "-", "cold"]
        and second.split() == ["other", "-", "-", "cold"]
    )


def test_ps_as_json_is_for_programs(listening, capsys):
    with enrolled(listening):
        assert ps(json=True) == 0
    (found,) = json.loads(capsys.readouterr().out)
    assert found["pid"] == os.getpid() and found["answers"] is True and found["models"][0]["name"] == "fake"
    assert "page" not in json.dumps(found)  # the token is nobody's to print
    assert ps(json=True) == 0 and json.loads(capsys.readouterr().out) == []


def test_without_daemons_ps_says_how_to_start_one(capsys):
    assert ps() == 0
    said = capsys.readouterr()
    assert not said.out and "accel serve" in said.err


def test_a_model_at_work_is_shown_with_its_memory_against_the_plan():
    entry = Entry(7, "1", "::", 80, "", 0.0)
    cached = Cached(57, 1024, 3, 2**20, 2**21, 5)
    at_work = ModelStatus("a", "ready", pid=9, planned=2**30, held=2**29, running=1, cached=cached)
    busy = ModelStatus("b", "ready", pid=9, planned=2**30)
    loading, failed = ModelStatus("c", "loading", progress=0.25), ModelStatus("d", "failed", error="no room")
    found = list(rows(entry, Status((at_work, busy, loading, failed), 3, False), 90.0))
    where = ("7", "http://[::]:80", "1 min 30 s")
    kept = "57 tokens, 1.00 MiB in memory, 2.00 MiB on disk"
    assert found[0] == (*where, "3", "a", "512.0 MiB of 1.00 GiB planned", kept, "ready")
    assert [row[-3:] for row in found[1:]] == [
        ("? of 1.00 GiB planned", "?", "ready"),
        ("-", "-", "loading 25%"),
        ("-", "-", "failed: no room"),
    ]
    assert list(rows(entry, None, 90.0)) == [(*where, "-", "-", "-", "-", "does not answer")]


@pytest.fixture
def kept() -> Path:
    """A prompt of a model that is not open."""
    file = folder_of("gone") / "1.prompt"
    file.parent.mkdir(parents=True)
    file.write_bytes(b"x" * 2048)
    return file


@pytest.fixture
def caching() -> Iterator[Entry]:
    """A daemon with a model that has one prompt in its sequence and one on disk."""
    store = PromptStore(str(folder_of("fake")), 0, 2**20)
    model = Model("fake", FakeOptions(sequences=1, answer_length=4), prompts=store)
    with served(a_daemon(models={"fake": model, "other": Model()})) as url:
        place = urlsplit(url)
        for number in (1, 2):
            connection = http.client.HTTPConnection(place.netloc, timeout=30)
            body = {"prompt": f"{number} {'letters ' * 20}", "max_tokens": 4}
            connection.request("POST", "/v1/completions", json.dumps(body))
            assert connection.getresponse().status == 200
            connection.close()
        entry = Entry(os.getpid(), birth(os.getpid()), place.hostname or "", place.port or 0, "page", time.time())
        with enrolled(entry):
            yield entry


def test_the_cache_is_shown_by_model_that_is_open_and_on_disk(caching, kept, capsys):
    assert cache() == 0
    heads, row, disk = capsys.readouterr().out.splitlines()
    assert heads.startswith("PID") and "IN MEMORY" in heads and "HITS" in heads
    assert re.fullmatch(rf"{os.getpid()} +fake +1\d\d of 4096 tokens +1 +0 B +[\d.]+ KiB +0", row)
    assert re.fullmatch(r"prompts on disk, of all models: 2, [\d.]+ KiB", disk)
    assert cache(json=True) == 0
    told = json.loads(capsys.readouterr().out)
    (daemon,) = told["daemons"]
    assert daemon["pid"] == os.getpid() and daemon["models"]["fake"]["prompts"] == 1
    assert told["disk"] == {"prompts": 2, "size": daemon["models"]["fake"]["disk"] + 2048}


def test_ps_shows_what_is_cached(caching, capsys):
    assert ps() == 0
    _, first, second = capsys.readouterr().out.splitlines()
    assert re.search(r"1\d\d tokens, [\d.]+ KiB on disk +ready$", first) and second.split() == [
        "other",
        "-",
        "-",
        "cold",
    ]
    assert ps(json=True) == 0
    assert json.loads(capsys.readouterr().out)[0]["models"][0]["cached"]["prompts"] == 1


def test_the_cache_is_cleared_through_the_daemon(caching, kept, capsys):
    assert cache(clear=True, json=True) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["positions"] > 100 and told["memory"] == 0 and told["disk"] > 2048
    assert not kept.exists() and lying() == Lying(0, Bytes(0))
    assert cache() == 0
    assert "0 of 4096 tokens" in capsys.readouterr().out
    assert cache(clear=True) == 0
    assert capsys.readouterr().out == "cleared: 0 tokens of context, 0 B in memory, 0 B on disk\n"


def test_without_daemons_the_cache_is_what_lies_on_disk(kept, capsys):
    assert cli.main(["cache"]) == 0
    assert capsys.readouterr().out == "prompts on disk, of all models: 1, 2.00 KiB\n"
    assert cli.main(["cache", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {"daemons": [], "disk": {"prompts": 1, "size": 2048}}
    assert cli.main(["cache", "--clear"]) == 0
    assert capsys.readouterr().out == "cleared: 0 tokens of context, 0 B in memory, 2.00 KiB on disk\n"
    assert not kept.exists()


def test_a_daemon_that_does_not_answer_is_shown_as_such_and_clearing_fails(kept, capsys):
    process = child(POLITE)
    enrol(process)
    assert cache() == 0
    assert re.search(rf"{process.pid} +does not answer( +-){{5}}\n", capsys.readouterr().out)
    assert cache(json=True) == 0
    assert json.loads(capsys.readouterr().out)["daemons"] == [{"pid": process.pid, "models": None}]
    with pytest.raises(AccelError, match=f"daemon {process.pid} does not answer"):
        cache(clear=True)
    assert kept.exists()
    process.kill()
    process.communicate()


def test_a_daemon_that_refuses_to_clear_says_why(listening, kept):
    with (
        enrolled(msgspec.structs.replace(listening, token="wrong")),
        pytest.raises(AccelError, match="a key is needed"),
    ):
        cache(clear=True)
    assert kept.exists()


def test_columns_are_as_wide_as_what_stands_in_them():
    assert list(table([("a", "bcd"), ("long", "e")])) == ["a     bcd", "long  e"]
    assert [lasting(each) for each in (-5, 0, 61, 3600, 90061)] == ["0 s", "0 s", "1 min 1 s", "1 h", "1 d 1 h"]


def test_stop_returns_when_the_daemon_is_gone(capsys):
    process = child(POLITE)
    entry = enrol(process)
    assert stop() == 0
    assert not entry.alive and process.wait() == -15 and roster.running() == []
    assert f"daemon {process.pid} has ended" in capsys.readouterr().err
    process.communicate()


def test_a_daemon_that_does_not_listen_is_killed_in_the_end(monkeypatch):
    monkeypatch.setattr(
        manage, "_STEPS", tuple((words, end, 0.05) for words, end, _ in manage._STEPS[:-1]) + manage._STEPS[-1:]
    )
    process = child(DEAF)
    enrol(process)
    assert stop(process.pid) == 0
    assert process.wait() == -9
    process.communicate()


def test_of_several_the_user_names_one():
    processes = [child(POLITE) for _ in range(2)]
    entries = [enrol(each) for each in processes]
    with pytest.raises(UsageError, match=f"{processes[0].pid}, {processes[1].pid}"):
        stop()
    assert stop(processes[1].pid) == 0
    assert [entry.alive for entry in entries] == [True, False]
    assert stop() == 0
    for each in processes:
        each.communicate()


def test_no_process_is_ended_that_is_no_daemon():
    stranger = child(POLITE)
    with pytest.raises(NotThere, match="no daemon runs"):
        stop()
    with pytest.raises(NotThere):
        stop(stranger.pid)
    old = Entry(stranger.pid, "1", "127.0.0.1", 1, "", 0.0)  # its number was a daemon's once
    log_of(stranger.pid).with_suffix(".json").write_bytes(msgspec.json.encode(old))
    with pytest.raises(NotThere):
        stop(stranger.pid)
    assert psutil.Process(stranger.pid).status() != psutil.STATUS_ZOMBIE
    stranger.kill()
    stranger.communicate()


def test_the_last_lines_are_shown_those_of_the_file_before_too(capsys):
    log_of(5).with_name("5.log.1").write_text("1\n2\n3\n")
    log_of(5).write_text("4\n5\n")
    for count, shown in ((2, "4\n5\n"), (4, "2\n3\n4\n5\n"), (50, "1\n2\n3\n4\n5\n"), (0, "")):
        assert logs(5, lines=count) == 0
        assert capsys.readouterr().out == shown


def test_where_no_daemon_is_named_it_is_the_one_that_wrote_last(capsys):
    for number, when in ((1, 10), (2, 30), (3, 20)):
        log_of(number).write_text(f"of {number}\n")
        os.utime(log_of(number), (when, when))
    assert logs() == 0
    assert capsys.readouterr().out == "of 2\n"


def test_a_log_that_is_not_there_is_said():
    with pytest.raises(NotThere, match="no daemon has run yet"):
        logs()
    with pytest.raises(NotThere, match="no log of daemon 5"):
        logs(5)


def test_a_log_is_followed_through_its_rotation_until_its_daemon_ends():
    process = child(POLITE)
    enrol(process)
    file = log_of(process.pid)
    file.write_bytes(b"one\n")
    found: list[bytes] = []
    seen = threading.Event()

    def follow() -> None:
        for text in gained(file, 0):
            found.append(text)
            seen.set()

    thread = threading.Thread(target=follow)
    thread.start()
    assert seen.wait(10)
    with file.open("ab") as log:
        log.write(b"two\n")
    file.rename(file.with_name(f"{file.name}.1"))
    file.write_bytes(b"3\n")
    while b"3\n" not in b"".join(found):
        time.sleep(0.01)
    process.kill()
    process.communicate()
    thread.join(10)
    assert not thread.is_alive() and b"".join(found) == b"one\ntwo\n3\n"
