"""What the user types, a line at a time, with the lines typed before at hand."""

import sys
from pathlib import Path
from typing import Protocol

from ...devices.files import write_atomic
from ...errors import AccelError

MOST = 1000  # lines remembered
PROMPT = "> "


class Lines(Protocol):
    def next(self) -> str | None: ...
    def close(self) -> None: ...


class TypedLines:
    """Lines typed on a terminal. They are remembered in `memory`, which its owner alone can read; None for not."""

    def __init__(self, memory: Path | None) -> None:
        self._memory = memory
        self._readline = _readline()
        if self._readline and memory and memory.is_file():
            try:
                self._readline.read_history_file(memory)
            except OSError:
                self._memory = None  # of another user, or damaged: leave it as it is

    def next(self) -> str | None:
        """The next line; None at the end (Ctrl-D). Raises KeyboardInterrupt for Ctrl-C."""
        try:
            return input(PROMPT)
        except EOFError:
            print()
            return None
        except UnicodeDecodeError:
            return ""

    def close(self) -> None:
        if not self._readline or not self._memory:
            return
        count = self._readline.get_current_history_length()
        lines = [self._readline.get_history_item(number) or "" for number in range(max(1, count - MOST + 1), count + 1)]
        try:
            self._memory.touch(mode=0o600)
            write_atomic(self._memory, "".join(f"{line}\n" for line in lines if "\n" not in line).encode())
            self._memory.chmod(0o600)
        except (AccelError, OSError) as error:
            print(f"accel: what you typed was not remembered: {error}", file=sys.stderr)


class PipedLines:
    """Lines from a pipe or a file: each is a turn; empty ones are none."""

    def next(self) -> str | None:
        for line in sys.stdin:
            if line.strip():
                return line.rstrip("\n")
        return None

    def close(self) -> None:
        pass


def _readline():
    try:
        import readline
    except ImportError:
        return None
    readline.set_auto_history(True)
    return readline
