"""The chat as a person uses it: the real command on a terminal of its own, and through pipes."""

import os
import re
import select
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

from accel.runtime import demo

pty = pytest.importorskip("pty")

STORIES = Path(__file__).resolve().parents[3].parent / "shared" / "assets" / "models" / "stories260K.gguf"
LONG = "50000"  # tokens: more than the context, so that an answer lasts


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """One folder for all these tests: the machine is measured once."""
    if not STORIES.is_file():
        pytest.skip("../shared/assets/models/stories260K.gguf is not there")
    return tmp_path_factory.mktemp("home")


def environment(home: Path) -> dict[str, str]:
    clean = {name: value for name, value in os.environ.items() if not name.startswith("ACCEL_")}
    return {**clean, "ACCEL_HOME": str(home), "TERM": "xterm", "COLUMNS": "80", "LINES": "24"}


def command(*words: str) -> list[str]:
    return [sys.executable, "-m", "accel.runtime.cli", "chat", str(STORIES), *words]


def piped(home: Path, *words: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command(*words), input=stdin, capture_output=True, text=True, timeout=60, env=environment(home), check=False
    )


class Terminal:
    """A chat on a terminal of its own."""

    def __init__(self, home: Path, *words: str) -> None:
        self._ours, theirs = pty.openpty()
        self.process = subprocess.Popen(
            command(*words), stdin=theirs, stdout=theirs, stderr=theirs, env=environment(home), start_new_session=True,
            preexec_fn=_take_terminal,
        )  # fmt: skip
        os.close(theirs)
        self.text = ""

    def type(self, text: str) -> None:
        os.write(self._ours, text.encode())

    def wait_for(self, pattern: str, seconds: float = 60) -> str:
        """What was shown up to and with the pattern, which is then behind us."""
        until = time.monotonic() + seconds
        while not (found := re.search(pattern, self.text, re.DOTALL)):
            left = until - time.monotonic()
            assert left > 0, f"waited in vain for {pattern!r} in {self.text!r}"
            if select.select([self._ours], [], [], left)[0]:
                try:
                    self.text += _plain(os.read(self._ours, 65536).decode(errors="replace"))
                except OSError:
                    assert re.search(pattern, self.text, re.DOTALL), f"ended without {pattern!r}: {self.text!r}"
        seen, self.text = self.text[: found.end()], self.text[found.end() :]
        return seen

    def interrupt(self) -> str:
        """Ctrl-C at the prompt; once more where Python had shown it and did not listen yet. What is said then."""
        for _ in range(6):
            self.type("\x03")
            with suppress(AssertionError):
                return self.wait_for(PROMPT, 10)
        raise AssertionError("Ctrl-C is not heard")

    def ask(self, text: str) -> None:
        """Types a message and waits until its answer has begun."""
        self.type(text + "\n")
        self.wait_for(re.escape(text))
        self.wait_for(r"(?!reading)[A-Za-z]+ [a-z]+ [a-z]+ [a-z]+")

    def worker(self) -> psutil.Process:
        children = psutil.Process(self.process.pid).children()
        children = [child for child in children if child.status() != psutil.STATUS_ZOMBIE]
        return next(child for child in children if "accel.runtime.worker" in " ".join(child.cmdline()))

    def close(self) -> None:
        self.process.kill()
        self.process.wait()
        os.close(self._ours)


def _take_terminal() -> None:
    import fcntl
    import termios

    signal.signal(signal.SIGINT, signal.SIG_DFL)  # whoever runs the tests in the background has it ignored

    fcntl.ioctl(0, termios.TIOCSCTTY, 0)


def _plain(text: str) -> str:
    return re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]|\r", "", text)


@pytest.fixture
def terminal(home) -> Iterator[object]:
    opened: list[Terminal] = []

    def start(*words: str) -> Terminal:
        opened.append(Terminal(home, *words))
        return opened[-1]

    yield start
    for each in opened:
        each.close()


PROMPT = r"> $"


def test_a_prompt_is_answered_once_on_stdout(home):
    done = piped(home, "-p", "Once upon a time", "--seed", "1", "--max-tokens", "20")
    assert done.returncode == 0 and done.stdout.endswith("\n") and len(done.stdout.split()) > 3
    assert piped(home, "-p", "Once upon a time", "--seed", "1", "--max-tokens", "20").stdout == done.stdout
    assert piped(home, "-p", "Once upon a time", "--seed", "2", "--max-tokens", "20").stdout != done.stdout
    assert not (home / "state" / "sessions").exists()


@pytest.mark.skipif(not demo.draft().is_file(), reason="the demo models are not here")
def test_what_changes_the_text_is_labelled(home):
    words = [*command("-p", "Hello", "--max-tokens", "4")]
    words[words.index(str(STORIES))] = str(demo.draft())
    for more, labelled in (([], False), (["--kv-type", "q8_0", "--approximate"], True)):
        done = subprocess.run(
            [*words, *more], capture_output=True, text=True, timeout=60, env=environment(home), check=False
        )
        assert done.returncode == 0 and ("approximate" in done.stderr) == labelled


def test_every_line_of_a_pipe_is_a_turn(home):
    done = piped(home, "--temperature", "0", "--max-tokens", "8", stdin="Once upon a time\n\n/stats\nThen\n")
    assert done.returncode == 0 and len(done.stdout.splitlines()) >= 2
    assert "context" in done.stderr and ">" not in done.stdout


