"""A chat in a window of its own: what was started ends with the window, and the window with what was started."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from accel.errors import STATUS, UsageError

pytestmark = pytest.mark.skipif(os.name != "posix", reason="needs scripts that play a browser")

PATIENCE = 30.0
ACCEL = (sys.executable, "-m", "accel.runtime.cli")
# Loads the page as a browser does, and is open until somebody closes it.
BROWSER = """#!{python}
import json, pathlib, re, sys, time, urllib.request
url = next(word.removeprefix("--app=") for word in sys.argv[1:] if "http://" in word)
page = urllib.request.urlopen(url).read().decode()
token = re.search('accel-token" content="([^"]+)"', page)[1]
request = urllib.request.Request(url + "/api/state", headers={{"x-accel-token": token}})
state = json.load(urllib.request.urlopen(request))
said = pathlib.Path({folder!r}, "said.part")
said.write_text(json.dumps({{"words": sys.argv[1:], "models": state["models"]}}))
said.rename(said.with_suffix(""))
while not pathlib.Path({folder!r}, "close").exists():
    time.sleep(0.02)
sys.exit({code})
"""


class Command:
    """`accel chat --window`, where the only browser is a script of this name."""

    def __init__(self, folder: Path, browser: str = "chromium", code: int = 0) -> None:
        self.folder, self.home = folder, folder / "home"
        programs = folder / "programs"
        programs.mkdir()
        script = programs / browser
        script.write_text(BROWSER.format(python=sys.executable, folder=str(folder), code=code))
        script.chmod(0o755)
        clean = {name: value for name, value in os.environ.items() if not name.startswith(("ACCEL_", "DISPLAY"))}
        place = {"ACCEL_HOME": str(self.home), "PATH": str(programs), "BROWSER": browser}
        self.environment = clean | place
        self.process = subprocess.Popen(
            [*ACCEL, "chat", "--window"], stderr=subprocess.PIPE, text=True, env=self.environment
        )

    def shown(self) -> Any:
        """What the browser saw, once it has."""
        said = self.folder / "said"
        self._wait(said.is_file)
        return json.loads(said.read_text())

    def logs(self) -> str:
        """As `accel logs` shows them, in another terminal."""
        return subprocess.check_output([*ACCEL, "logs"], text=True, env=self.environment)

    def close_window(self) -> None:
        (self.folder / "close").touch()

    def ends(self) -> tuple[int, str]:
        family = psutil.Process(self.process.pid).children(recursive=True)
        _, told = self.process.communicate(timeout=PATIENCE)
        self._wait(lambda: not any(child.is_running() for child in family))
        assert not list((self.home / "state").glob("window-*"))
        return self.process.returncode, told

    def _wait(self, until: Callable[[], bool]) -> None:
        end = time.monotonic() + PATIENCE
        while not until():
            assert time.monotonic() < end and (self.process.poll() is None or until()), self.process.stderr
            time.sleep(0.02)


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., Command]]:
    started: list[Command] = []

    def command(**given: Any) -> Command:
        started.append(Command(tmp_path, **given))
        return started[-1]

    yield command
    for each in started:
        each.close_window()
        each.process.kill()
        each.process.wait()
        if each.process.stderr:
            each.process.stderr.close()


def test_the_page_is_in_a_window_of_its_own_and_closing_it_ends_all(start):
    command = start()
    shown = command.shown()
    assert any(word.startswith("--app=http://127.0.0.1:") for word in shown["words"])
    assert any(word.startswith("--user-data-dir=" + str(command.home)) for word in shown["words"])
    assert [model["name"] for model in shown["models"]] == ["demo"]
    command.close_window()
    assert command.ends()[0] == 0


def test_what_it_does_is_in_the_logs_and_not_on_the_terminal(start):
    command = start()
    command.shown()
    assert f"[{command.process.pid}]" in command.logs()  # the server told that it has started
    command.close_window()
    code, told = command.ends()
    assert code == 0 and '"event"' not in told
    assert json.loads(command.logs().splitlines()[-1])["event"].startswith("Finished")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_polite_kill_ends_the_window_too(start, number):
    command = start()
    command.shown()
    command.process.send_signal(number)
    assert command.ends()[0] == 0


def test_where_no_window_can_be_watched_it_says_how_to_end_it(start):
    command = start(browser="another-browser")
    assert not any("--app" in word for word in command.shown()["words"])
    command.close_window()
    command.process.send_signal(signal.SIGINT)
    code, told = command.ends()
    assert code == 0 and "Ctrl-C ends it" in told


def test_a_browser_that_fails_is_told(start):
    command = start(code=21)
    command.shown()
    command.close_window()
    code, told = command.ends()
    assert code == 1 and "ended with code 21; open http://" in told


def test_a_window_answers_no_prompt_of_the_command_line():
    done = subprocess.run([*ACCEL, "chat", "--window", "-p", "Hello"], capture_output=True, text=True, check=False)
    assert done.returncode == STATUS[UsageError].exit and "--prompt" in done.stderr
