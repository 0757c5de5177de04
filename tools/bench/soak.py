"""The daemon under bad company: what a thousand requests, half of them ill-behaved, leave behind.

    python tools/bench/soak.py [MODEL] [--requests 1000] [--warm-up 200] [--connections 50] [--kills 5] [--parallel 8]
        [--context 2048] [--seed 0] [--seconds 1200]

Starts `accel serve` with a folder of its own and asks it over all its APIs, from so many connections at once; some
clients send slowly, go away, cancel, or send what is broken or far too much (soak_company.py: `MANNERS`). Meanwhile its
worker is killed while requests are in flight. Four phases, and after each the daemon rests and is looked at: the
warm-up, with two kills; half of the requests, with all kills; a fifth, which warms the last worker up; and the rest.

One JSON line: what became of the requests, of those in flight at a kill too, and bytes, descriptors and threads of
every process after each phase. `reasons` says what is violated, and the exit status is then 1: an answer that is
neither whole nor a clean error; a status of 500 or more but a lost worker's 503; what still runs or waits at the end; a
fault in the log; files that nobody needs; processes left behind; more descriptors, threads or memory (of no other
process: USS) than before, the daemon's after the warm-up, the worker's after its own.
"""

import argparse
import asyncio
import json
import os
import random
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import h11
import psutil
from pairs import report
from soak_company import PATHS, Client, Deed, Fault, deed_of, judge

_GROWTH = 0.02
_MORE_THREADS = 2
_OPENING, _ANSWER, _QUIET, _REST, _END = 300.0, 120.0, 30.0, 5.0, 20.0  # seconds
_SETTLED, _LAST = "settled", "end"  # phases
_NAMES = {"accel.runtime.worker": "worker", "template_process": "renderer"}  # of children, by what starts them
_TOLD = 20  # reasons
_SMALL_CACHES = ("--prompt-memory", "8MiB", "--prompt-cache", "64MiB")  # full once the worker is warm


@dataclass(slots=True)
class Flight:
    """A request under way. `heard`: whether anything of its answer was, `before`: and that before a kill."""

    heard: bool = False
    killed: bool = False
    before: bool = False


