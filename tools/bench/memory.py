"""Predicted against measured: peak memory, anonymous and mapped apart, and decode speed, each in a fresh process.

    python tools/bench/memory.py MODEL.gguf ... [--contexts 512,4096,16384] [--kv f16,q8_0] [--repack yes,no]

One JSON line for every configuration and a table at the end. A prediction holds when it is off by no more than the
larger of 5% and 16 MiB; a speed when it is off by no more than 25%.
"""

import argparse
import io
import itertools
import json
import subprocess
import sys
import threading
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from pairs import environment

from accel.devices.paths import cache_dir
from accel.devices.resident import resident
from accel.runtime.calibrate import known_costs, time_kernels
from accel.runtime.costs import USUAL_DEPTH, attention_seconds, decode_seconds
from accel.runtime.engines import open_engine
from accel.runtime.engines.base import Batch
from accel.runtime.engines.options import EngineOptions
from accel.runtime.footprint import Placement, footprint
from accel.runtime.model import ModelSpec
from accel.runtime.plan import OUTPUTS, Goal
from accel.runtime.planning import this_machine
from accel.units import Bytes, from_json, to_json

ROWS = 512  # of one forward
DECODED, RUNS = 48, 3
DEPTH = 128  # positions before the decoded ones
TOLERANCE = 0.05, Bytes.from_mib(16)
SPEED_TOLERANCE = 0.25


@dataclass(frozen=True, slots=True)
class Measured:
    anonymous: Bytes  # at the peak
    mapped: Bytes
    decode: float  # tokens per second


class Peak:
    """Samples this process's memory while it is entered, and keeps the most of each kind."""

    def __init__(self) -> None:
        self.anonymous, self.mapped = Bytes(0), Bytes(0)

    def __enter__(self) -> "Peak":
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._sample)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()
        self._look()

    def _sample(self) -> None:
        while not self._over.wait(0.003):
            self._look()

    def _look(self) -> None:
        anonymous, mapped = resident()
        self.anonymous, self.mapped = max(self.anonymous, anonymous), max(self.mapped, mapped)


def measure(options: EngineOptions, speed: bool) -> Measured:
    """In this process, which must be fresh: opens the model, fills its context, and forwards one more full batch."""
    import accel.runtime.worker  # noqa: F401 - what a worker has in memory counts

    peak = Peak()
    with peak:
        engine: Any = open_engine("llamacpp", options)
        engine.forward(Batch.chain(0, tokens(engine, ROWS), wants="none"))
        engine.commit(0, range(ROWS))
    last = options.sequences - 1
    if last > 0:
        # A sequence saved once and loaded into the others fills the cache in no time; that is not what is measured.
        state = io.BytesIO()
        engine.save(0, state)
        for seq in range(1, last):
            state.seek(0)
            engine.load(seq, state)
        del state
    else:
        engine.truncate(0, 0)
    with peak:
        batch = Batch.chain(last, tokens(engine, ROWS), wants="none")
        batch.wants[-options.outputs :] = 1
        engine.forward(batch).row(ROWS - 1)
        engine.truncate(last, 0)
    for seq in range(last + 1):
        engine.truncate(seq, 0)
    return Measured(peak.anonymous, peak.mapped, decode_rate(engine) if speed else 0.0)


def tokens(engine: Any, count: int) -> list[int]:
    return [7919 * i % engine.vocabulary.size for i in range(1, count + 1)]


def decode_rate(engine: Any) -> float:
    """Tokens per second of one sequence: the best of a few runs, since others only ever slow one down."""
    rates = []
    for _ in range(RUNS):
        engine.forward(Batch.chain(0, tokens(engine, DEPTH)))
        engine.commit(0, range(DEPTH))
        token, start = 1, time.perf_counter()
        for _ in range(DECODED):
            token = int(engine.forward(Batch.chain(0, [token])).row(0).argmax())
            engine.commit(0, [0])
        rates.append(DECODED / (time.perf_counter() - start))
        engine.truncate(0, 0)
    return max(rates)


