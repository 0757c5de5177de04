"""What a daemon caches is shown, and cleared for whoever may ask, without disturbing who is being answered."""

import asyncio
import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from http.client import HTTPConnection
from pathlib import Path
from typing import Any, NoReturn
from urllib.parse import urlsplit

import pytest

from accel.errors import WorkerDied
from accel.runtime import demo
from accel.runtime.engines.options import FakeOptions
from accel.runtime.law import Law
from accel.runtime.model import ModelSpec
from accel.runtime.opening import PromptStore
from accel.runtime.prompt_files import Lying, folder_of, lying
from accel.runtime.serve import caches
from accel.runtime.serve.daemon import Daemon
from accel.runtime.serve.keys import Keys, _hash
from accel.units import Bytes

from .serving import Model, a_daemon, served

NOTHING = Lying(0, Bytes(0))
FINGERPRINT = "fake"  # the fake engine's
LARGE = 2**20
LETTERS = "abcdefghij" * 20  # as many tokens, and no two of these prompts begin alike
Ask = Callable[..., tuple[int, Any]]


@pytest.fixture(autouse=True)
def own_home(home: Path) -> Path:
    return home


@pytest.fixture
def serve() -> Iterator[Callable[[Daemon], Ask]]:
    """Gives what asks a daemon."""
    with ExitStack() as stack:
        yield lambda daemon: asking(stack.enter_context(served(daemon)))


def asking(url: str) -> Ask:
    def ask(method: str, path: str, body: Any = None, **headers: str) -> tuple[int, Any]:
        """Status, and what came as JSON."""
        connection = HTTPConnection(urlsplit(url).netloc, timeout=30)
        try:
            named = {name.replace("_", "-"): value for name, value in headers.items()}
            connection.request(method, path, None if body is None else json.dumps(body), named)
            response = connection.getresponse()
            return response.status, json.loads(response.read())
        finally:
            connection.close()

    return ask


def keeping(memory: int = 0, disk: int = LARGE, **options: Any) -> Model:
    """One with a single sequence: what it held before has to go elsewhere."""
    store = PromptStore(str(folder_of(FINGERPRINT)), memory, disk)
    return Model("fake", FakeOptions(**{"sequences": 1, "answer_length": 4, **options}), prompts=store)


def complete(ask: Ask, number: int, **wish: Any) -> str:
    status, found = ask("POST", "/v1/completions", {"prompt": f"{number}{LETTERS}", "max_tokens": 4, **wish})
    assert status == 200, found
    return found["choices"][0]["text"]


def left_behind(model: str = "gone", name: str = "1.prompt", size: int = 50) -> Path:
    """Of a model that is not open."""
    file = folder_of(model) / name
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(b"x" * size)
    return file


def test_what_is_cached_is_shown_of_models_that_are_open_and_of_the_disk(serve):
    ask = serve(a_daemon(models={"fake": keeping()}))
    left_behind(size=50)
    assert ask("GET", "/v1/caches") == (200, {"models": {}, "disk": {"prompts": 1, "size": 50}})
    complete(ask, 1)
    complete(ask, 2)
    status, found = ask("GET", "/v1/caches")
    cached = found["models"]["fake"]
    assert status == 200 and (cached["prompts"], cached["memory"], cached["hits"]) == (1, 0, 0)
    assert len(LETTERS) < cached["positions"] < cached["context"] == 4096
    assert found["disk"] == {"prompts": 2, "size": cached["disk"] + 50} and cached["disk"] == lying(FINGERPRINT).size
    complete(ask, 1)
    assert ask("GET", "/v1/caches")[1]["models"]["fake"]["hits"] == 1


@pytest.mark.parametrize("memory", [0, LARGE], ids=["on disk", "in memory"])
def test_clearing_lets_all_of_it_go_and_says_how_much(serve, memory):
    ask = serve(a_daemon(models={"fake": keeping(memory)}))
    left_behind(size=50)
    for number in (1, 2):
        complete(ask, number)
    before = ask("GET", "/v1/caches")[1]
    status, gone = ask("DELETE", "/v1/caches")
    cached = before["models"]["fake"]
    assert status == 200 and cached["memory" if memory else "disk"]
    told = {"positions": cached["positions"], "memory": cached["memory"], "disk": before["disk"]["size"]}
    assert gone == told and gone["positions"]
    after = ask("GET", "/v1/caches")[1]
    empty = {"positions": 0, "prompts": 0, "memory": 0, "disk": 0}
    assert after["models"]["fake"] == {**cached, **empty} and after["disk"]["size"] == 0
    assert lying() == NOTHING
    assert complete(ask, 1, seed=1, temperature=0) == complete(ask, 1, seed=1, temperature=0)
    assert ask("GET", "/v1/caches")[1]["models"]["fake"]["hits"] == 0


