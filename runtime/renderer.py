"""The front's side of the process in which chat templates are rendered (template_process.py).

A template is a program that came with a model file, so it runs in a process that can do nothing else: one that loops
for ever, fills memory, opens files or reaches for Python's inside is a TemplateError within a second, whatever it does.
"""

import json
import os
import subprocess
import sys
import threading
import weakref
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from ..errors import TemplateError

OTHER = "use another model file, or give a template of your own"
_SCRIPT = Path(__file__).with_name("template_process.py")
_START_SECONDS = 60.0  # until the process is there, on a machine under load
_WALL_SECONDS = 20.0  # for a job that is limited to far less processor time
_UNTIMED_SECONDS = 1.0  # where the system cannot limit processor time
_FIT = "change them as the model wants them"


class Renderer:
    """One job at a time, from any thread; a process that was killed is followed by another. It starts and ends with the
    object: make it early, and it is there when the first text is needed. Raises TemplateError where there can be none.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._seconds = 0.0  # that a job may take; unknown until the process has said hello
        self._child = self._start()

    def render(self, source: str, variables: Mapping[str, Any]) -> str:
        """What a template makes of its variables. Raises TemplateError, with the template's own words where it has
        some."""
        try:
            job = json.dumps({"source": source, "variables": variables}, default=_plain)
        except (TypeError, ValueError, RecursionError) as error:
            raise TemplateError(f"a message holds what no template can be given: {error}", "use text alone") from error
        with self._lock:
            if self._child.poll() is not None:
                self._child = self._start()
            if not self._seconds:
                self._greet()
            answer = self._ask(job, self._seconds)
        if answer is None:
            raise TemplateError("the model's chat template does not come to an end", OTHER)
        if "refused" in answer:
            raise TemplateError(f"the model does not take these messages: {_line(str(answer['refused']))}", _FIT)
        if not isinstance(answer.get("text"), str):
            raise TemplateError(f"the model's chat template {_line(str(answer.get('error')))}", OTHER)
        return answer["text"]

    def close(self) -> None:
        with self._lock:
            _end(self._child)

    def _start(self) -> "subprocess.Popen[str]":
        kept = {name: os.environ[name] for name in ("SYSTEMROOT",) if name in os.environ}  # Windows needs it to start
        path = os.pathsep.join(place for place in sys.path if place)
        try:
            child = subprocess.Popen(
                [sys.executable, "-P", str(_SCRIPT)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                env={"PYTHONPATH": path, "PYTHONUTF8": "1", **kept},
                encoding="utf-8",
                start_new_session=True,  # Ctrl-C at a terminal is for us
            )
        except OSError as error:
            raise TemplateError(f"no process for the chat template: {error}", "free memory or processes") from error
        weakref.finalize(self, _end, child)
        self._seconds = 0.0
        return child

    def _greet(self) -> None:
        hello = self._ask("", _START_SECONDS)
        if hello is None:
            raise TemplateError("the process for the chat template does not start", "install accel again")
        self._seconds = _WALL_SECONDS if hello.get("timed") else _UNTIMED_SECONDS

    def _ask(self, job: str, seconds: float) -> dict[str, Any] | None:
        """The answer, or None where the process ended over it."""
        child = self._child
        assert child.stdin and child.stdout
        watch = threading.Timer(seconds, child.kill)
        watch.daemon = True
        watch.start()
        try:
            if job:
                child.stdin.write(job + "\n")
                child.stdin.flush()
            answer = json.loads(child.stdout.readline())
        except (OSError, ValueError):
            answer = None
        except BaseException:  # of a Ctrl-C, too: what it still answers would be taken for the next job's
            _end(child)
            raise
        finally:
            watch.cancel()
        if isinstance(answer, dict):
            return answer
        _end(child)
        return None


def _end(child: "subprocess.Popen[str]") -> None:
    child.kill()
    child.wait()
    for stream in (child.stdin, child.stdout):
        with suppress(OSError):  # what it had not read of a job is lost with it
            if stream:
                stream.close()


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return dict(value)
    raise TypeError(f"a {type(value).__name__}")


def _line(words: str) -> str:
    """On one line, at most as long as a message should be."""
    return " ".join(words.split())[:300]
