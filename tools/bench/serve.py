"""The daemon against llama.cpp's own server: the same model file, threads, context and requests, in turn.

    python tools/bench/serve.py RESULTS.jsonl MODEL --server PATH/llama-server [--clients 1,4,8] [--prompts 64,2000]
        [--shared no,yes] [--kind code] [--tokens 64] [--pairs 10] [--threads 2] [--temperature 0]

A round is one request of every client at once, streamed; each round's prompts are new to both servers, of so many
tokens. `shared`: all but the last 16 of them are the same, as with one system prompt. `--kind`: the prompts are texts
of `speculate_texts.py` instead. Both answer to `/v1/completions`; what they are told besides is nobody's own: no
drafting is asked of llama.cpp, ours drafts where it thinks that pays. Each cell is a line: ratios of total tokens a
second and of the time to the first token (above 1: ours is better).
"""

import argparse
import http.client
import json
import os
import random
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from pairs import environment, ratio_of
from speculate_texts import KINDS, texts

Prompt = Sequence[int]  # tokens

_START = 180.0  # seconds
_WORDS = sorted(set(Path(__file__).read_text().split()))  # of this very file: text enough
_JSON = {"content-type": "application/json"}
_SALT = os.getpid()  # accel knows prompts of other runs again
_OWN = 16  # tokens of a prompt that shares all the others


@dataclass(frozen=True, slots=True)
class Round:
    """Of all clients together."""

    rate: float  # tokens a second
    first: float  # seconds to the first token, in the mean


@dataclass(frozen=True, slots=True)
class Cell:
    clients: int
    prompt: int  # tokens; 0: of texts of a kind
    shared: bool


