"""What was asked is let go with its answer, whatever came of it: nothing waits for a collector of garbage."""

import gc
import http.client
import json
import time
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import pytest

from accel.runtime.engines.options import FakeOptions
from accel.runtime.serve import streams
from accel.runtime.serve.asked import Asked

from .serving import Model, a_daemon, served

SCRIPT = (("go", "one two three"),)
MODELS = {
    "fake": Model("fake", FakeOptions(sequences=4, script=SCRIPT)),
    "mortal": Model("fake", FakeOptions(sequences=4, script=SCRIPT, die_at=6)),
}
# Model and text, and what is told.
CASES = {
    "answered": ("fake", "go", "three"),
    "longer than the context": ("fake", "go " * 5000, "the context holds"),
    "more than a worker takes": ("fake", "go " * 3_000_000, "too much to ask a worker"),
    "a worker that dies": ("mortal", "go", "the worker was ended by"),
}


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with served(a_daemon(models=MODELS)) as found:
        yield found


@pytest.fixture
def no_collector() -> Iterator[None]:
    gc.collect()
    gc.disable()
    yield
    gc.enable()


def ask(url: str, path: str, body: dict[str, Any]) -> str:
    place = urlsplit(url)
    connection = http.client.HTTPConnection(place.hostname or "", place.port, timeout=60)
    connection.request("POST", path, json.dumps(body))
    told = connection.getresponse().read().decode()
    connection.close()
    return told


def asked() -> set[int]:
    """Where those lie that are held, by other daemons of these tests too."""
    return {id(each) for each in gc.get_objects() if isinstance(each, Asked)}


@pytest.mark.parametrize("stream, patience", [(False, 2.0), (True, 2.0), (True, 0.0)], ids=["whole", "stream", "late"])
@pytest.mark.parametrize("case", CASES)
def test_what_was_asked_is_let_go_at_once(url, no_collector, monkeypatch, case, stream, patience):
    """`patience`: without it an error comes when the stream has begun."""
    monkeypatch.setattr(streams, "_PATIENCE", patience)
    model, text, told = CASES[case]
    body = {"model": model, "messages": [{"role": "user", "content": text}], "max_tokens": 50, "stream": stream}
    before = asked()
    assert told in ask(url, "/v1/chat/completions", body)
    assert told in ask(url, "/v1/messages", body)
    end = time.monotonic() + 20  # the answer is there a little sooner
    while (left := asked() - before) and time.monotonic() < end:
        time.sleep(0.05)
    assert not left
