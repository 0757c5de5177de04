"""What the daemon writes about itself."""

import io
import json
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from accel.runtime.serve import log


@pytest.fixture(autouse=True)
def quiet_afterwards() -> Iterator[None]:
    before = {name: (logging.getLogger(name).handlers, logging.getLogger(name).propagate) for name in log._LOGGERS}
    yield
    log.start(io.StringIO())
    for name, (handlers, propagate) in before.items():
        logging.getLogger(name).handlers, logging.getLogger(name).propagate = handlers, propagate


def lines(text: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text.splitlines()]


def test_every_line_is_one_json_object():
    stream = io.StringIO()
    log.start(stream)
    log.told("opened", model="a\nb", seconds=1.5)
    logging.getLogger("uvicorn.error").warning("Invalid %s", "request")
    first, second = lines(stream.getvalue())
    assert (first["event"], first["model"], first["seconds"], first["level"]) == ("opened", "a\nb", 1.5, "info")
    assert second["event"] == "Invalid request" and second["level"] == "warning"
    assert first["time"].endswith("Z")


def test_nothing_that_a_terminal_would_obey_is_written():
    stream = io.StringIO()
    log.start(stream)
    log.trouble("failed", path="/\x1b[2J\x9b2J\u202e\r", what="é")
    assert stream.getvalue().rstrip("\n").isprintable() and stream.getvalue().isascii()
    assert lines(stream.getvalue())[0]["path"] == "/\x1b[2J\x9b2J\u202e\r"


def test_an_errors_own_words_may_quote_a_prompt_and_are_left_out():
    stream = io.StringIO()
    log.start(stream)
    try:
        raise ValueError("my secret prompt")
    except ValueError as error:
        log.trouble("broken", error, id="req_1")
        logging.getLogger("uvicorn.error").error("Exception in ASGI application\n", exc_info=error)
    assert "secret" not in stream.getvalue()
    first, second = lines(stream.getvalue())
    assert first["trouble"] == second["trouble"] == "ValueError"
    assert "test_log.py" in first["where"][-1] and first["id"] == "req_1"


def test_the_file_has_the_same_lines_and_does_not_grow_for_ever(tmp_path, monkeypatch):
    monkeypatch.setattr(log, "MOST_BYTES", 2000)
    stream, file = io.StringIO(), tmp_path / "1.log"
    log.start(stream, file)
    for number in range(100):
        log.told("answered", number=number)
    older = Path(f"{file}.1")
    assert sorted(tmp_path.iterdir()) == [file, older]
    assert file.stat().st_size <= 2000 and older.stat().st_size <= 2000
    numbers = [line["number"] for line in lines(older.read_text() + file.read_text())]
    assert numbers == list(range(numbers[0], 100)) and len(lines(stream.getvalue())) == 100


def test_without_a_stream_only_the_file_has_lines(tmp_path, capsys):
    log.start(file=tmp_path / "1.log")
    log.told("opened")
    assert [line["event"] for line in lines((tmp_path / "1.log").read_text())] == ["opened"]
    assert capsys.readouterr() == ("", "")


def test_a_disk_that_takes_no_more_ends_nothing(tmp_path, capsys):
    stream = io.StringIO()
    log.start(stream, tmp_path / "missing" / "1.log")
    log.told("opened")
    stream.close()  # and a terminal that has gone neither
    log.told("closed")
    assert capsys.readouterr() == ("", "")
