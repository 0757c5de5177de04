"""llama.cpp's own speculative decoding: its server on the same file, with the same prompts, threads and laws.

    python tools/bench/speculate_llama.py RESULTS.jsonl --server PATH/llama-server --name NAME --target T [--draft D]

It writes what the model writes: llama.cpp cannot be made to write a recorded text (`speculate_rivals.py` simulates its
drafters on those). Each of a small grid of settings answers the prompts of one half, which it may learn from, and then
those of the other; the fastest there is measured again, in turn with a plain server, and then in turn with a worker of
ours under its plan, prompt by prompt. Speeds are those that the server and the worker report for decoding. The server
comes from `llama_programs.py`.
"""

import argparse
import json
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

from pairs import alternate, environment, ratio_of
from speculate import append, arguments, cells, known
from speculate_record import CONTEXT, SEED, plan_options
from speculate_texts import texts

from accel.runtime.engines import open_engine
from accel.runtime.engines.options import EngineOptions
from accel.runtime.law import Law
from accel.runtime.messages import Finished
from accel.runtime.open import open_model
from accel.runtime.settings import Settings

Prompts = list[tuple[bool, list[int]]]  # whether it is reported, and its tokens

PLAIN: tuple[str, ...] = ()
_START = 120.0  # seconds


def grid(draft: Path | None) -> list[tuple[str, ...]]:
    """Settings of the server."""
    found: list[tuple[str, ...]] = [
        ("--spec-type", "ngram-simple", "--spec-ngram-simple-size-n", str(n), "--spec-ngram-simple-size-m", str(m))
        for n, m in ((3, 3), (3, 7), (3, 15), (4, 31), (8, 31), (12, 48))
    ]
    found += [
        ("--spec-type", "ngram-map-k", "--spec-ngram-map-k-size-n", str(n), "--spec-ngram-map-k-size-m", str(m))
        for n, m in ((3, 3), (3, 7), (3, 15), (8, 31))
    ]
    found += [
        (
            *("--spec-type", "ngram-mod", "--spec-ngram-mod-n-match", str(n)),
            *("--spec-ngram-mod-n-min", str(least), "--spec-ngram-mod-n-max", str(most)),
        )
        for n, least, most in ((16, 1, 15), (16, 8, 31), (24, 48, 64))
    ]
    found.append(("--spec-type", "ngram-cache"))
    if draft:
        of = ("--spec-type", "draft-simple", "--spec-draft-model", str(draft))
        found += [
            (*of, "--spec-draft-n-max", str(most), "--spec-draft-p-min", str(sure))
            for most in (1, 2, 3, 7, 15)
            for sure in (0.0, 0.5, 0.8)
            if most > 1 or not sure
        ]
    return found


def short(setting: Sequence[str]) -> str:
    """A setting in few words."""
    return " ".join(word for word in setting if not word.startswith("--") and "/" not in word) or "plain"


@dataclass(frozen=True, slots=True)
class Said:
    """What the server reports of an answer."""

    tokens: int
    seconds: float
    drafted: int
    stood: int


class Server:
    def __init__(self, port: int) -> None:
        self._at = f"http://127.0.0.1:{port}"

    def healthy(self) -> bool:
        try:
            with urllib.request.urlopen(f"{self._at}/health", timeout=5) as answer:
                return answer.status == 200
        except OSError:
            return False

    def answer(self, prompt: Sequence[int], temperature: float, most: int) -> Said:
        body = {
            "prompt": list(prompt),
            "n_predict": most,
            "temperature": temperature,
            "top_k": 40,
            "top_p": 0.95,
            "min_p": 0.0,
            "samplers": ["top_k", "top_p", "temperature"],
            "seed": SEED,
            "cache_prompt": True,
        }
        request = urllib.request.Request(
            f"{self._at}/completion", json.dumps(body).encode(), {"Content-Type": "application/json"}
        )
        with urllib.request.urlopen(request, timeout=600) as answer:
            timings = json.load(answer)["timings"]
        seconds = timings["predicted_ms"] / 1e3
        count = timings["predicted_n"] - 1  # the first comes from the prompt's forward, before the clock starts
        return Said(max(1, count), seconds, timings.get("draft_n", 0), timings.get("draft_n_accepted", 0))


