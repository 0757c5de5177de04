"""Whatever happens to a worker, its front says what it was, and the next request works."""

import gc
import os
import re
import signal
import subprocess
import sys
import tempfile
import threading
import time
import weakref
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import psutil
import pytest

from accel.devices.link.sockets import FRAME
from accel.errors import (
    AccelError,
    ContextFull,
    EngineError,
    ModelEmpty,
    ModelMissing,
    StateError,
    UsageError,
    WorkerDied,
)
from accel.runtime import life, obituary
from accel.runtime.engines.fake import FakeEngine, FakeOptions
from accel.runtime.engines.options import EngineOptions
from accel.runtime.law import Law
from accel.runtime.messages import MOST_PARTS, Finished, GrammarSource, Prefilled, Started, Text
from accel.runtime.supervisor import Answer, Supervisor

ASSETS = Path(__file__).resolve().parents[3] / "shared" / "assets"
STORIES = ASSETS / "models" / "stories260K.gguf"
GO = "<|im_start|>user\ngo<|im_end|>\n<|im_start|>assistant\n"
SCRIPT = (("go", "an answer of some words"),)


@pytest.fixture(autouse=True)
def own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A place for sockets that must be empty in the end."""
    folder = tmp_path / "sockets"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    yield
    assert not list(folder.iterdir())


def supervise(**options: Any) -> Supervisor:
    return Supervisor("fake", replace(FakeOptions(script=SCRIPT), **options))


def text(answer: Answer) -> str:
    return "".join(step.text for step in answer if isinstance(step, Text))


def ask(supervisor: Supervisor, prompt: str = GO, **wishes: Any) -> Answer:
    return supervisor.generate("c", [prompt], Law(), **wishes)


def kill(supervisor: Supervisor, number: int = signal.SIGKILL) -> psutil.Process:
    assert supervisor.pid
    process = psutil.Process(supervisor.pid)
    process.send_signal(number)
    return process


def test_a_prompt_is_answered_step_by_step():
    with supervise() as supervisor:
        steps = list(ask(supervisor))
    assert isinstance(steps[0], Started) and isinstance(steps[1], Prefilled) and isinstance(steps[-1], Finished)
    assert "".join(step.text for step in steps if isinstance(step, Text)) == SCRIPT[0][1]


def test_loading_is_told_until_it_is_ready():
    told: list[float] = []
    with supervise(seconds_to_open=0.3) as supervisor:
        ready = supervisor.wait(told.append)
        assert ready.pid == supervisor.pid and ready.context == 4096 and "<|im_start|>" in ready.template
        assert (ready.bos, ready.eos) == ("<s>", "</s>")
    assert told == sorted(told) and told[0] == 0 and len(told) > 1


def test_killed_while_it_loads_it_is_said_and_the_next_request_works():
    with supervise(seconds_to_open=0.5) as supervisor:
        supervisor.start()
        while not supervisor.pid:
            time.sleep(0.01)
        kill(supervisor)
        with pytest.raises(WorkerDied, match="SIGKILL while it opened the model"):
            supervisor.wait()
        assert text(ask(supervisor)) == SCRIPT[0][1]


@pytest.mark.parametrize("stage", [Started, Text], ids=["prefill", "decode"])
def test_killed_while_it_answers_it_is_said_and_the_next_request_works(stage):
    with supervise(seconds_per_row=0.02) as supervisor:
        answer = ask(supervisor)
        while not isinstance(next(answer), stage):
            pass
        first = kill(supervisor).pid
        with pytest.raises(WorkerDied, match="SIGKILL"):
            list(answer)
        with pytest.raises(StopIteration):
            next(answer)
        assert text(ask(supervisor)) == SCRIPT[0][1]
        assert supervisor.pid != first


def test_killed_while_nobody_asks_the_next_request_works():
    with supervise() as supervisor:
        supervisor.wait()
        kill(supervisor).wait()
        assert supervisor.pid is None
        assert text(ask(supervisor)) == SCRIPT[0][1]


def test_of_a_worker_that_died_nothing_is_kept_once_another_runs():
    with supervise() as supervisor:
        supervisor.wait()
        first = weakref.ref(supervisor._life)
        kill(supervisor).wait()
        assert text(ask(supervisor)) == SCRIPT[0][1]
        end = time.monotonic() + 10  # its thread may be about to end
        while first() and time.monotonic() < end:
            gc.collect()
            time.sleep(0.01)
        assert first() is None


def test_an_engine_that_takes_its_process_down_is_a_worker_that_died():
    with supervise(die_at=5) as supervisor, pytest.raises(WorkerDied):
        list(ask(supervisor))


def test_an_engine_that_fails_is_an_error_and_the_worker_goes_on():
    with supervise(fail_at=3) as supervisor:
        with pytest.raises(EngineError, match="as it was told to"):
            list(ask(supervisor))
        pid = supervisor.pid
        assert text(ask(supervisor)) == SCRIPT[0][1]
        assert supervisor.pid == pid


def test_a_worker_that_gives_no_sign_of_life_is_replaced(monkeypatch):
    monkeypatch.setattr(life, "_PATIENCE", 0.5)
    monkeypatch.setattr(life, "_GRACE", 0.2)
    with supervise(seconds_per_forward=0.05) as supervisor:
        answer = ask(supervisor)
        next(answer)
        stopped = kill(supervisor, signal.SIGSTOP)
        with pytest.raises(WorkerDied, match="no sign of life"):
            list(answer)
        monkeypatch.setattr(life, "_PATIENCE", 30.0)
        assert not stopped.is_running()
        assert text(ask(supervisor)) == SCRIPT[0][1]


def test_cancelling_ends_an_answer_with_what_it_has():
    with supervise(seconds_per_forward=0.02, script=(("go", "x" * 1000),)) as supervisor:
        with ask(supervisor) as answer:
            while not isinstance(next(answer), Text):
                pass
            answer.cancel()
            *_, last = answer
        assert isinstance(last, Finished) and last.reason == "cancelled" and len(last.tokens) < 1000
        assert not supervisor.statistics().running


def test_leaving_an_answer_ends_it():
    with supervise(seconds_per_forward=0.01, script=(("go", "x" * 10_000),)) as supervisor:
        with ask(supervisor) as answer:
            next(answer)
        while supervisor.statistics().running:
            time.sleep(0.01)
        assert supervisor.statistics().generated < 10_000


def test_a_signal_handler_may_cancel():
    with supervise(seconds_per_forward=0.01, script=(("go", "x" * 1000),)) as supervisor:
        answer = ask(supervisor)
        before = signal.signal(signal.SIGUSR1, lambda *_: answer.cancel())
        try:
            for step in answer:
                if isinstance(step, Text):
                    os.kill(os.getpid(), signal.SIGUSR1)
        finally:
            signal.signal(signal.SIGUSR1, before)
        assert isinstance(step, Finished) and step.reason == "cancelled"


def test_fifty_threads_may_ask_at_once():
    script = tuple((f"[{number}]", f"answer to {number}") for number in range(50))
    found: dict[int, str] = {}
    with supervise(script=script, sequences=10, context=20_000) as supervisor:

        def one(number: int) -> None:
            prompt = f"<|im_start|>user\n[{number}]<|im_end|>\n<|im_start|>assistant\n"
            found[number] = text(supervisor.generate(f"c{number}", [prompt], Law()))

        threads = [threading.Thread(target=one, args=(number,)) for number in range(50)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert found == {number: f"answer to {number}" for number in range(50)}


def test_the_second_turn_forwards_only_its_new_tokens():
    with supervise() as supervisor:
        *_, first = ask(supervisor)
        assert isinstance(first, Finished)
        more = "<|im_end|>\n<|im_start|>user\nmore<|im_end|>\n<|im_start|>assistant\n"
        *_, second = supervisor.generate("c", [GO, first.tokens, more], Law(), most=1)
        assert isinstance(second, Finished)
        assert second.usage.reused == first.usage.prompt + len(first.tokens)
        assert second.usage.forwarded == second.usage.prompt - second.usage.reused
        assert supervisor.statistics().rows == first.usage.forwarded + second.usage.forwarded


def test_a_conversation_goes_on_after_a_restart_without_being_forwarded_again(tmp_path):
    path = str(tmp_path / "state")
    with supervise() as supervisor:
        *_, first = ask(supervisor)
        assert isinstance(first, Finished)
        assert supervisor.save("c", path).positions == first.usage.prompt + len(first.tokens)
    with supervise() as supervisor:
        assert supervisor.load("d", path).positions == first.usage.prompt + len(first.tokens)
        *_, second = supervisor.generate("d", [GO, first.tokens, "<|im_end|>\n"], Law(), most=1)
        assert isinstance(second, Finished) and second.usage.forwarded == 2
        (tmp_path / "state").write_bytes(b"damaged")
        with pytest.raises(StateError):
            supervisor.load("d", path)
        supervisor.forget("d")
        assert supervisor.statistics().positions == 0


def test_a_prompt_is_counted_and_a_long_one_refused():
    with supervise(context=64) as supervisor:
        assert supervisor.encode(["ab", (5, 6)]) == (256, 97, 98, 5, 6)
        with pytest.raises(ContextFull, match=r"\b101\b.*\b64\b"):
            list(ask(supervisor, "x" * 100))


def test_a_text_that_no_message_can_hold_is_a_usage_error():
    with supervise() as supervisor:
        with pytest.raises(UsageError):
            ask(supervisor, "\udcff")
        assert text(ask(supervisor)) == SCRIPT[0][1]


def test_more_than_a_worker_can_be_told_at_once_is_a_usage_error_and_it_goes_on():
    with supervise() as supervisor:
        pid = supervisor.wait().pid
        with pytest.raises(UsageError, match=r"8\.00 MiB"):
            ask(supervisor, "x" * FRAME)
        with pytest.raises(UsageError, match="parts"):
            supervisor.encode(["x"] * (MOST_PARTS + 1))
        assert text(ask(supervisor)) == SCRIPT[0][1] and supervisor.pid == pid


@pytest.mark.parametrize(("make", "error"), [(None, ModelMissing), (b"", ModelEmpty)], ids=["missing", "empty"])
def test_what_cannot_be_opened_is_said_each_time(tmp_path, make, error):
    path = tmp_path / "model.gguf"
    if make is not None:
        path.write_bytes(make)
    with Supervisor("llamacpp", EngineOptions(str(path))) as supervisor:
        for _ in range(2):
            with pytest.raises(error, match=r"model\.gguf"):
                supervisor.wait()


def test_an_engine_that_is_none_is_a_usage_error():
    with Supervisor("steam", FakeOptions()) as supervisor, pytest.raises(UsageError, match="steam"):
        supervisor.wait()


@pytest.mark.parametrize("stage", ["never", "loading", "ready", "answering"])
def test_stopping_leaves_no_process_and_no_folder(stage):
    supervisor = supervise(seconds_to_open=30.0 if stage == "loading" else 0.0, seconds_per_forward=0.05)
    processes = []
    if stage != "never":
        supervisor.start()
        while not supervisor.pid:
            time.sleep(0.01)
        processes.append(psutil.Process(supervisor.pid))
    if stage == "ready":
        supervisor.wait()
    answer = ask(supervisor) if stage == "answering" else None
    supervisor.stop()
    assert supervisor.pid is None
    assert not any(process.is_running() for process in processes)
    if answer:
        with pytest.raises(WorkerDied, match="stopped"):
            list(answer)
    supervisor.stop()


def test_it_starts_again_after_it_was_stopped():
    supervisor = supervise()
    for _ in range(2):
        assert text(ask(supervisor)) == SCRIPT[0][1]
        supervisor.stop()


def test_modules_in_the_current_folder_are_not_the_workers(tmp_path, monkeypatch):
    for name in ("msgspec", "numpy", "zmq", "random"):
        (tmp_path / f"{name}.py").write_text("raise SystemExit('hello from the current folder')")
    monkeypatch.chdir(tmp_path)
    with supervise() as supervisor:
        assert text(ask(supervisor)) == SCRIPT[0][1]


def test_a_folder_for_sockets_that_is_not_there_is_one_line(tmp_path, monkeypatch):
    (tmp_path / "sockets").mkdir(exist_ok=True)
    with monkeypatch.context() as patched, supervise() as supervisor:
        patched.setattr(tempfile, "tempdir", str(tmp_path / "nowhere"))
        with pytest.raises(AccelError, match="TMPDIR"):
            supervisor.wait()


def test_a_front_without_ipc_meets_its_worker_on_loopback(tmp_path, monkeypatch):
    deep = tmp_path / "sockets" / ("d" * 90)
    deep.mkdir()
    with monkeypatch.context() as patched, supervise() as supervisor:
        patched.setattr(tempfile, "tempdir", str(deep))
        assert text(ask(supervisor)) == SCRIPT[0][1]
    deep.rmdir()


@pytest.mark.parametrize(
    ("script", "words"),
    [
        ("import os; os.kill(os.getpid(), 9)", "ended by SIGKILL"),
        ("import os, sys; sys.stderr.write('GGML_ASSERT(x)\\n'); sys.stderr.flush(); os.abort()", r"SIGABRT: GGML_ASS"),
        ("import sys; sys.stderr.write('a\\n' * 9999 + 'last\\n'); sys.exit(3)", "exit code 3: last"),
        ("import sys; sys.stderr.write('x' * 10**6); sys.exit(3)", "exit code 3: x{1,400}$"),
    ],
)
def test_an_obituary_names_the_cause_and_the_last_words(script, words):
    found = obituary.Obituary()
    process = subprocess.Popen([sys.executable, "-c", script], stderr=subprocess.PIPE)
    found.listen(process)
    process.wait()
    error = found.read(process, ready=True)
    assert re.search(words, error.what) and "try again" in error.do


def test_a_worker_that_never_had_its_model_is_not_said_to_do_better_next_time():
    found = obituary.Obituary()
    process = subprocess.Popen([sys.executable, "-c", "raise SystemExit('no engine')"], stderr=subprocess.PIPE)
    found.listen(process)
    error = found.read(process, ready=False)
    assert error.what == "the worker ended with exit code 1 while it opened the model: no engine"
    assert "again" not in error.do and "accel doctor" in error.do


@pytest.mark.parametrize("loads", [False, True], ids=["before it listens", "while it loads"])
def test_a_worker_that_is_silent_before_it_has_its_model_is_said_to_be(monkeypatch, loads):
    monkeypatch.setattr(life, "_GRACE", 0.2)
    monkeypatch.setattr(life, "_START", 60.0 if loads else 0.5)
    with supervise(seconds_to_open=60.0) as supervisor:
        supervisor.start()
        while not supervisor.pid or (loads and not supervisor._living().loaded):
            time.sleep(0.001)
        monkeypatch.setattr(life, "_PATIENCE", 0.4)
        kill(supervisor, signal.SIGSTOP)
        with pytest.raises(WorkerDied, match="no sign of life for 0 s while it opened the model"):
            supervisor.wait()


def test_a_kill_for_want_of_memory_is_named(monkeypatch):
    found = obituary.Obituary()
    monkeypatch.setattr(obituary, "_killed_for_memory", lambda: found._killed_before + 1)
    process = subprocess.Popen([sys.executable, "-c", "import os; os.kill(os.getpid(), 9)"], stderr=subprocess.PIPE)
    found.listen(process)
    assert "memory ran out" in found.read(process, ready=False).what


@pytest.fixture
def small_group() -> Iterator[Path]:
    """A control group of 60 MB of memory."""
    first = Path("/sys/fs/cgroup/memory")
    group = (first if first.exists() else Path("/sys/fs/cgroup")) / f"accel-test-{os.getpid()}"
    limit = group / ("memory.limit_in_bytes" if first.exists() else "memory.max")
    try:
        group.mkdir()
    except OSError:
        pytest.skip("control groups cannot be made here")
    try:
        if not limit.exists():
            pytest.skip("control groups do not limit memory here")
        limit.write_text(str(60 * 2**20))
        yield group
    finally:
        for _ in range(100):
            try:
                group.rmdir()
                break
            except OSError:  # its last process is still being taken down
                time.sleep(0.02)


def test_a_worker_that_runs_out_of_memory_is_said_to_have_and_the_next_request_works(small_group):
    with supervise(context=2**20, batch=2**19) as supervisor:
        supervisor.wait()
        (small_group / "cgroup.procs").write_text(str(supervisor.pid))
        with pytest.raises(WorkerDied, match="memory ran out"):
            list(ask(supervisor, "x" * 500_000))
        assert text(ask(supervisor)) == SCRIPT[0][1]


@pytest.mark.skipif(not STORIES.exists(), reason="no ../shared/assets here")
class TestRealModel:
    options = EngineOptions(str(STORIES), context=512, sequences=2)
    prompt = ("Once upon a time, there was a little",)

    def test_a_real_model_tells_the_same_story_every_time(self):
        greedy = Law(temperature=0)
        with Supervisor("llamacpp", self.options) as supervisor:
            *steps, first = supervisor.generate("a", self.prompt, greedy, most=60)
            *_, again = supervisor.generate("a", self.prompt, greedy, most=60)
            *_, fresh = supervisor.generate("b", self.prompt, greedy, most=60)
        assert isinstance(first, Finished) and isinstance(again, Finished) and isinstance(fresh, Finished)
        assert first.tokens == again.tokens == fresh.tokens
        assert again.usage.forwarded == 1 + len(again.tokens) - 1
        assert " girl " in "".join(step.text for step in steps if isinstance(step, Text))

    def test_a_real_model_is_killed_and_comes_back(self):
        with Supervisor("llamacpp", self.options) as supervisor:
            answer = supervisor.generate("a", self.prompt, Law())
            while not isinstance(next(answer), Text):
                pass
            kill(supervisor)
            with pytest.raises(WorkerDied, match="SIGKILL"):
                list(answer)
            *_, last = supervisor.generate("a", self.prompt, Law(), most=5)
            assert isinstance(last, Finished) and len(last.tokens) == 5

    def test_a_real_model_saves_a_story_and_goes_on_with_it_elsewhere(self, tmp_path):
        path = str(tmp_path / "state")
        law = Law(temperature=0)
        with Supervisor("llamacpp", self.options) as supervisor:
            *_, whole = supervisor.generate("a", self.prompt, law, most=40)
            *_, half = supervisor.generate("b", self.prompt, law, most=20)
            supervisor.save("b", path)
        assert isinstance(whole, Finished) and isinstance(half, Finished)
        with Supervisor("llamacpp", self.options) as supervisor:
            positions = supervisor.load("b", path).positions
            *_, rest = supervisor.generate("b", [*self.prompt, half.tokens], law, most=20)
            assert isinstance(rest, Finished) and rest.usage.reused == positions
            assert half.tokens + rest.tokens == whole.tokens
        with Supervisor("llamacpp", replace(self.options, kv_type="f32")) as supervisor, pytest.raises(StateError):
            supervisor.load("b", path)

    def test_a_real_model_is_timed(self):
        with Supervisor("llamacpp", self.options) as supervisor:
            measured = supervisor.measure(0.05)
            assert measured.rows[0] == 1 and len(measured.rows) == len(measured.seconds)
            assert all(seconds > 0 for seconds in measured.seconds)


def test_the_fake_engine_in_a_worker_says_what_it_says_here():
    from accel.runtime.generate import Generator
    from accel.runtime.messages import Generate
    from accel.runtime.sequences import Sequences
    from accel.runtime.stream import Ticket

    engine: Any = FakeEngine(FakeOptions())
    said: list[Any] = []
    generator = Generator(engine, Sequences(engine), said.append)
    generator.add(Ticket(Generate(1, "c", ("hello",), Law(seed=3), most=50)))
    while generator.step():
        pass
    with Supervisor("fake", FakeOptions()) as supervisor:
        *_, last = supervisor.generate("c", ["hello"], Law(seed=3), most=50)
    assert isinstance(last, Finished) and last.tokens == said[-1].tokens


@pytest.mark.parametrize(
    "wishes",
    [
        {"most": 0},
        {"prompt": [[-1]]},
        {"prompt": [[2**40]]},
        {"prompt": [[2**70]]},
        {"conversation": ""},
        {"conversation": "c" * 300},
        {"stops": ["x"] * 65},
        {"grammar": GrammarSource("poem", "x")},  # type: ignore[arg-type]
    ],
    ids=str,
)
def test_who_asks_for_what_cannot_be_is_told_and_nobody_else_is_disturbed(wishes):
    wrong: dict[str, Any] = {"conversation": "d", "prompt": [GO], "law": Law(), **wishes}
    with supervise(seconds_per_forward=0.01, script=(), answer_length=60) as supervisor:
        other = iter(ask(supervisor))
        next(other)
        pid = supervisor.pid
        with pytest.raises(UsageError):
            supervisor.generate(**wrong)
        with pytest.raises(UsageError):
            supervisor.save("c", "a\0b")
        *_, last = other
        assert isinstance(last, Finished) and supervisor.pid == pid
