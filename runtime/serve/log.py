"""What the daemon writes about itself: one JSON object a line, never a prompt or an answer.

An error's own words may quote what was asked, so of one that nobody foresaw the kind and the place are written alone.
Letters beyond ASCII are written as escapes: whoever reads a log at a terminal is sent nothing that it would obey.
"""

import json
import logging
import time
import traceback
from logging.handlers import RotatingFileHandler
from pathlib import Path
from typing import Any, TextIO

MOST_BYTES = 4 * 2**20  # of a file; the one before is kept, too
_LOGGERS = ("accel.serve", "uvicorn.error")
_LOGGER = logging.getLogger(_LOGGERS[0])


class _Lines(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        named: dict[str, Any] = {
            "time": time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created)) + f".{int(record.msecs):03d}Z",
            "level": record.levelname.lower(),
            "event": record.getMessage(),
        }
        named |= getattr(record, "named", {})
        if record.exc_info:
            _, error, trace = record.exc_info
            named["trouble"] = type(error).__name__
            named["where"] = [f"{frame.filename}:{frame.lineno}" for frame in traceback.extract_tb(trace)]
        return json.dumps(named)


class _Quiet(logging.Handler):
    """A full disk or a closed terminal ends no answer."""

    def handleError(self, record: logging.LogRecord) -> None:
        pass


class _ToStream(_Quiet, logging.StreamHandler[TextIO]):
    pass


class _ToFile(_Quiet, RotatingFileHandler):
    pass


def start(stream: TextIO | None = None, file: Path | None = None) -> None:
    """From here on lines, uvicorn's too, go to a stream, to a file that does not grow for ever, or to both."""
    handlers: list[logging.Handler] = [_ToStream(stream)] if stream else []
    if file:
        handlers.append(_ToFile(file, maxBytes=MOST_BYTES, backupCount=1, encoding="utf-8", delay=True))
    for handler in handlers:
        handler.setFormatter(_Lines())
    for name in _LOGGERS:
        logger = logging.getLogger(name)
        for before in logger.handlers:
            before.close()
        logger.handlers, logger.propagate = list(handlers), False
        logger.setLevel(logging.INFO)


def told(event: str, **named: Any) -> None:
    _LOGGER.info(event, extra={"named": named})


def trouble(event: str, error: BaseException | None = None, **named: Any) -> None:
    _LOGGER.error(event, exc_info=error, extra={"named": named})
