"""What chosen thresholds for stand-ins cost a model's text, at chosen shares of its experts in memory, as JSON:

    python tools/bench/quality.py model.gguf --shares 0.25,0.6 --thresholds 0.6:1,0.5:0.9 [--deterministic]

The stand-ins must lie beside the model (`accel-export experts --only-file`).
"""

import argparse
import json
import shlex
import sys
from pathlib import Path

from accel.devices.probe import probe
from accel.offload.planes import sidecar_of
from accel.runtime.learn_quality import TOKENS
from accel.runtime.measure_quality import QualityJob, passes
from accel.units import to_json


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path)
    parser.add_argument("--shares", default="0.25")
    parser.add_argument("--thresholds", default="0.6:0.9", help="LOW:SKIP, 1 for none")
    parser.add_argument("--tokens", type=int, default=TOKENS)
    parser.add_argument("--text", type=Path)
    parser.add_argument("--deterministic", action="store_true")
    given = parser.parse_args()
    text = given.text.read_text() if given.text else ""
    folder, threads = str(given.model.absolute().parent), probe().processor.cores
    job = QualityJob(str(given.model), str(sidecar_of(given.model)), folder, threads, given.tokens, float("inf"), text)
    found = []
    with passes(job, lambda doing, done: None) as run:
        for share in map(float, given.shares.split(",")):
            for pair in given.thresholds.split(","):
                low, skip = map(float, pair.split(":"))
                quality = run.quality(low, skip, given.deterministic, share)
                found.append({**json.loads(to_json(quality)), "loss": quality.loss, "worst_loss": quality.worst_loss})
                print(quality.words, file=sys.stderr)
    print(json.dumps({"command": shlex.join(["python", *sys.argv]), "qualities": found}, indent=1))


if __name__ == "__main__":
    main()
