"""Which daemons run."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import msgspec
import psutil
import pytest

from accel.runtime.serve import roster
from accel.runtime.serve.roster import Entry, birth, enrolled, log_of, logs, running, this_process


@pytest.fixture(autouse=True)
def own_home(home: Path) -> Path:
    return home


@pytest.fixture
def other() -> Iterator["subprocess.Popen[bytes]"]:
    """A process that lives until the test ends it."""
    process = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    yield process
    process.kill()
    process.communicate()


def entry_of(pid: int, **changed: object) -> Entry:
    return msgspec.structs.replace(Entry(pid, birth(pid), "127.0.0.1", 1, "token", time.time()), **changed)


def file_of(pid: int) -> Path:
    return log_of(pid).with_suffix(".json")


def test_a_daemon_is_in_the_roster_as_long_as_it_runs():
    entry = this_process("127.0.0.1", 11500, "token")
    with enrolled(entry):
        assert running() == [entry] and entry.alive
        assert file_of(entry.pid).stat().st_mode & 0o077 == 0  # the token is nobody else's to read
    assert running() == [] and not file_of(entry.pid).exists()


def test_it_leaves_the_roster_when_it_fails_too():
    with pytest.raises(ZeroDivisionError), enrolled(this_process("::1", 1, "")):
        raise ZeroDivisionError
    assert running() == []


def test_those_that_run_longest_come_first(other):
    older = entry_of(other.pid, since=1.0)
    with enrolled(this_process("127.0.0.1", 1, "")), enrolled(older):
        assert [entry.pid for entry in running()] == [other.pid, os.getpid()]


def test_what_the_dead_left_is_swept(other):
    with enrolled(entry_of(other.pid)):
        assert [entry.pid for entry in running()] == [other.pid]
        other.kill()
        while birth(other.pid):
            time.sleep(0.001)
        assert running() == [] and not file_of(other.pid).exists()


def test_a_process_that_got_the_number_of_a_dead_daemon_is_no_daemon(other):
    stranger = entry_of(other.pid, birth="1")
    with enrolled(stranger):
        assert running() == [] and not stranger.alive


@pytest.mark.parametrize(
    "content", [b"", b"{}", b"[]", b"\xff", b'{"pid": -1}', b"[" * 10**6, None], ids=lambda content: repr(content)[:12]
)
def test_what_is_none_of_ours_is_swept(content):
    file = file_of(os.getpid()).with_stem("12")
    file.write_bytes(msgspec.json.encode(entry_of(os.getpid())) if content is None else content)
    assert running() == [] and not file.exists()


def test_a_process_is_told_from_others_by_its_beginning(other, monkeypatch):
    assert birth(os.getpid()) == birth(os.getpid()) != ""
    assert birth(os.getpid()) != birth(other.pid)
    monkeypatch.setattr(roster, "read_text", lambda file: "")  # a system without /proc
    assert float(birth(os.getpid())) == psutil.Process().create_time()
    other.kill()
    while psutil.Process(other.pid).status() != psutil.STATUS_ZOMBIE:
        time.sleep(0.001)
    assert birth(other.pid) == ""
    other.wait()
    assert birth(other.pid) == ""


def test_the_last_logs_of_the_dead_stay_and_those_of_the_living():
    for number in range(1, roster.KEPT_LOGS + 4):
        for file in (log_of(number), log_of(number).with_name(f"{number}.log.1")):
            file.write_text("x")
            os.utime(file, (number, number))
    log_of(os.getpid()).write_text("x")
    os.utime(log_of(os.getpid()), (0, 0))
    first = this_process("127.0.0.1", 1, "")
    with enrolled(first), enrolled(entry_of(os.getppid())):
        kept = [int(file.stem) for file in logs()]
    assert kept == [*range(roster.KEPT_LOGS + 3, 3, -1), os.getpid()]
    assert not log_of(1).with_name("1.log.1").exists()