def test_what_is_being_answered_goes_on_with_what_it_has(serve):
    options: dict[str, Any] = {"script": (("go", "x" * 300),), "seconds_per_forward": 0.005, "sequences": 2}
    daemon = a_daemon(models={"fake": replace(keeping(), options=FakeOptions(**options))})
    with served(daemon) as url:
        ask = asking(url)
        connection = HTTPConnection(urlsplit(url).netloc, timeout=30)
        body = {"messages": [{"role": "user", "content": "go"}], "stream": True}
        connection.request("POST", "/v1/chat/completions", json.dumps(body))
        lines = iter(connection.getresponse())
        first = next(line for line in lines if b'"x' in line)
        status, gone = ask("DELETE", "/v1/caches")
        positions = ask("GET", "/v1/caches")[1]["models"]["fake"]["positions"]
        running = len(daemon.requests)
        said = b"".join([first, *lines])
        connection.close()
    assert status == 200 and gone["positions"] == 0 and running == 1 and positions > 0
    chunks = [json.loads(line[6:]) for line in said.splitlines() if line.startswith(b"data: {")]
    choices = [chunk["choices"][0] for chunk in chunks]
    assert "".join(choice["delta"].get("content") or "" for choice in choices) == "x" * 300
    assert choices[-1]["finish_reason"] == "stop"


def test_one_model_is_cleared_and_the_others_keep_theirs(serve):
    ask = serve(a_daemon(models={"fake": keeping()}))
    other = left_behind()
    for number in (1, 2):
        complete(ask, number)
    assert set(ask("GET", "/v1/caches?model=fake")[1]["models"]) == {"fake"}
    status, gone = ask("DELETE", "/v1/caches?model=fake")
    assert status == 200 and gone["disk"] and gone["positions"]
    assert lying(FINGERPRINT) == NOTHING and other.exists()


def test_one_that_is_not_open_is_found_by_its_file_and_stays_closed(serve):
    name = str(demo.target())
    file, other = left_behind(ModelSpec.read(demo.target()).fingerprint), left_behind("other")
    daemon = a_daemon(models={name: Model()})
    ask = serve(daemon)
    assert ask("GET", f"/v1/caches?model={name}")[1] == {"models": {}, "disk": {"prompts": 1, "size": 50}}
    assert ask("DELETE", f"/v1/caches?model={name}") == (200, {"positions": 0, "memory": 0, "disk": 50})
    assert not file.exists() and other.exists() and daemon.hosts.find(name).state == "cold"


def test_what_an_earlier_opening_kept_goes_too_though_the_model_keeps_nothing_now(serve):
    ask = serve(a_daemon(models={"fake": Model("fake", FakeOptions(sequences=1, answer_length=4))}))
    complete(ask, 1)
    file = left_behind(FINGERPRINT)
    assert ask("DELETE", "/v1/caches?model=fake")[1]["disk"] == 50 and not file.exists()


@pytest.mark.parametrize(
    ("query", "status"),
    [
        ("?model=nobody", 404),
        ("?modle=fake", 400),
        ("?model=fake&model=b", 400),
        ("?model=..", 404),
        ("?model=gone", 404),
    ],
)
def test_what_names_no_model_clears_nothing(serve, query, status):
    file = left_behind()
    ask = serve(a_daemon())
    for method in ("GET", "DELETE"):
        found, told = ask(method, f"/v1/caches{query}")
        assert found == status and told["error"]["message"]
    assert file.exists()


def test_who_may_not_ask_clears_nothing(serve):
    file = left_behind()
    with_key, without = serve(a_daemon(Keys((_hash("secret"),)))), serve(a_daemon())
    assert with_key("DELETE", "/v1/caches")[0] == 401
    assert with_key("GET", "/v1/caches", authorization="Bearer wrong")[0] == 401
    assert without("DELETE", "/v1/caches", origin="http://evil.example")[0] == 403
    assert without("DELETE", "/v1/caches", sec_fetch_site="cross-site")[0] == 403
    assert without("DELETE", "/v1/caches", host="evil.example")[0] == 403
    assert without("POST", "/v1/caches")[0] == 405
    assert file.exists()
    assert with_key("DELETE", "/v1/caches", authorization="Bearer secret")[0] == 200 and not file.exists()


def test_a_worker_that_cannot_is_told_and_the_disk_is_cleared_all_the_same(serve, monkeypatch):
    daemon = a_daemon(models={"fake": keeping()})
    ask = serve(daemon)
    complete(ask, 1)
    found = daemon.hosts.find("fake").served
    assert found

    def fail(conversation: str | None) -> NoReturn:
        raise WorkerDied("the worker is no more")

    monkeypatch.setattr(found.opened.worker, "forget", fail)
    file = left_behind()
    status, told = ask("DELETE", "/v1/caches")
    assert status == 503 and "no more" in told["error"]["message"] and not file.exists()


def test_what_a_model_writes_as_it_is_closed_goes_too():
    async def scene() -> None:
        daemon = a_daemon(models={"fake": keeping()})
        host = daemon.hosts.find("fake")
        async with daemon.hosts.use("fake") as served:
            answer = served.opened.worker.generate(None, [LETTERS], Law(), most=4)
            await asyncio.to_thread(list, answer)
        closing = asyncio.create_task(daemon.hosts.close_all())
        while host.served:
            await asyncio.sleep(0)
        cleared = await caches._cleared(daemon, None)
        await closing
        assert cleared.disk > 0 and lying() == NOTHING

    asyncio.run(asyncio.wait_for(scene(), 30))