def test_bytes_that_are_no_text_end_nothing(home):
    done = subprocess.run(
        command("--max-tokens", "4"), input=b"Once \xff\xfe upon\n", capture_output=True, timeout=60, check=False,
        env={**environment(home), "PYTHONIOENCODING": "ascii"},
    )  # fmt: skip
    assert done.returncode == 0 and done.stdout.strip() and b"Traceback" not in done.stderr
    done = subprocess.run(
        [*command("--max-tokens", "4"), b"-p", b"Once \xff upon"], capture_output=True, timeout=60, check=False,
        env=environment(home),
    )  # fmt: skip
    assert b"Traceback" not in done.stderr


def test_a_turn_that_fails_does_not_end_the_pipe_but_gives_its_code(home):
    done = piped(home, "--max-tokens", "4", "--context", "256", stdin=f"{'word ' * 3000}\nOnce\n/nonsense\n")
    assert "shorten it" in done.stderr and done.stdout.strip() and "/help" in done.stderr
    assert done.returncode == 2


def test_a_reader_that_leaves_ends_the_chat(home):
    child = subprocess.Popen(
        [*command("-p", "Once", "--max-tokens", LONG)], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        env=environment(home),
    )  # fmt: skip
    assert child.stdout and child.stderr
    child.stdout.read(1)
    child.stdout.close()
    assert child.wait(timeout=30) == 141
    assert b"Traceback" not in child.stderr.read()
    child.stderr.close()


def test_a_conversation_on_a_terminal(terminal, home):
    chat = terminal("--max-tokens", "12")
    assert "/help lists the commands" in chat.wait_for(PROMPT)
    chat.type("Once upon a time\n")
    answer = chat.wait_for(PROMPT)
    assert re.search(r"tokens/s · \d+ of \d+ tokens of context · [\d.]+ MiB of [\d.]+ MiB planned", answer)
    chat.type("/plan\n")
    assert "weights" in chat.wait_for(PROMPT)
    chat.type("/save my story\n")
    assert "saved as 'my story'" in chat.wait_for(PROMPT)
    chat.type("/system Be brief.\n")
    chat.wait_for(PROMPT)
    chat.type("/system\n")
    assert "Be brief." in chat.wait_for(PROMPT).replace("/system", "")
    chat.type("/nonsense\n")
    assert "there is no /nonsense" in chat.wait_for(PROMPT)
    chat.type("/quit\n")
    assert chat.process.wait(timeout=20) == 0
    typed = home / "state" / "typed"
    assert "Once upon a time" in typed.read_text() and typed.stat().st_mode & 0o777 == 0o600


def test_a_saved_chat_goes_on_without_reading_it_again(terminal):
    chat = terminal("--max-tokens", "12")
    chat.wait_for(PROMPT)
    chat.type("Once upon a time there was a dog who had a long name\n")
    chat.wait_for(PROMPT)
    chat.type("/save kept\n")
    chat.wait_for(PROMPT)
    chat.type("\x04")
    assert chat.process.wait(timeout=20) == 0
    again = terminal("--resume", "kept", "--max-tokens", "4")
    opened = again.wait_for(PROMPT)
    assert "'kept': 2 messages" in opened and "anew" not in opened
    again.type("Then\n")
    again.wait_for(PROMPT)
    again.type("/stats\n")
    told = again.wait_for(PROMPT)
    ((prompt, cached),) = re.findall(r"prompt +(\d+) tokens, (\d+) of them cached", told)
    assert int(cached) > 40 and int(prompt) - int(cached) < 60


def test_ctrl_c_stops_the_answer_and_the_chat_goes_on(terminal):
    chat = terminal("--max-tokens", LONG, "--temperature", "0")
    chat.wait_for(PROMPT)
    assert "Ctrl-D" in chat.interrupt()
    chat.ask("Once upon a time")
    chat.type("\x03")
    stopped = chat.wait_for(PROMPT)
    assert "Traceback" not in stopped
    chat.type("/stats\n")
    assert "ended by: cancelled" in chat.wait_for(PROMPT)
    chat.type("\x04")
    assert chat.process.wait(timeout=20) == 0


def test_a_worker_that_is_killed_is_told_within_a_second_and_replaced(terminal):
    chat = terminal("--max-tokens", LONG)
    chat.wait_for(PROMPT)
    chat.ask("Once upon a time")
    worker = chat.worker()
    worker.send_signal(signal.SIGKILL)
    assert "the worker was ended by SIGKILL" in chat.wait_for(PROMPT)
    chat.type("/system\n")
    chat.wait_for(PROMPT)
    chat.ask("And then")
    chat.type("\x03")
    chat.wait_for(PROMPT)
    assert chat.worker().pid != worker.pid


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_chat_that_is_told_to_end_keeps_what_was_said(terminal, home, number):
    chat = terminal("--max-tokens", LONG)
    chat.wait_for(PROMPT)
    chat.ask(f"Once upon a time, number {int(number)}")
    chat.process.send_signal(number)
    assert chat.process.wait(timeout=20) == 128 + number
    kept = [path.read_text() for path in (home / "state" / "sessions").glob("*.json")]
    assert any(f"Once upon a time, number {int(number)}" in text for text in kept)
    assert not list(home.rglob("*.part"))


def test_no_process_is_left_behind(terminal):
    chat = terminal("--max-tokens", "4")
    chat.wait_for(PROMPT)
    chat.type("Once\n")
    chat.wait_for(PROMPT)
    family = psutil.Process(chat.process.pid).children(recursive=True)
    assert family
    chat.process.kill()
    chat.process.wait()
    _, alive = psutil.wait_procs(family, timeout=10)
    assert not alive