def compare(path: Path, context: int, kv_type: str, repack: bool, threads: int, speed: bool) -> dict[str, Any] | None:
    """One configuration, or None where the model cannot have it."""
    model = replace(ModelSpec.read(path), context=context)  # also beyond what it was trained for
    if kv_type not in model.kv_types:
        return None
    sequences = -(-context // ROWS)
    machine, goal = this_machine(), Goal(context=context, sequences=sequences, kv_type=kv_type)
    placement = Placement(context, sequences, kv_type, ROWS, max(OUTPUTS, sequences), repack)
    costs = replace(known_costs(machine, model, goal, cache_dir()), rows=())
    if speed:
        costs = time_kernels(machine, model, costs, cache_dir(), say=lambda doing: print(doing, file=sys.stderr))
    options = EngineOptions(
        str(path), context, sequences, batch=ROWS, ubatch=ROWS, outputs=placement.outputs, kv_type=kv_type,
        threads=threads, threads_prefill=threads, repack=repack,
    )  # fmt: skip
    command = [sys.executable, __file__, "--child", *([] if speed else ["--memory-only"])]
    done = subprocess.run(command, input=to_json(options), capture_output=True, check=False)
    if done.returncode:
        raise SystemExit(done.stderr.decode()[-2000:])
    measured = from_json(done.stdout, Measured)
    parts = footprint(model, placement, costs)
    predicted = {kind: Bytes(sum(part.size for part in parts if part.kind == kind)) for kind in ("anonymous", "mapped")}
    usual = attention_seconds(machine, model, placement, threads, min(context, USUAL_DEPTH))
    here = attention_seconds(machine, model, placement, threads, DEPTH + DECODED // 2)
    decode = 1 / (decode_seconds(machine, model, placement, costs, threads) - usual + here)
    return {
        "model": path.name, "context": context, "kv": kv_type, "repack": repack, "threads": threads,
        "rests_on": costs.rests_on(model, threads, placement),
        "anonymous": verdict(predicted["anonymous"], measured.anonymous),
        "mapped": verdict(predicted["mapped"], measured.mapped),
        "decode": {
            "predicted": decode, "measured": measured.decode,
            "holds": not speed or abs(decode - measured.decode) <= SPEED_TOLERANCE * measured.decode,
        },
        "parts": {part.what: int(part.size) for part in parts},
    }  # fmt: skip


def verdict(predicted: Bytes, measured: Bytes) -> dict[str, Any]:
    share, least = TOLERANCE
    allowed = max(share * measured, least)
    return {"predicted": predicted, "measured": measured, "holds": abs(predicted - measured) <= allowed}


def show(results: list[dict[str, Any]]) -> None:
    print(
        f"{'model':22} {'context':>7} {'kv':5} {'repack':6} {'anonymous MiB':>22} {'mapped MiB':>22} {'decode/s':>20}"
    )
    for result in results:
        cells = [
            f"{result['model'][:22]:22} {result['context']:7} {result['kv']:5} {'yes' if result['repack'] else 'no':6}"
        ]
        for what, scale, width in (("anonymous", 2**20, 22), ("mapped", 2**20, 22), ("decode", 1, 20)):
            facts = result[what]
            text = (
                f"{facts['predicted'] / scale:.1f} / {facts['measured'] / scale:.1f} {'ok' if facts['holds'] else 'NO'}"
            )
            cells.append(f"{text:>{width}}")
        print(" ".join(cells))
    for what in ("anonymous", "mapped", "decode"):
        print(f"{what}: {sum(result[what]['holds'] for result in results)} of {len(results)} predictions hold")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", nargs="*", type=Path)
    parser.add_argument("--contexts", default="512,4096,16384")
    parser.add_argument("--kv", default="f16,q8_0")
    parser.add_argument("--repack", default="yes,no")
    parser.add_argument("--threads", type=int, default=this_machine().processor.cores)
    parser.add_argument("--memory-only", action="store_true", help="measure no speed")
    parser.add_argument("--child", action="store_true", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.child:
        options = from_json(sys.stdin.buffer.read(), EngineOptions)
        sys.stdout.buffer.write(to_json(measure(options, not given.memory_only)))
        return 0
    print(json.dumps(environment()))
    choices = (given.models, map(int, given.contexts.split(",")), given.kv.split(","), given.repack.split(","))
    results = []
    for path, context, kv_type, repack in itertools.product(*choices):
        found = compare(path, context, kv_type, repack == "yes", given.threads, not given.memory_only)
        if found:
            print(json.dumps(found), flush=True)
            results.append(found)
    show(results)
    return 0


if __name__ == "__main__":
    sys.exit(main())