class Server:
    """One that listens on loopback, and ends with the block."""

    def __init__(self, name: str, command: Sequence[object], port: int, home: Path, log: Path) -> None:
        self.name, self.port = name, port
        self._log = log.open("wb")
        self.process = subprocess.Popen(
            list(map(str, command)),
            stdin=subprocess.DEVNULL,
            stdout=self._log,
            stderr=self._log,
            env={**os.environ, "ACCEL_HOME": str(home)},
        )

    def wait(self) -> None:
        """Until it is there, with the model loaded."""
        end = time.monotonic() + _START
        while time.monotonic() < end and self.process.poll() is None:
            try:
                self.ask((1, 2, 3), 1, 0.0)
                return
            except (OSError, http.client.HTTPException, RuntimeError):
                time.sleep(0.2)
        raise SystemExit(f"{self.name} does not answer; see {self._log.name}")

    def ask(self, prompt: Prompt, tokens: int, temperature: float) -> tuple[float, float, int]:
        """(when the first token came, when the last did, how many): of one request, streamed."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=600)
        body = {"prompt": list(prompt), "max_tokens": tokens, "stream": True, "temperature": temperature, "seed": 1}
        body["stream_options"] = {"include_usage": True}
        try:
            connection.request("POST", "/v1/completions", json.dumps(body), _JSON)
            answer = connection.getresponse()
            if answer.status != 200:
                raise RuntimeError(f"{self.name}: {answer.status} {answer.read()[:200]!r}")
            return _read(answer)
        finally:
            connection.close()

    def encode(self, text: str) -> list[int]:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        try:
            connection.request("POST", "/v1/tokenize", json.dumps({"prompt": text}), _JSON)
            return json.load(connection.getresponse())["tokens"]
        finally:
            connection.close()

    def close(self) -> None:
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self._log.close()


def _read(answer: http.client.HTTPResponse) -> tuple[float, float, int]:
    first = last = 0.0
    count = 0
    while line := answer.readline():
        if not line.startswith(b"data: {"):
            continue
        event = json.loads(line[6:])
        if "error" in event:
            raise RuntimeError(str(event["error"])[:200])
        if any(choice.get("text") for choice in event.get("choices", ())):
            last = time.perf_counter()
            first = first or last
        if usage := event.get("usage"):
            count = usage["completion_tokens"]
    ended = time.perf_counter()
    return first or ended, last or ended, count  # a text may be over before it has begun


def round_of(server: Server, prompts: Sequence[Prompt], tokens: int, temperature: float) -> Round:
    """One request of every client, all at once."""
    found: list[tuple[float, float, int]] = []

    def ask(prompt: Prompt) -> None:
        found.append(server.ask(prompt, tokens, temperature))

    threads = [threading.Thread(target=ask, args=(prompt,)) for prompt in prompts]
    began = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if len(found) < len(prompts):
        raise SystemExit(f"{server.name} left a request unanswered")
    took = max(last for _, last, _ in found) - began
    return Round(sum(count for *_, count in found) / took, sum(first - began for first, *_ in found) / len(found))


@dataclass(frozen=True, slots=True)
class Words:
    """What prompts are made of: words in tokens, or whole texts."""

    words: Sequence[Prompt]
    texts: Sequence[Prompt] = ()

    @classmethod
    def of(cls, server: Server, kind: str | None) -> "Words":
        found = [server.encode(f" {word}") for word in _WORDS]
        return cls(found, [server.encode(text.prompt)[-1024:] for text in texts(kind)] if kind else ())

    def prompts(self, cell: Cell, number: int) -> list[Prompt]:
        """New ones for every round, the same for both servers. They begin otherwise, unless they share what they begin
        with."""
        draw = random.Random(f"{_SALT} {cell} {number}")
        if not cell.prompt:
            return [[*self._some(draw, 1), *draw.choice(self.texts)] for _ in range(cell.clients)]
        if cell.shared:
            system = self._some(draw, max(1, cell.prompt - _OWN))
            return [[*system, *self._some(draw, _OWN)] for _ in range(cell.clients)]
        return [self._some(draw, cell.prompt) for _ in range(cell.clients)]

    def _some(self, draw: random.Random, count: int) -> list[int]:
        found: list[int] = []
        while len(found) < count:
            found += draw.choice(self.words)
        return found[:count]


def measure(ours: Server, theirs: Server, words: Words, cell: Cell, given: Any) -> dict[str, Any]:
    rates: tuple[list[float], list[float]] = ([], [])
    firsts: tuple[list[float], list[float]] = ([], [])
    for number in range(given.pairs + 1):  # the first warms up
        prompts = words.prompts(cell, number)
        for at in (0, 1) if number % 2 else (1, 0):
            done = round_of((ours, theirs)[at], prompts, given.tokens, given.temperature)
            if number:
                rates[at].append(done.rate)
                firsts[at].append(1 / done.first)
    return {
        **asdict(cell),
        "tokens": given.tokens,
        "ours": sum(rates[0]) / given.pairs,
        "theirs": sum(rates[1]) / given.pairs,
        "ratio": asdict(ratio_of(*rates)),
        "first": sum(1 / each for each in firsts[0]) / given.pairs,
        "first_theirs": sum(1 / each for each in firsts[1]) / given.pairs,
        "ratio_first": asdict(ratio_of(*firsts)),
    }


@contextmanager
def both(given: Any, most: int) -> Iterator[tuple[Server, Server]]:
    """Both servers, ready."""
    with tempfile.TemporaryDirectory() as folder, ExitStack() as opened:
        home = given.home or Path(folder)
        alike = ("--parallel", most, "--threads", given.threads)
        ours, theirs = _free_port(), _free_port()
        accel = (sys.executable, "-m", "accel.runtime.cli", "serve", given.model, "--port", ours, *alike)
        context = ("--context", given.context)
        rival = (given.server, "-m", given.model, "--port", theirs, "-c", given.context, "--parallel", most)
        rival += ("-t", given.threads, "-tb", given.threads, "--no-ui", "--kv-unified")
        commands = {
            "accel": (ours, (*accel, *context, *given.ours)),
            "llama-server": (theirs, (*rival, *given.theirs)),
        }
        servers: list[Server] = []
        for name, (port, command) in commands.items():  # one after the other: ours times a machine that is not busy
            servers.append(Server(name, command, port, home, Path(folder) / f"{name}.log"))
            opened.callback(servers[-1].close)
            servers[-1].wait()
        yield servers[0], servers[1]


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as found:
        return found.getsockname()[1]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("results", type=Path)
    parser.add_argument("model", type=Path)
    parser.add_argument("--server", type=Path, required=True)
    parser.add_argument("--clients", type=lambda text: [int(each) for each in text.split(",")], default=[1, 4, 8])
    parser.add_argument("--prompts", type=lambda text: [int(each) for each in text.split(",")], default=[64])
    parser.add_argument("--shared", type=lambda text: [each == "yes" for each in text.split(",")], default=[False])
    parser.add_argument("--kind", choices=list(KINDS), help="of texts, instead of words")
    parser.add_argument("--tokens", type=int, default=64)
    parser.add_argument("--pairs", type=int, default=10)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--temperature", type=float, default=0.0)
    parser.add_argument("--context", type=int, default=20480)
    parser.add_argument("--home", type=Path, help="accel's folder, which keeps what was measured of the machine")
    parser.add_argument("--ours", type=str.split, default=[], help="more of what accel serve is started with")
    parser.add_argument("--theirs", type=str.split, default=[], help="more of what llama-server is started with")
    given = parser.parse_args()
    kinds = [(0, False)] if given.kind else [(prompt, shared) for prompt in given.prompts for shared in given.shared]
    cells = [Cell(clients, *kind) for kind in kinds for clients in given.clients]
    with both(given, max(given.clients)) as (ours, theirs):
        words = Words.of(ours, given.kind)
        for cell in cells:
            told = {"model": given.model.name, "kind": given.kind, "threads": given.threads}
            line = {**told, **measure(ours, theirs, words, cell, given), **environment()}
            with given.results.open("a") as results:
                results.write(json.dumps(line) + "\n")
            print(json.dumps({key: value for key, value in line.items() if key not in environment()}), flush=True)


if __name__ == "__main__":
    main()
