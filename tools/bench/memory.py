"""Predicted against measured: peak memory, anonymous and mapped apart, and decode speed, each in a fresh process.

    python tools/bench/memory.py MODEL.gguf ... [--contexts 512,4096,16384] [--kv f16,q8_0] [--repack yes,no]

One JSON line for every configuration and a table at the end. A prediction holds when it is off by no more than the
larger of 5% and 16 MiB; a speed when it is off by no more than 25%.
"""

import argparse
import itertools
import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

from memory_child import DECODED, DEPTH, ROWS, Measured
from pairs import environment

from accel.devices.machine import Machine
from accel.devices.paths import cache_dir
from accel.runtime.calibrate import known_costs, time_kernels
from accel.runtime.costs import USUAL_DEPTH, Costs, attention_seconds, decode_seconds
from accel.runtime.engines.options import EngineOptions
from accel.runtime.footprint import Placement, footprint
from accel.runtime.model import ModelSpec
from accel.runtime.plan import OUTPUTS, Goal
from accel.runtime.planning import this_machine
from accel.units import Bytes, from_json, to_json

CHILD = Path(__file__).with_name("memory_child.py")
TOLERANCE = 0.05, Bytes.from_mib(16)
SPEED_TOLERANCE = 0.25
COLUMNS = ("anonymous", 2**20, 22), ("mapped", 2**20, 22), ("decode", 1, 20), ("decode_measured_rows", 1, 20)


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
    command = [sys.executable, str(CHILD), *([] if speed else ["--memory-only"])]
    done = subprocess.run(command, input=to_json(options), capture_output=True, check=False)
    if done.returncode:
        raise SystemExit(done.stderr.decode()[-2000:])
    measured = from_json(done.stdout, Measured)
    parts = footprint(model, placement, costs)
    predicted = {kind: Bytes(sum(part.size for part in parts if part.kind == kind)) for kind in ("anonymous", "mapped")}
    decode = [
        1 / decode_seconds_here(machine, model, placement, known, threads)
        for known in (costs, replace(costs, rows=(measured.rows,) if measured.rows else ()))
    ]
    return {
        "model": path.name, "context": context, "kv": kv_type, "repack": repack, "threads": threads,
        "rests_on": costs.rests_on(model, threads, placement),
        "anonymous": verdict(predicted["anonymous"], measured.anonymous),
        "mapped": verdict(predicted["mapped"], measured.mapped),
        "decode": speed_verdict(decode[0], measured.decode),
        "decode_measured_rows": speed_verdict(decode[1], measured.decode),
        "parts": {part.what: int(part.size) for part in parts},
    }  # fmt: skip


def decode_seconds_here(machine: Machine, model: ModelSpec, placement: Placement, costs: Costs, threads: int) -> float:
    """At the depth that is measured, not at the usual one."""
    usual, here = min(placement.context, USUAL_DEPTH), DEPTH + DECODED // 2
    seconds = decode_seconds(machine, model, placement, costs, threads)
    return seconds + sum(
        sign * attention_seconds(machine, model, placement, costs, threads, depth)
        for sign, depth in ((-1, usual), (1, here))
    )


def speed_verdict(predicted: float, measured: float) -> dict[str, Any]:
    holds = not measured or abs(predicted - measured) <= SPEED_TOLERANCE * measured
    return {"predicted": predicted, "measured": measured, "holds": holds}


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
        for what, scale, width in COLUMNS:
            facts = result[what]
            text = (
                f"{facts['predicted'] / scale:.1f} / {facts['measured'] / scale:.1f} {'ok' if facts['holds'] else 'NO'}"
            )
            cells.append(f"{text:>{width}}")
        print(" ".join(cells))
    for what, _, _ in COLUMNS:
        print(f"{what}: {sum(result[what]['holds'] for result in results)} of {len(results)} predictions hold")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", nargs="*", type=Path)
    parser.add_argument("--contexts", default="512,4096,16384")
    parser.add_argument("--kv", default="f16,q8_0")
    parser.add_argument("--repack", default="yes,no")
    parser.add_argument("--threads", type=int, default=this_machine().processor.cores)
    parser.add_argument("--memory-only", action="store_true", help="measure no speed")
    given = parser.parse_args()
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
