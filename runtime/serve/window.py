"""`accel chat --window`: the daemon and its page in a window of its own; when that closes, all of it ends."""

import os
import shutil
import subprocess
import sys
import tempfile
import threading
import webbrowser
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

from ...devices.paths import state_dir
from ...errors import AccelError
from ..settings import Settings
from . import log, roster
from .keys import Keys
from .run import Server, enrolled, listen, make_daemon, url

# Browsers that show a page without their own bars and can be waited for.
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "microsoft-edge", "brave-browser")
_HOST = "127.0.0.1"
_GRACE = 5.0  # seconds for a browser to end in


def run(settings: Settings) -> int:
    """Until the window closes, or SIGTERM or Ctrl-C. Raises AccelError where the browser ends in an error, and what
    `make_daemon` raises."""
    settings = replace(settings, host=_HOST, port=0)
    log.start(file=roster.log_of(os.getpid()))  # and not here: the terminal is a person's
    daemon = make_daemon(settings, [])
    daemon.door = replace(daemon.door, keys=Keys())  # those are for others, and the page has its token
    with listen(settings.host, settings.port) as listening:
        place, server = url(*listening.getsockname()[:2]), Server(daemon)
        with enrolled(daemon, listening), opened(place, server):
            server.run([listening])
    return 0


@contextmanager
def opened(place: str, server: Server) -> Iterator[None]:
    """The page in a window: the server ends when that does, and the other way round."""
    program = next(filter(None, map(shutil.which, BROWSERS)), None)
    if not program:
        print(f"your browser is asked to show {place}; Ctrl-C ends it", file=sys.stderr)
        # Some browsers are waited for until they close, and before we serve them they show nothing.
        threading.Thread(target=webbrowser.open, args=(place,), name="browser", daemon=True).start()
        yield
        return
    print(f"{program} shows {place}; closing its window ends it", file=sys.stderr)
    with tempfile.TemporaryDirectory(prefix="window-", dir=state_dir(), ignore_cleanup_errors=True) as profile:
        window = _start(program, place, profile)
        threading.Thread(target=_end_after, args=(window, server), name="window", daemon=True).start()
        try:
            yield
            if window.poll():
                raise AccelError(f"{program} ended with code {window.returncode}", f"open {place} in another browser")
        finally:
            _end(window)


def _start(program: str, place: str, profile: str) -> "subprocess.Popen[bytes]":
    """With a profile of its own it is a process of its own, whatever other windows there are. Raises AccelError."""
    words = [program, f"--app={place}", f"--user-data-dir={profile}", "--no-first-run", "--no-default-browser-check"]
    try:
        return subprocess.Popen(
            words,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,  # Ctrl-C in the terminal is for us
        )
    except OSError as error:
        raise AccelError(f"cannot start {program}: {error.strerror or error}", "install it again") from error


def _end_after(window: "subprocess.Popen[bytes]", server: Server) -> None:
    window.wait()
    server.should_exit = True


def _end(window: "subprocess.Popen[bytes]") -> None:
    window.terminate()
    try:
        window.wait(_GRACE)
    except subprocess.TimeoutExpired:
        window.kill()
        window.wait()