@dataclass(slots=True)
class Soak:
    """A run, and what it found."""

    context: int
    seed: int
    port: int = 0
    daemon: psutil.Process = field(default_factory=psutil.Process)
    begun: int = 0  # requests
    flights: dict[str, Flight] = field(default_factory=dict)
    outcomes: Counter[str] = field(default_factory=Counter)
    at_kills: Counter[str] = field(default_factory=Counter)
    running: list[int] = field(default_factory=list)  # at each kill, as the daemon said a moment before
    retried: int = 0  # requests that a worker had begun when it was killed, and that were answered
    reasons: list[str] = field(default_factory=list)

    async def phase(self, requests: int, connections: int, kills: int) -> dict[str, Any]:
        """So many requests, and then what the processes hold once all have ended."""
        first, between = self.begun, requests // (kills + 1)
        killing = [asyncio.create_task(self._kill(first + between * (1 + each))) for each in range(kills)]
        try:
            await asyncio.gather(*(self._company(first + requests) for _ in range(connections)))
            if killing and (await asyncio.wait(killing, timeout=_REST))[1]:
                self.reasons.append("a kill found nothing in flight")
        finally:
            for task in killing:
                task.cancel()
        await self._quiet()
        await asyncio.sleep(_REST)
        return {"requests": self.begun} | {name: _held(each) for name, each in self.processes().items()}

    def processes(self) -> dict[str, psutil.Process]:
        """The daemon and what it started, by what they are for."""
        found = {"daemon": self.daemon}
        for child in self.daemon.children():
            with suppress(psutil.Error):
                words = " ".join(child.cmdline())
                found |= {name: child for part, name in _NAMES.items() if part in words}
        return found

    async def last_look(self) -> None:
        """Nothing runs or waits, and a new request is answered."""
        client = Client(self.port)
        _, text = await client.ask("GET", "/metrics")
        gauges = re.findall(r"^accel_requests_(?:running|waiting)\{.*\} (\S+)$", text.decode(), re.MULTILINE)
        if len(gauges) != 2 or any(map(float, gauges)):
            self.reasons.append(f"/metrics says that {gauges} run and wait")
        client.close()
        await self.greet()

    async def greet(self) -> None:
        deed = Deed(PATHS[0], b'{"messages": [{"role": "user", "content": "Hello"}], "max_tokens": 8}')
        client = Client(self.port)
        came = judge(deed, *await client.ask("POST", deed.path, deed.body))
        client.close()
        if came != "answered":
            self.reasons.append(f"a new request is {came}")

    async def _company(self, last: int) -> None:
        """One client after another at one connection."""
        client = Client(self.port)
        while self.begun < last:
            self.begun += 1
            id, flight = f"soak-{self.begun}", Flight()
            deed = deed_of(random.Random(f"{self.seed} {self.begun}"), self.context)
            try:
                async with asyncio.timeout(_ANSWER):
                    came = await self._play(client, deed, id, flight)
            except (Fault, TimeoutError, OSError, h11.ProtocolError) as wrong:
                came = "at fault"
                self.reasons.append(f"{id} ({deed.manner}, {deed.path}): {str(wrong) or type(wrong).__name__}")
                client.close()
            self.flights.pop(id, None)
            self.outcomes[f"{deed.manner}: {came}"] += 1
            if flight.killed:
                self.at_kills[came] += 1
                self.retried += flight.before and came == "answered"
        client.close()

    async def _play(self, client: Client, deed: Deed, id: str, flight: Flight) -> str:
        """What came of it. Raises Fault."""
        try:
            await client.send("POST", deed.path, deed.length, id)
            for part in deed.parts():
                await client.send_body(part)
                if deed.manner in ("slow", "leaves in mid-body"):
                    await asyncio.sleep(deed.pause)
            if deed.manner == "leaves in mid-body":
                return _left(client)
            if deed.manner != "long body":
                await client.end_body()
            self.flights[id] = flight
            if deed.manner == "leaves before the answer":
                await asyncio.sleep(deed.pause)
                return _left(client)
            async with self._cancelling(id, deed):
                return await self._answer(client, deed, flight)
        except OSError:
            if deed.manner not in ("long body", "endless body"):
                raise
            client.close()
            return "reset"  # refused before all was read, and closed: what it was told may be lost

    async def _answer(self, client: Client, deed: Deed, flight: Flight) -> str:
        status, found = await client.status(), bytearray()
        async for part in client.data():
            flight.heard = True
            found += part
            if deed.manner == "leaves in mid-answer" and status == 200:
                await asyncio.sleep(deed.pause)
                return _left(client)
        return judge(deed, status, bytes(found))

    @asynccontextmanager
    async def _cancelling(self, id: str, deed: Deed) -> AsyncIterator[None]:
        """Meanwhile, where it is of those that are cancelled."""

        async def cancel() -> None:
            client = Client(self.port)
            await asyncio.sleep(deed.pause)
            status, _ = await client.ask("DELETE", f"/v1/requests/{id}")
            client.close()
            if status not in (200, 404):
                raise Fault(f"the cancel was answered {status}")

        task = asyncio.create_task(cancel()) if deed.manner == "cancels" else None
        try:
            yield
        finally:
            if task:
                await task

    async def _kill(self, at: int) -> None:
        """The worker, once so many requests have begun and some are in mid-answer."""
        while self.begun < at or not any(flight.heard for flight in self.flights.values()):
            await asyncio.sleep(0.01)
        running = sum(model["running"] for model in (await self._status())["models"])
        while not (worker := self.processes().get("worker")):
            await asyncio.sleep(0.01)
        worker.kill()
        self.running.append(running)
        for flight in self.flights.values():
            flight.killed, flight.before = True, flight.heard

    async def _quiet(self) -> None:
        """Until nothing runs or waits: soon, or it is stuck."""
        end = time.monotonic() + _QUIET
        while (found := await self._status())["requests"] or any(
            each["running"] + each["waiting"] for each in found["models"]
        ):
            if time.monotonic() > end:
                self.reasons.append(f"stuck after {self.begun} requests: {json.dumps(found)}")
                return
            await asyncio.sleep(0.1)

    async def _status(self) -> dict[str, Any]:
        client = Client(self.port)
        try:
            return json.loads((await client.ask("GET", "/v1/status"))[1])
        finally:
            client.close()


def _left(client: Client) -> str:
    client.close()
    return "left"


def _held(process: psutil.Process) -> dict[str, int]:
    memory = process.memory_full_info()
    return {
        "pid": process.pid,
        "uss": memory.uss,
        "pss": memory.pss,
        "descriptors": process.num_fds(),
        "threads": process.num_threads(),
    }


def grown(looks: dict[str, dict[str, Any]]) -> Iterator[str]:
    """Of what each process holds at the end that it did not hold before."""
    last = looks[_LAST]
    for name, first in (("daemon", "warm-up"), ("renderer", "warm-up"), ("worker", _SETTLED)):
        before, after = looks[first].get(name), last.get(name)
        if not before or not after or before["pid"] != after["pid"]:
            yield f"there is no {name} at the end that was there after {first}"
            continue
        bounds = {"uss": before["uss"] * (1 + _GROWTH), "descriptors": before["descriptors"]}
        for what, most in (bounds | {"threads": before["threads"] + _MORE_THREADS}).items():
            if after[what] > most:
                yield f"the {name}'s {what} grew from {before[what]} to {after[what]}"


