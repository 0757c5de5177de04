"""Drafting against plain decoding, against an oracle, fixed settings, and llama.cpp's own speculative decoding.

    python tools/bench/speculate.py record FOLDER --name NAME --target T [--draft D] [--replay] [--kinds ...]
    python tools/bench/speculate.py measure RESULTS.jsonl --name NAME --target T [--draft D] [--replay] [--kinds ...]
    python tools/bench/speculate_simulate.py FOLDER/*.json
    python tools/bench/speculate_llama.py RESULTS.jsonl --server llama-server --name NAME --target T [--draft D]
    python tools/bench/speculate_table.py RESULTS.jsonl [--simulated SIMULATED.jsonl]

A cell is a model, a kind of text (`speculate_texts.py`) and a temperature. With `--replay` the model's choices are
forced to what people wrote, while all costs stay real; without, it writes itself. `record` keeps what the simulation
needs; `measure` times pairs in one process on one engine, plain and drafted in turn, and appends a line for each cell.
Cells that are there already are left out, so that both can be interrupted and run again.
"""

import argparse
import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # as in a worker

from speculate_recording import name_of
from speculate_texts import KINDS, UNANSWERED

Cell = tuple[str, float]


def arguments(parser: argparse.ArgumentParser) -> None:
    """Those that name a model and its cells."""
    parser.add_argument("--name", required=True, help="of the model, in results and recordings")
    parser.add_argument("--target", type=Path, required=True)
    parser.add_argument("--draft", type=Path)
    parser.add_argument("--kinds", nargs="+", choices=list(KINDS), help="default: those that have answers")
    parser.add_argument("--temperatures", nargs="+", type=float, default=[0.0, 0.8])
    parser.add_argument("--tokens", type=int, default=256, help="of each text, at most")
    parser.add_argument("--threads", type=int, help="default: as planned")


def cells(given: argparse.Namespace, replayed: bool, there: Callable[[str, float], bool]) -> list[Cell]:
    """Those asked for that are not there yet."""
    kinds = given.kinds or [kind for kind in KINDS if kind not in UNANSWERED]
    kinds = [kind for kind in kinds if not (replayed and kind in UNANSWERED)]
    return [(kind, at) for kind in kinds for at in given.temperatures if not there(kind, at)]


def append(path: Path, line: dict[str, Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a") as sink:
        sink.write(json.dumps(line) + "\n")
    print(json.dumps(line), flush=True)


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def known(path: Path, what: str, name: str, replayed: bool) -> Callable[[str, float], bool]:
    """Whether results hold a cell."""
    there = {
        (line["kind"], line["temperature"])
        for line in lines(path)
        if (line["what"], line["model"], line["replayed"]) == (what, name, replayed)
    }
    return lambda kind, temperature: (kind, temperature) in there


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("do", choices=("record", "measure"))
    parser.add_argument("where", type=Path, help="folder of recordings, or file of results")
    parser.add_argument("--replay", action="store_true", help="what people wrote, instead of what the model writes")
    parser.add_argument("--pairs", type=int, default=12, help="of each cell at least, shared out among its texts")
    parser.add_argument("--seconds", type=float, default=60, help="of more pairs, while a ratio is not known to 1%%")
    parser.add_argument("--nodes", type=int, default=31, help="of the drafts of a step, at most")
    parser.add_argument("--against", type=int, default=0, help="drafts of so many nodes, instead of plain decoding")
    arguments(parser)
    given = parser.parse_args()
    if given.do == "record":
        todo = cells(
            given, given.replay, lambda kind, at: (given.where / f"{name_of(given.name, kind, at)}.json").exists()
        )
    else:
        what = "budgets" if given.against else "measured"
        todo = cells(given, given.replay, known(given.where, what, given.name, given.replay))
    if todo:
        _do(given, todo)


def _do(given: argparse.Namespace, todo: list[Cell]) -> None:
    from speculate_measure import measure
    from speculate_record import Subject, record

    subject = Subject(given.name, given.target, given.draft, given.threads)
    print(subject.options, file=sys.stderr)
    for number, (kind, temperature) in enumerate(todo, 1):
        print(f"{number}/{len(todo)} {given.name} {kind} at {temperature:g}", file=sys.stderr, flush=True)
        if given.do == "record":
            print(record(subject, kind, temperature, given.replay, given.tokens).save(given.where), flush=True)
        else:
            append(given.where, measure(subject, kind, temperature, given))


if __name__ == "__main__":
    main()
