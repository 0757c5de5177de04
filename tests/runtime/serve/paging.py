"""A daemon as its page finds it: models with plans, over a socket."""

import asyncio
import json
from collections.abc import Iterator
from functools import partial
from http.client import HTTPConnection, HTTPResponse
from typing import Any
from urllib.parse import urlsplit

from accel.runtime.costs import Costs
from accel.runtime.engines.options import FakeOptions
from accel.runtime.open import Opened
from accel.runtime.plan import Plan, make_plan
from accel.runtime.search import Goal
from accel.runtime.serve import page
from accel.runtime.serve.conversations import Conversations
from accel.runtime.serve.daemon import Daemon
from accel.runtime.serve.guard import Door
from accel.runtime.serve.hosts import Host, Hosts
from accel.runtime.serve.keys import Keys
from accel.runtime.serve.metrics import Metrics
from accel.runtime.settings import Settings
from accel.units import Bytes

from ..planning import MIB, a_machine, a_model
from .serving import Model, _Worker

TOKEN = "page-token"
PLAN = make_plan(
    a_machine(), a_model(experts=8), Goal(context=4096, sequences=4), Costs(process=(Bytes(MIB), Bytes(MIB)))
)
assert isinstance(PLAN, Plan)


class _Hosts(Hosts):
    """Of one model, which a fake engine plays."""

    def __init__(self, settings: Settings, model: Model) -> None:
        super().__init__(settings, {"fake": "fake"}, Bytes.from_gib(1))
        self._model = model

    async def _open_within(self, host: Host) -> Opened:
        worker = _Worker(self._model)
        await asyncio.to_thread(worker.wait, partial(setattr, host, "progress"))
        assert isinstance(PLAN, Plan)
        return Opened(PLAN, worker, host.settings)


def a_page_daemon(
    *, keys: Keys | None = None, conversations: Conversations | None = None, template: str = "", **options: Any
) -> Daemon:
    """`options`: of the fake engine; `template`: its chat template."""
    given = Settings(parallel=4, temperature=0.0)
    hosts = _Hosts(given, Model("fake", FakeOptions(**{"sequences": 4, **options}), template))
    door = Door(keys or Keys(), TOKEN, open_paths=page.paths())
    return Daemon(given, hosts, door, Metrics(hosts), conversations=conversations or Conversations())


class Page:
    """What the page's own script does, without a browser."""

    def __init__(self, url: str, token: str = TOKEN) -> None:
        self._place, self._token = urlsplit(url).netloc, token

    def send(self, method: str, path: str, body: Any = None, **headers: str) -> HTTPResponse:
        """Close what comes back."""
        connection = HTTPConnection(self._place, timeout=30)
        text = None if body is None else json.dumps(body)
        connection.request(method, path, text, {"x-accel-token": self._token, "connection": "close", **headers})
        return connection.getresponse()

    def ask(self, method: str, path: str, body: Any = None, **headers: str) -> tuple[int, Any]:
        """Status, and what came as JSON, or else as text."""
        with self.send(method, path, body, **headers) as found:
            raw = found.read()
            is_json = found.headers.get("content-type", "").startswith("application/json")
            return found.status, json.loads(raw) if is_json else raw.decode()

    def begin(self, **given: Any) -> str:
        return self.ask("POST", "/api/conversations", given)[1]["id"]

    def answer(self, id: str, text: str = "", **wish: Any) -> list[dict[str, Any]]:
        """All events of an answer."""
        return list(self.events(id, {"text": text, **wish}))

    def events(self, id: str, wish: dict[str, Any]) -> Iterator[dict[str, Any]]:
        """Whoever leaves early has gone away."""
        with self.send("POST", f"/api/conversations/{id}/answer", wish) as found:
            assert found.status == 200, found.read()
            for line in found:
                if line.startswith(b"data: "):
                    yield json.loads(line[6:])

    def messages(self, id: str) -> list[tuple[str, str]]:
        _, found = self.ask("GET", f"/api/conversations/{id}")
        return [(message["role"], message["content"]) for message in found["messages"]]


def said(events: list[dict[str, Any]]) -> str:
    return "".join(event["text"] for event in events if event["type"] == "text" and not event["thought"])
