"""What chosen thresholds for stand-ins cost a model's text, at chosen shares of its experts in memory, as JSON:

    python tools/bench/quality.py model.gguf --shares 0.25,0.6 --thresholds 0.6:1,0.5:0.9 [--deterministic]

as another run was served, told by itself or by the lines that `experts.py` printed:

    python tools/bench/quality.py model.gguf --missed 0.36 --low 0.22 --skipped 0.03
    python tools/bench/quality.py model.gguf --like RUN.jsonl

or what perplexity may be lost at most (thresholds are chosen on the first half of the tokens, and told on the other):

    python tools/bench/quality.py model.gguf --shares 0.25,0.4 --within 0.01

The stand-ins must lie beside the model (`accel-export experts --only-file`). What is missed, served by stand-ins and
left out are shares of the uses, one for every expert that a token chooses in a layer, over tokens that are decoded one
at a time: `offload/counts.py` says what counts as each, here and in experts.py.
"""

import argparse
import json
import shlex
import sys
from collections.abc import Iterator
from pathlib import Path
from statistics import median
from typing import Any

from match import Setting, match

from accel.devices.probe import probe
from accel.offload.counts import Shares
from accel.offload.planes import sidecar_of
from accel.runtime.learn_quality import TOKENS
from accel.runtime.measure_quality import Passes, QualityJob, passes
from accel.runtime.quality import Quality
from accel.runtime.thresholds import choose
from accel.units import to_json


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path)
    parser.add_argument("--shares", default="0.25", help="of the experts in memory")
    parser.add_argument("--thresholds", default="0.6:0.9", help="LOW:SKIP, 1 for none")
    parser.add_argument("--missed", type=float, help="of the uses: not in memory, in a precision that would do")
    parser.add_argument("--low", type=float, default=0.0, help="of the uses, at least: served by stand-ins")
    parser.add_argument("--skipped", type=float, default=0.0, help="of the uses, at least: left out")
    parser.add_argument("--like", type=Path, help="what experts.py printed: as its `approximate` was served")
    parser.add_argument("--within", type=float, help="of perplexity, lost at most, a standard error added")
    parser.add_argument("--tokens", type=int, default=TOKENS)
    parser.add_argument("--text", type=Path, help="read instead of the model's own writing")
    parser.add_argument("--deterministic", action="store_true")
    given = parser.parse_args()
    text = given.text.read_text() if given.text else ""
    folder, threads = str(given.model.absolute().parent), probe().processor.cores
    job = QualityJob(str(given.model), str(sidecar_of(given.model)), folder, threads, given.tokens, float("inf"), text)
    with passes(job, lambda doing, done: None) as run:
        found = list(_found(given, run))
    print(json.dumps({"command": shlex.join(["python", *sys.argv]), "qualities": found}, indent=1))


def _found(given: argparse.Namespace, run: Passes) -> Iterator[dict[str, Any]]:
    asked = [Shares(given.missed, given.low, given.skipped)] if given.missed is not None else _of_runs(given.like)
    shares = [float(share) for share in given.shares.split(",")]
    for each in asked:
        yield _as_served(run, each, given.deterministic)
    for share in shares if not asked else ():
        if given.within is not None:
            yield _within(run, given.within, share, given.deterministic)
            continue
        for pair in given.thresholds.split(","):
            low, skip = map(float, pair.split(":"))
            yield _told(run.quality(low, skip, given.deterministic, share))


def _of_runs(file: Path | None) -> list[Shares]:
    """The median of the rounds of every memory share."""
    lines = file.read_text().splitlines() if file else []
    runs = [json.loads(line) for line in lines if line.startswith("{")]
    runs = [run for run in runs if run.get("contestant") == "approximate"]
    if file and not runs:
        raise SystemExit(f"{file} tells of no run of experts.py with stand-ins")
    return [
        Shares(*(median(run[f"share_{name}"] for run in runs if run["share"] == share) for name in Shares._fields))
        for share in dict.fromkeys(run["share"] for run in runs)
    ]


def _as_served(run: Passes, asked: Shares, deterministic: bool) -> dict[str, Any]:
    def measured(setting: Setting) -> Shares:
        found = run.served(setting.low, setting.skip, deterministic, setting.share)
        print(f"{setting}: {found}", file=sys.stderr)
        return found

    best = match(measured, asked, run.least)
    at = best.setting
    return {"asked": asked._asdict(), "met": best.met} | _told(run.quality(at.low, at.skip, deterministic, at.share))


def _within(run: Passes, most: float, share: float, deterministic: bool) -> dict[str, Any]:
    tried: dict[tuple[float, float], tuple[Quality, Quality]] = {}

    def measured(low: float, skip: float, _: bool) -> Quality:
        if (low, skip) not in tried:
            tried[low, skip] = run.halves(low, skip, deterministic, share)
            print(f"{low}:{skip}: {tried[low, skip][0].words}", file=sys.stderr)
        return tried[low, skip][0]

    best = choose(measured, most=most)
    if best is None:
        return {"share": share, "within": most, "found": None}
    chosen, told = tried[best.low, best.skip]
    return {"within": most, "passes": len(tried), "chosen_on": _told(chosen)} | _told(told)


def _told(quality: Quality) -> dict[str, Any]:
    """`lost` is measured on the tokens that came, `lost_error` its standard error; `loss` is the estimate that
    decides, as runtime/quality.py says, and `worst_loss` that with a standard error."""
    print(quality.words, file=sys.stderr)
    lost = quality.approximate / quality.exact - 1
    more = {"loss": quality.loss, "worst_loss": quality.worst_loss, "lost": lost, "lost_error": quality.error}
    return {**json.loads(to_json(quality)), **more, "reading": quality.reading}


if __name__ == "__main__":
    main()
