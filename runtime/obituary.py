"""What a worker died of, as far as anyone can tell."""

import signal
import subprocess
import threading
from collections import deque
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

from ..errors import WorkerDied

_LINE = 400  # bytes of one
_AGAIN = "try again: a new worker starts"
_NEVER_OPENED = "see `accel doctor`: where the engine runs, take another file of the model"


class Obituary:
    """Listens to a process's last words, and says why it has ended."""

    def __init__(self) -> None:
        self._words: deque[bytes] = deque(maxlen=20)
        self._listener: threading.Thread | None = None
        self._killed_before = _killed_for_memory()

    def listen(self, process: "subprocess.Popen[bytes]") -> None:
        """Takes what it writes to its standard error, until it ends."""
        if process.stderr:
            self._listener = threading.Thread(target=self._hear, args=(process.stderr,), daemon=True)
            self._listener.start()

    def read(self, process: "subprocess.Popen[bytes] | None", ready: bool) -> WorkerDied:
        """Once the process has ended; `ready` says whether it had opened its model before."""
        code = process.wait() if process else None
        if self._listener:
            self._listener.join(1.0)
        if code == -signal.SIGKILL and _killed_for_memory() > self._killed_before:
            return WorkerDied(
                "memory ran out and the system killed the worker", "close other programs, or take a smaller context"
            )
        if code is not None and code < 0:
            return died(f"was ended by {_signal_name(-code)}", ready, self._last_words())
        return died(f"ended with exit code {code}", ready, self._last_words())

    def _hear(self, source: BinaryIO) -> None:
        with source, suppress(OSError, ValueError):
            while line := source.readline(_LINE):
                if line.strip():
                    self._words.append(line)

    def _last_words(self) -> str:
        words = self._words[-1].decode(errors="replace").strip() if self._words else ""
        return f": {words}" if words else ""


def died(end: str, ready: bool, last_words: str = "") -> WorkerDied:
    """The error of a worker that has come to this end. One that had no model yet would come to it again."""
    if ready:
        return WorkerDied(f"the worker {end}{last_words}", _AGAIN)
    return WorkerDied(f"the worker {end} while it opened the model{last_words}", _NEVER_OPENED)


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


def _killed_for_memory() -> int:
    """Processes that this system has killed for want of memory; 0 where it does not tell."""
    with suppress(OSError, ValueError):
        for line in Path("/proc/vmstat").read_text().splitlines():
            if line.startswith("oom_kill "):
                return int(line.split()[1])
    return 0
