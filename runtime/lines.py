"""A measurement in a process of its own that says how far it is: a job on stdin as one line of JSON, what is being done
and at last what was found on stdout, each as such a line.

The process ends with the one that asked, which holds its stdin open, and when it is no longer wanted.
"""

import os
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from tempfile import TemporaryFile
from typing import Any, TypeVar

import msgspec

from .. import errors
from ..errors import AccelError, Cancelled, EngineError
from ..units import from_json, to_json
from .measure_costs import FAILED, Failure
from .parent import end_with_parent

T = TypeVar("T")
Tell = Callable[[str, float], object]  # what is being done, and how much of it is, 0..1
Progress = Callable[[str, float], bool]  # the same; False: no more, please

_BEAT = 0.1  # seconds between two lines


@dataclass(frozen=True, slots=True)
class Line:
    doing: str = ""
    done: float = 0.0
    found: Any = None
    failure: Failure | None = None


def ask(module: str, job: object, kind: type[T], what: str, progress: Progress) -> T:
    """What a module of this package finds; `what` names that in errors.

    Raises what the process raises, EngineError where it dies or babbles, Cancelled.
    """
    command = [sys.executable, "-P", "-m", f"{__package__}.{module}"]
    with TemporaryFile() as said:  # a pipe that nobody reads would fill up
        child = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=said, start_new_session=True
        )
        try:
            assert child.stdin and child.stdout
            child.stdin.write(to_json(job) + b"\n")
            child.stdin.flush()
            for raw in child.stdout:
                line = from_json(raw, Line)
                if line.failure:
                    raised = getattr(errors, line.failure.kind, EngineError)
                    raise raised(line.failure.what, line.failure.do)
                if line.found is not None:
                    return from_json(to_json(line.found), kind)
                if not progress(line.doing, line.done):
                    raise Cancelled(f"measuring {what} was stopped")
        except (OSError, msgspec.MsgspecError) as error:
            raise EngineError(f"{what} could not be measured: {error}", "see `accel doctor`") from error
        finally:
            child.kill()
            child.communicate()
        said.seek(0)
        last = (said.read().decode(errors="replace").strip().splitlines() or [f"exit code {child.returncode}"])[-1]
    raise EngineError(f"the engine failed while {what} was measured: {last[:200]}", "see `accel doctor`")


def answer(kind: type[Any], measure: Callable[[Any, Tell], object]) -> int:
    """The process's side: its exit code, once `measure` was given the job and its result was said."""
    job = from_json(sys.stdin.buffer.readline(), kind)
    end_with_parent(sys.stdin.buffer, lambda: os._exit(FAILED))
    try:
        _say(Line(found=measure(job, _teller())))
    except AccelError as error:
        _say(Line(failure=Failure(type(error).__name__, error.what, error.do)))
        return FAILED
    return 0


def _say(line: Line) -> None:
    sys.stdout.buffer.write(to_json(line) + b"\n")
    sys.stdout.buffer.flush()


def _teller() -> Tell:
    told = 0.0

    def tell(doing: str, done: float) -> None:
        nonlocal told
        if done in (0, 1) or time.monotonic() > told + _BEAT:
            told = time.monotonic()
            _say(Line(doing, done))

    return tell
