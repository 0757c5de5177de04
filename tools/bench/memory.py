"""Predicted against measured: peak memory of a worker that does all it may be asked for, anonymous and mapped apart,
and decode speed, each in a fresh process.

    python tools/bench/memory.py MODEL.gguf ... [--contexts 512,4096,16384] [--kv f16,q8_0] [--repack yes,no] [--apart]

One JSON line for every configuration and a table at the end. A prediction holds when it is not below what was
measured, and above it by no more than the larger of 5% and 16 MiB; a speed when it is off by no more than 25%. With
--apart attention is not fused, and one sequence has all of the context.
"""

import argparse
import itertools
import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from held import Peak, exercise
from memory_child import DECODED, DEPTH, Measured
from pairs import environment

from accel.devices.machine import Machine
from accel.devices.paths import cache_dir
from accel.runtime.calibrate import known_costs, time_kernels
from accel.runtime.costs import USUAL_DEPTH, Costs, attention_seconds, decode_seconds
from accel.runtime.engines.options import EngineOptions
from accel.runtime.footprint import Placement, footprint, of_worker
from accel.runtime.model import ModelSpec
from accel.runtime.planning import this_machine
from accel.runtime.search import Goal
from accel.runtime.supervisor import Supervisor
from accel.units import Bytes, from_json, to_json

ROWS = 512  # of one forward, and positions of one sequence
CHILD = Path(__file__).with_name("memory_child.py")
TOLERANCE = 0.05, Bytes.from_mib(16)
SPEED_TOLERANCE = 0.25
COLUMNS = (
    ("anonymous", "anonymous MiB", 2**20),
    ("mapped", "mapped MiB", 2**20),
    ("decode", "decode/s", 1),
    ("decode_measured_rows", "with measured rows", 1),
)


def compare(path: Path, context: int, kv_type: str, repack: bool, given: argparse.Namespace) -> dict[str, Any] | None:
    """One configuration, or None where the model cannot have it."""
    model = replace(ModelSpec.read(path), context=context)  # also beyond what it was trained for
    if kv_type not in model.kv_types:
        return None
    threads, speed = given.threads, not given.memory_only
    sequences = 1 if given.apart else -(-context // ROWS)
    machine, goal = this_machine(), Goal(context=context, sequences=sequences, kv_type=kv_type)
    placement = Placement(context, sequences, kv_type, ROWS, sequences, repack, fused=not given.apart)
    costs = replace(known_costs(machine, model, goal, cache_dir()), rows=())
    if speed:
        costs = time_kernels(machine, model, costs, cache_dir(), say=lambda doing: print(doing, file=sys.stderr))
    options = EngineOptions(
        str(path), context, sequences, batch=ROWS, ubatch=ROWS, outputs=placement.outputs, kv_type=kv_type,
        threads=threads, threads_prefill=threads, repack=repack, flash_attention=not given.apart,
    )  # fmt: skip
    peak = held(options, context // sequences)
    parts = footprint(model, placement, costs)
    anonymous, mapped, _ = of_worker(parts)
    found = {
        "model": path.name, "context": context, "kv": kv_type, "repack": repack, "threads": threads,
        "anonymous": verdict(anonymous, peak.anonymous),
        "mapped": verdict(mapped, peak.mapped),
        "parts": {part.what: int(part.size) for part in parts},
    }  # fmt: skip
    if speed:
        measured = timed(options)
        found["rests_on"] = costs.rests_on(model, threads, placement)
        for what, known in (("decode", costs), ("decode_measured_rows", replace(costs, rows=(measured.rows,)))):
            rate = 1 / decode_seconds_here(machine, model, placement, known, threads)
            found[what] = speed_verdict(rate, measured.decode)
    return found


def held(options: EngineOptions, rows: int) -> Peak:
    """What a worker of its own holds at most, from its start."""
    with TemporaryDirectory() as folder, Supervisor("llamacpp", options) as worker, Peak(worker) as peak:
        exercise(worker, rows, Path(folder))
    return peak


def timed(options: EngineOptions) -> Measured:
    done = subprocess.run([sys.executable, str(CHILD)], input=to_json(options), capture_output=True, check=False)
    if done.returncode:
        raise SystemExit(done.stderr.decode()[-2000:])
    return from_json(done.stdout, Measured)


def decode_seconds_here(machine: Machine, model: ModelSpec, placement: Placement, costs: Costs, threads: int) -> float:
    """At the depth that is measured, not at the usual one."""
    usual, here = min(placement.context, USUAL_DEPTH), DEPTH + DECODED // 2
    seconds = decode_seconds(machine, model, placement, costs, threads)
    return seconds + sum(
        sign * attention_seconds(machine, model, placement, costs, threads, depth)
        for sign, depth in ((-1, usual), (1, here))
    )


def speed_verdict(predicted: float, measured: float) -> dict[str, Any]:
    holds = abs(predicted - measured) <= SPEED_TOLERANCE * measured
    return {"predicted": predicted, "measured": measured, "holds": holds}


def verdict(predicted: Bytes, measured: Bytes) -> dict[str, Any]:
    share, least = TOLERANCE
    allowed = max(share * measured, least)
    return {"predicted": predicted, "measured": measured, "holds": 0 <= predicted - measured <= allowed}


def show(results: list[dict[str, Any]]) -> None:
    columns = [column for column in COLUMNS if all(column[0] in result for result in results)]
    print(f"{'model':22} {'context':>7} {'kv':5} {'repack':6} " + " ".join(f"{words:>22}" for _, words, _ in columns))
    for result in results:
        cells = [
            f"{result['model'][:22]:22} {result['context']:7} {result['kv']:5} {'yes' if result['repack'] else 'no':6}"
        ]
        for what, _, scale in columns:
            facts = result[what]
            text = (
                f"{facts['predicted'] / scale:.1f} / {facts['measured'] / scale:.1f} {'ok' if facts['holds'] else 'NO'}"
            )
            cells.append(f"{text:>22}")
        print(" ".join(cells))
    for what, words, scale in columns:
        over = [(result[what]["predicted"] - result[what]["measured"]) / scale for result in results]
        holds, below = sum(result[what]["holds"] for result in results), sum(difference < 0 for difference in over)
        print(f"{words}: {holds} of {len(results)} predictions hold, {below} are below what was measured;", end=" ")
        print(f"predicted minus measured is {min(over):.1f} to {max(over):.1f}")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", nargs="*", type=Path)
    parser.add_argument("--contexts", default="512,4096,16384")
    parser.add_argument("--kv", default="f16,q8_0")
    parser.add_argument("--repack", default="yes,no")
    parser.add_argument("--threads", type=int, default=this_machine().processor.cores)
    parser.add_argument("--apart", action="store_true", help="attention that is not fused")
    parser.add_argument("--memory-only", action="store_true", help="measure no speed")
    given = parser.parse_args()
    print(json.dumps(environment()))
    choices = (given.models, map(int, given.contexts.split(",")), given.kv.split(","), given.repack.split(","))
    results = []
    for path, context, kv_type, repack in itertools.product(*choices):
        found = compare(path, context, kv_type, repack == "yes", given)
        if found:
            print(json.dumps(found), flush=True)
            results.append(found)
    show(results)
    return 0


if __name__ == "__main__":
    sys.exit(main())