async def soak(found: Soak, given: argparse.Namespace) -> dict[str, dict[str, Any]]:
    """What the processes hold after each phase."""
    storm, settling = given.requests // 2, given.requests // 5
    phases = {"warm-up": (given.warm_up, 2), "storm": (storm, given.kills), _SETTLED: (settling, 0)}
    phases[_LAST] = (given.requests - storm - settling, 0)
    looks: dict[str, dict[str, Any]] = {}
    try:
        async with asyncio.timeout(given.seconds):
            async with asyncio.timeout(_OPENING):
                await found.greet()
            for name, (requests, kills) in phases.items():
                looks[name] = await found.phase(requests, given.connections, kills)
                print(f"{name}: {json.dumps(looks[name])}", file=sys.stderr, flush=True)
            await found.last_look()
            found.reasons += grown(looks)
    except TimeoutError:
        found.reasons.append(f"not done after {given.seconds} s")
    except (Fault, OSError, h11.ProtocolError) as wrong:
        found.reasons.append(f"the daemon does not answer: {str(wrong) or type(wrong).__name__}")
    return looks


@contextmanager
def serving(given: argparse.Namespace, folder: Path, reasons: list[str]) -> Iterator[tuple[int, psutil.Process]]:
    """A daemon of its own: its port and its process. It ends with the block, and what it started with it; where it has
    to be made to, that is among the reasons."""
    words = ("--port", 0, "--parallel", given.parallel, "--context", given.context, *_SMALL_CACHES)
    command = [sys.executable, "-m", "accel.runtime.cli", "serve", *([given.model] if given.model else []), *words]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("ACCEL_")}
    (folder / "tmp").mkdir()
    environment |= {"ACCEL_HOME": str(folder / "home"), "TMPDIR": str(folder / "tmp")}
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            list(map(str, command)), stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=environment
        )
    try:
        end = time.monotonic() + _OPENING
        while not (place := re.search(r" at http://127\.0\.0\.1:(\d+)\n", (folder / "log").read_text())):
            if process.poll() is not None or time.monotonic() > end:
                raise SystemExit(f"the daemon does not start: {(folder / 'log').read_text()[-500:]}")
            time.sleep(0.05)
        yield int(place[1]), psutil.Process(process.pid)
    finally:
        reasons += _end(process)


def _end(process: subprocess.Popen[bytes]) -> Iterator[str]:
    """Asks it to; whoever is left after that is killed, by its number."""
    family: list[psutil.Process] = []
    with suppress(psutil.NoSuchProcess):
        family = psutil.Process(process.pid).children(recursive=True)
    process.terminate()
    try:
        process.wait(_END)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    _, left = psutil.wait_procs(family, _REST)
    for each in left:
        with suppress(psutil.NoSuchProcess):
            each.kill()
    if process.returncode or left:
        yield f"the daemon ended with {process.returncode}, and left {len(left)} processes"


def left_behind(folder: Path) -> Iterator[str]:
    """Faults in the log, and files that nobody needs."""
    files = [*(folder / "home").rglob("*.part"), *(folder / "tmp").iterdir()]
    yield from (f"left behind: {file.relative_to(folder)}" for file in files)
    for line in (folder / "log").read_text().splitlines():
        told = json.loads(line) if line.startswith("{") else {"level": "error", "event": line}
        if told["level"] == "error" and told.get("kind") != "WorkerDied" and not line.startswith("accel serves"):
            yield f"in the log: {line[:500]}"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", nargs="?", default="", help="a file; without one, the demo model")
    parser.add_argument("--requests", type=int, default=1000)
    parser.add_argument("--warm-up", type=int, default=200)
    parser.add_argument("--connections", type=int, default=50)
    parser.add_argument("--kills", type=int, default=5)
    parser.add_argument("--parallel", type=int, default=8)
    parser.add_argument("--context", type=int, default=2048)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--seconds", type=int, default=1200, help="after which it ends, done or not")
    given = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))  # so that the daemon ends with it
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="soak-") as name:
        folder = Path(name)
        found, looks = Soak(given.context, given.seed), {}
        with serving(given, folder, found.reasons) as (found.port, found.daemon):
            looks = asyncio.run(soak(found, given))
        found.reasons += left_behind(folder)
    report(
        model=Path(given.model).name or "demo",
        requests=found.begun,
        outcomes=dict(sorted(found.outcomes.items())),
        running_at_kills=found.running,
        in_flight_at_kills=dict(found.at_kills),
        retried_unnoticed=[found.retried, sum(found.running) - found.at_kills["lost"]],  # at least, and at most
        looks=looks,
        reasons=found.reasons[:_TOLD],
        more_reasons=max(0, len(found.reasons) - _TOLD),
        seconds=round(time.monotonic() - began, 1),
    )
    return int(bool(found.reasons))


if __name__ == "__main__":
    sys.exit(main())
