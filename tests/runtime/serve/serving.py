"""A daemon as clients find it: over a socket, with an engine that costs little."""

import asyncio
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import msgspec

from accel.runtime import demo
from accel.runtime.engines.options import EngineOptions, FakeOptions
from accel.runtime.messages import Ready
from accel.runtime.open import Opened
from accel.runtime.opening import PromptStore
from accel.runtime.serve.daemon import Daemon
from accel.runtime.serve.guard import Door
from accel.runtime.serve.hosts import Host, Hosts
from accel.runtime.serve.keys import Keys
from accel.runtime.serve.metrics import Metrics
from accel.runtime.serve.run import Server, listen
from accel.runtime.settings import Settings
from accel.runtime.supervisor import Supervisor
from accel.units import Bytes

# Of a model that thinks.
THINKING = (
    "{# <think></think> #}"
    "{% for message in messages %}<|im_start|>{{ message.role }}\n{{ message.content }}<|im_end|>\n{% endfor %}"
    "{{ '<|im_start|>assistant\n' }}"
)


WEATHER_SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {"city": {"type": "string", "maxLength": 3}},
    "required": ["city"],
    "additionalProperties": False,
}
CALL = '<tool_call>\n{"name": "weather", "arguments": {"city": "Rome"}}\n</tool_call>'
CLOSING = {str(ord(letter)): 30 for letter in '"}'}  # a bias to bring JSON of the fake engine's to an end


@dataclass(frozen=True)
class Model:
    """What a daemon is to open under a name; `template`: in the place of the file's own; `prompts`: where they are
    kept."""

    engine: str = "fake"
    options: Any = field(default_factory=lambda: FakeOptions(sequences=4))
    template: str = ""
    prompts: PromptStore | None = None


DEMO = Model("llamacpp", EngineOptions(str(demo.target()), context=2048, sequences=4, batch=64, ubatch=64, outputs=16))


def scripted(*script: tuple[str, str], template: str = "") -> Model:
    """One that answers the first of each pair with the second."""
    return Model("fake", FakeOptions(sequences=4, script=script), template)


class _Worker(Supervisor):
    def __init__(self, model: Model) -> None:
        super().__init__(model.engine, model.options, prompts=model.prompts)
        self._template = model.template

    def wait(self, progress: Callable[[float], object] | None = None) -> Ready:
        ready = super().wait(progress)
        return msgspec.structs.replace(ready, template=self._template or ready.template)


class _Opened(Opened):
    """Without a plan."""

    def __init__(self, worker: Supervisor, settings: Settings) -> None:
        self.worker, self.settings = worker, settings

    @property
    def planned(self) -> Bytes:
        return Bytes(0)


class _Hosts(Hosts):
    def __init__(self, settings: Settings, models: Mapping[str, Model]) -> None:
        super().__init__(settings, {name: name for name in models}, Bytes.from_gib(1))
        self._models = models

    async def _open_within(self, host: Host) -> Opened:
        worker = _Worker(self._models[host.name])
        await asyncio.to_thread(worker.wait)
        return _Opened(worker, host.settings)


# That know their answers, and a tool.
PLAIN = scripted(
    *(("go", "one two three"), ("weather?", CALL), ("look?", f"Let me see.\n{CALL}")),
    *(("broken?", CALL.replace("Rome", 'Ro"me')), ("huge?", CALL.replace('"Rome"', "1e999"))),
)
THINKER = scripted(("go", "<think>\nhm\n</think>\n\nYes."), template=THINKING)


def a_daemon(keys: Keys | None = None, models: Mapping[str, Model] | None = None, **settings: Any) -> Daemon:
    """With these models, or one that babbles letters."""
    given = Settings(parallel=4, **settings)
    hosts = _Hosts(given, models or {"fake": Model()})
    return Daemon(given, hosts, Door(keys or Keys(), token="page"), Metrics(hosts))


@contextmanager
def served(daemon: Daemon) -> Iterator[str]:
    """Its address, as long as the block lasts."""
    listening = listen("127.0.0.1", 0)
    server = Server(daemon)
    thread = threading.Thread(target=server.run, args=([listening],))
    thread.start()
    try:
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join()
