"""How answers appear: as Markdown that grows on a terminal, or as plain text where something else reads them."""

import sys
from typing import TYPE_CHECKING, Protocol, TextIO

from .blocks import printable, split_blocks

if TYPE_CHECKING:
    from rich.console import Console, RenderableType
    from rich.live import Live
    from rich.segment import Segment

REFRESH = 12  # per second
THOUGHT = "dim italic"


class Screen(Protocol):
    """Where one answer after the other appears."""

    def say(self, text: str) -> None:
        """A line of talk: no part of any answer."""
        ...

    def begin(self) -> None: ...

    def show(self, text: str, thought: bool) -> None:
        """More of the answer."""
        ...

    def status(self, text: str) -> None:
        """What is going on now; replaces what it said before, or is left out."""
        ...

    def end(self) -> None:
        """The answer is over, whole or not."""
        ...


class PlainScreen:
    """Answers on stdout as they are, each ending in a line end; thoughts and talk on stderr."""

    def __init__(self, out: TextIO | None = None, talk: TextIO | None = None) -> None:
        self._out, self._talk = out or sys.stdout, talk or sys.stderr
        self._last = {self._out: "\n", self._talk: "\n"}

    def say(self, text: str) -> None:
        self._close(self._talk)
        self._write(self._talk, text + "\n")

    def begin(self) -> None:
        pass

    def show(self, text: str, thought: bool) -> None:
        self._write(self._talk if thought else self._out, text)

    def status(self, text: str) -> None:
        pass

    def end(self) -> None:
        self._close(self._out)
        self._close(self._talk)

    def _write(self, file: TextIO, text: str) -> None:
        if text:
            file.write(printable(text) if file.isatty() else text)
            file.flush()
            self._last[file] = text[-1]

    def _close(self, file: TextIO) -> None:
        if self._last[file] != "\n":
            self._write(file, "\n")


class TerminalScreen:
    """Markdown by rich. What is finished is printed once, for good; only the block that still grows is drawn again,
    and of it no more than the window has room for. Below it stands the status line."""

    def __init__(self, console: "Console | None" = None) -> None:
        from rich.console import Console

        self.console = console or Console(highlight=False)
        self._talk = console or Console(highlight=False, stderr=True)
        self._live: Live | None = None
        self._open = ""  # Markdown that may still change
        self._thought = ""  # the line of thought that is not finished
        self._status = ""
        self._printed = False  # whether a block of this answer was printed

    def say(self, text: str) -> None:
        (self.console if self._live else self._talk).print(printable(text), style="dim", markup=False)

    def begin(self) -> None:
        from rich.live import Live

        self._open = self._thought = self._status = ""
        self._printed = False
        self._live = Live(console=self.console, refresh_per_second=REFRESH, transient=True, get_renderable=self._tail)
        self._live.start()

    def show(self, text: str, thought: bool) -> None:
        if thought:
            finished, _, self._thought = (self._thought + printable(text)).rpartition("\n")
            self._print_thought(finished)
            return
        self._end_thought()
        finished, self._open = split_blocks(self._open + printable(text))
        self._print(finished)

    def status(self, text: str) -> None:
        self._status = text

    def end(self) -> None:
        if self._live:
            self._live.stop()
            self._live = None
        self._end_thought()
        self._print(self._open)
        self._open = ""

    def _end_thought(self) -> None:
        self._print_thought(self._thought)
        self._thought = ""

    def _print_thought(self, text: str) -> None:
        if text.strip():
            self.console.print(text, style=THOUGHT, markup=False)
            self._printed = True

    def _print(self, markdown: str) -> None:
        """Prints finished Markdown, an empty line before it where something of this answer stands above."""
        lines = self._lines(markdown)
        if lines:
            self.console.print(_joined([[], *lines] if self._printed else lines), end="")
            self._printed = True

    def _lines(self, markdown: str) -> list[list["Segment"]]:
        """Rendered lines without empty ones at the start and the end."""
        from rich.markdown import Markdown

        lines = self.console.render_lines(Markdown(markdown), pad=False) if markdown.strip() else []
        full = [number for number, line in enumerate(lines) if any(segment.text.strip() for segment in line)]
        return lines[full[0] : full[-1] + 1] if full else []

    def _tail(self) -> "RenderableType":
        """The end of what still grows, and the status line: never more than the window has room for."""
        from rich.console import Group
        from rich.text import Text

        if self._thought:
            lines = self.console.render_lines(Text(self._thought, style=THOUGHT), pad=False)
        else:
            lines = self._lines(self._open)
        if lines and self._printed:
            lines = [[], *lines]
        status = Text(self._status, style="dim", no_wrap=True, overflow="ellipsis")
        return Group(_joined(lines[-max(1, self.console.height - 2) :]), status)


def _joined(lines: list[list["Segment"]]) -> "RenderableType":
    from rich.segment import Segment, Segments

    return Segments([segment for line in lines for segment in (*line, Segment.line())])