@contextmanager
def serving(program: Path, options: EngineOptions, setting: Sequence[str]) -> Iterator[Server]:
    """Raises SystemExit where it does not start."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [
        *(str(program), "-m", options.path, "--host", "127.0.0.1", "--port", str(port), "--no-ui", "-np", "1"),
        *("-c", str(CONTEXT), "-t", str(options.threads), "-tb", str(options.threads_prefill)),
        *("-fa", "on" if options.flash_attention else "off"),
        *("-td", str(options.threads), "-tbd", str(options.threads_prefill)),
        *("-b", str(options.batch), "-ub", str(options.ubatch), "--cache-ram", "0", "-fit", "off"),
        *(() if options.repack else ("--no-repack",)),
        *setting,
    ]
    with tempfile.TemporaryFile() as log:
        process = subprocess.Popen(command, stdout=log, stderr=log)
        try:
            server, end = Server(port), time.monotonic() + _START
            while not server.healthy():
                if process.poll() is not None or time.monotonic() > end:
                    log.seek(0)
                    raise SystemExit(f"{' '.join(command)}\n{log.read()[-2000:].decode(errors='replace')}")
                time.sleep(0.1)
            yield server
        finally:
            process.terminate()
            process.wait(30)


class Ours:
    """A worker under the plan for this machine, which drafts where it thinks that pays."""

    def __init__(self, given: Any) -> None:
        draft = str(given.draft) if given.draft else ""
        settings = Settings(model=str(given.target), draft_model=draft, context=CONTEXT, threads=given.threads)
        self._opened = open_model(settings, lambda words: print(f"  {words}", file=sys.stderr))
        self.threads = int(self._opened.plan.choices["threads"].value)
        self.close = self._opened.close

    def answer(self, prompt: Sequence[int], temperature: float, most: int) -> Said:
        law = Law(temperature=temperature, seed=SEED)
        *_, last = self._opened.worker.generate("bench", [tuple(prompt)], law, most=most)
        assert isinstance(last, Finished)
        return Said(max(1, last.usage.generated - 1), last.timings.decode, 0, 0)


def pass_over(server: Server | Ours, prompts: Prompts, temperature: float, most: int) -> tuple[float, int, int]:
    """Seconds a token over those that are reported, after the others; drafted nodes there, and those that stood."""
    for reported, prompt in prompts:
        if not reported:
            server.answer(prompt, temperature, most)
    said = [server.answer(prompt, temperature, most) for reported, prompt in prompts if reported]
    each = sum(answer.seconds for answer in said) / max(1, sum(answer.tokens for answer in said))
    return each, sum(answer.drafted for answer in said), sum(answer.stood for answer in said)


def compared(
    program: Path,
    options: EngineOptions,
    settings: Sequence[Sequence[str]],
    prompts: Prompts,
    at: float,
    given: Any,
    ours: Ours,
) -> dict[str, Any]:
    """The figures of one cell."""
    tried: dict[str, float] = {}
    stood: dict[str, float] = {}
    with serving(program, options, PLAIN) as plain:
        before, _, _ = pass_over(plain, prompts, at, given.tokens)
        for setting in settings:
            with serving(program, options, setting) as server:
                each, drafted, right = pass_over(server, prompts, at, given.tokens)
            tried[short(setting)], stood[short(setting)] = before / each, right / max(1, drafted)
            print(f"  {short(setting)}: {before / each:.3f}, {stood[short(setting)]:.2f} accepted", file=sys.stderr)
        best = max(settings, key=lambda setting: tried[short(setting)])
        with serving(program, options, best) as server:
            pass_over(server, prompts, at, given.tokens)
            rates = _in_turn(server, plain, prompts, at, given)
            pass_over(ours, prompts, at, given.tokens)
            against = _in_turn(ours, server, prompts, at, given)
    return {
        "ours": len(against[0]) / sum(1 / rate for rate in against[0]),
        "ours_to_theirs": asdict(ratio_of(*against)),
        "our_threads": ours.threads,
        "plain": len(rates[1]) / sum(1 / rate for rate in rates[1]),
        "theirs": len(rates[0]) / sum(1 / rate for rate in rates[0]),
        "ratio": asdict(ratio_of(*rates)),
        "setting": short(best),
        "acceptance": stood[short(best)],
        "tried": tried,
    }


def _in_turn(
    one: Server | Ours, other: Server | Ours, prompts: Prompts, at: float, given: Any
) -> tuple[list[float], list[float]]:
    """Tokens a second of both, over the prompts that are reported."""
    rates: tuple[list[float], list[float]] = ([], [])
    reported = [prompt for is_reported, prompt in prompts if is_reported]
    for prompt in reported:
        runs = partial(_rate, one, prompt, at, given.tokens), partial(_rate, other, prompt, at, given.tokens)
        for side, found in zip(rates, alternate(*runs, -(-given.pairs // len(reported))), strict=True):
            side.extend(found)
    return rates


def _rate(server: Server | Ours, prompt: Sequence[int], temperature: float, most: int) -> float:
    said = server.answer(prompt, temperature, most)
    return said.tokens / said.seconds


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("results", type=Path)
    parser.add_argument("--server", type=Path, required=True)
    parser.add_argument("--types", nargs="+", help="of drafters, say ngram-simple; default: all")
    parser.add_argument("--pairs", type=int, default=12)
    arguments(parser)
    given = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # no server outlives this
    todo = cells(given, False, known(given.results, "llama.cpp", given.name, False))
    options = plan_options(given.target, given.threads)
    settings = [each for each in grid(given.draft) if not given.types or each[1] in given.types]
    engine = open_engine("llamacpp", options)
    encoded: dict[str, Prompts] = {
        kind: [
            (text.half == "report", engine.vocabulary.encode(text.prompt, start=True)[-(CONTEXT - 2 * given.tokens) :])
            for text in texts(kind)
        ]
        for kind, _ in todo
    }
    engine.close()
    ours = Ours(given)
    for number, (kind, at) in enumerate(todo, 1):
        print(f"{number}/{len(todo)} {given.name} {kind} at {at:g}", file=sys.stderr, flush=True)
        cell = {"what": "llama.cpp", "model": given.name, "kind": kind, "temperature": at, "replayed": False}
        found = compared(given.server, options, settings, encoded[kind], at, given, ours)
        append(given.results, {**cell, **found, "threads": options.threads, **environment()})
    ours.close()


if __name__ == "__main__":
    main()
