"""`accel chat`: a conversation in a terminal, one answer on stdout, or a turn for every line of a pipe."""

import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import closing, contextmanager
from types import FrameType

from ...devices.paths import state_dir
from ...errors import STATUS, AccelError, Cancelled, status
from .. import show_plan
from ..history import History
from ..library.find import is_demo
from ..messages import Event, Finished, Prefilled, Started, Text
from ..open import Opened, open_model
from ..plan import cautions
from ..renderer import Renderer
from ..session import Notice, Session
from ..settings import Settings
from . import facts
from .commands import Command, help_text, parse
from .lines import Lines, PipedLines, TypedLines
from .screen import PlainScreen, Screen, TerminalScreen

PATIENCE = 0.5  # seconds that pass before a bar appears


def run(settings: Settings, prompt: str | None = None, resume: str | None = None) -> int:
    """Talks until the user leaves, or answers `prompt` alone; `resume` names a saved chat, "" the last one.

    Gives 0; where nobody types, the exit code of the last error that a turn met, or 130 where an answer was stopped.
    """
    typed = prompt is None and sys.stdin.isatty() and sys.stdout.isatty()
    screen = TerminalScreen() if sys.stdout.isatty() and moves_cursor() else PlainScreen()
    kept = settings.sessions and (typed or resume is not None)
    if is_demo(settings.model):
        screen.say(facts.DEMONSTRATION)
    # What renders prompts starts beside the planning and the loading: both take longer.
    with closing(Renderer()) as renderer, _open(settings, screen) as opened:
        session = opened.session(History() if kept else None, renderer)
        chat = Chat(session, opened, screen, quiet=not typed)
        if typed:
            screen.say(facts.greeting(opened))
        for caution in cautions(opened.plan):
            screen.say(caution)
        if resume is not None:
            chat.tell(session.open(resume))
            if settings.system not in ("", session.conversation.system):
                session.set_system(settings.system)
                screen.say("the system prompt is another one now, as asked for")
            screen.say(facts.recap(session))
        try:
            if prompt is not None:
                chat.turn(prompt)
            else:
                chat.talk(TypedLines(state_dir() / "typed" if kept else None) if typed else PipedLines())
        finally:
            chat.tell(session.close())
    return 0 if typed else chat.code  # who types has seen what failed


def _open(settings: Settings, screen: Screen) -> Opened:
    with loading() as progress:
        return open_model(settings, screen.say, progress)


class Chat:
    """One session on one screen. `code` is the exit code that the last failed turn asks for."""

    def __init__(self, session: Session, opened: Opened, screen: Screen, quiet: bool) -> None:
        self.code = 0
        self._session, self._opened, self._screen = session, opened, screen
        self._quiet = quiet  # no status after an answer

    def talk(self, lines: Lines) -> None:
        """Until the lines end or /quit."""
        try:
            while True:
                try:
                    line = lines.next()
                    if line is None or (meant := parse(line)) == Command("quit"):
                        return
                    if isinstance(meant, Command):
                        self._obey(meant)
                    elif meant.strip():
                        self.turn(meant)
                except AccelError as error:
                    self._failed(error)
                except KeyboardInterrupt:
                    self._screen.say("\nCtrl-D or /quit leaves")
        finally:
            lines.close()

    def turn(self, text: str) -> None:
        """Asks, and shows the answer; an error of it is told, the conversation goes on."""
        self._show(lambda: self._session.ask(text))

    def _show(self, events: Callable[[], Generator[Event | Notice]]) -> None:
        try:
            self._screen.begin()
            try:
                with stopping(self._session.cancel), closing(events()) as steps:
                    self._follow(steps)
            finally:
                self._screen.end()
        except AccelError as error:
            self._failed(error)
            return
        last = self._session.last
        if last and last.reason == "cancelled":
            self.code = STATUS[Cancelled].exit
        if not self._quiet:
            self._screen.say(facts.status_line(self._session, self._opened))

    def _follow(self, events: Iterable[Event | Notice]) -> None:
        speed = facts.Speed()
        for event in events:
            if isinstance(event, Text):
                self._screen.show(event.text, event.thought)
                self._screen.status(speed.of(event.tokens))
            elif isinstance(event, Started) and event.prompt > event.reused:
                self._screen.status(f"reading {event.prompt - event.reused} tokens")
            elif isinstance(event, Prefilled) and event.done < event.total:
                self._screen.status(f"reading {event.done} of {event.total} tokens")
            elif isinstance(event, Notice):
                self._screen.say(event.text)
            elif isinstance(event, Finished):
                self._screen.status("")

    def _failed(self, error: AccelError) -> None:
        self.code = status(error).exit
        self._screen.say(f"accel: {error}")

    def tell(self, notices: Iterable[Notice]) -> None:
        for notice in notices:
            self._screen.say(notice.text)

    def _obey(self, command: Command) -> None:
        session, say = self._session, self._screen.say
        if command.name == "help":
            say(help_text())
        elif command.name == "plan":
            show_plan.show(self._opened.plan, explain=True)
        elif command.name == "stats":
            say(facts.statistics(session, self._opened))
        elif command.name == "system" and command.argument:
            session.set_system(command.argument)
            say("the system prompt holds from your next message on")
        elif command.name == "system":
            say(session.conversation.system or "no system prompt is set: the model's own holds")
        elif command.name == "retry":
            self._show(session.retry)
        elif command.name == "save":
            self.tell(session.save(command.argument))
            say(f"saved as '{session.name}'; accel chat --resume '{session.name}' goes on with it")
        elif command.name == "open":
            self.tell(session.open(command.argument))
            say(facts.recap(session))


def moves_cursor() -> bool:
    return os.environ.get("TERM") not in ("dumb", "unknown")


@contextmanager
def loading(what: str = "loading") -> Iterator[Callable[[float], None]]:
    """A bar on a terminal's stderr, for what takes longer than a moment."""
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TaskProgressColumn

    bar = Progress(what, BarColumn(), TaskProgressColumn(), console=Console(stderr=True), transient=True)
    task, began = bar.add_task("", total=1.0), 0.0

    def progress(fraction: float) -> None:
        nonlocal began
        began = began or time.monotonic()
        if bar.console.is_terminal and time.monotonic() - began > PATIENCE:
            bar.start()
            bar.update(task, completed=fraction)

    try:
        yield progress
    finally:
        if bar.live.is_started:
            bar.stop()


@contextmanager
def stopping(cancel: Callable[[], None]) -> Iterator[None]:
    """Ctrl-C asks the answer to stop; pressed again, it is a KeyboardInterrupt as everywhere."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def stop(number: int, frame: FrameType | None) -> None:
        signal.signal(signal.SIGINT, signal.default_int_handler)
        cancel()

    before = signal.signal(signal.SIGINT, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
