"""Records a Mixture-of-Experts model's routing into a file.

    python tools/record_routing.py MODEL.gguf OUT [--tokens 512] [--topics 16] [--seed 0]

The model writes its own text; with --topics it reads tokens that stay within a topic for a while, as a model of
`tools/synthetic_moe.py` (of as many topics) must: it would write noise. `accel bench experts --trace OUT` and
`tools/fit_policy.py OUT` read the file.
"""

import argparse
import os
import sys
from pathlib import Path

import numpy as np

from accel.errors import AccelError, status
from accel.offload.trace import save_trace
from accel.runtime.engines import open_engine
from accel.runtime.engines.options import EngineOptions
from accel.runtime.routing import record_reading, record_writing
from accel.tools.synthetic_moe import topical_tokens


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--tokens", type=int, default=512)
    parser.add_argument("--topics", type=int, default=0)
    parser.add_argument("--seed", type=int, default=0, help="of the tokens that are read")
    given = parser.parse_args()
    try:
        record(given.model, given.out, given.tokens, given.topics, given.seed)
    except AccelError as error:
        print(error, file=sys.stderr)
        return status(error).exit
    return 0


def record(model: Path, out: Path, tokens: int, topics: int, seed: int) -> None:
    """Raises ModelError, EngineError, DiskFull, AccelError."""
    cores = os.cpu_count() or 1
    options = EngineOptions(
        str(model), context=1024, batch=64, ubatch=64, threads=cores, threads_prefill=cores, repack=False, taps=True
    )
    engine = open_engine("llamacpp", options)
    try:
        if topics:
            drawn = topical_tokens(tokens, engine.vocabulary.size, topics, np.random.default_rng(seed))
            trace = record_reading(engine, drawn.tolist(), progress)
        else:
            trace = record_writing(engine, tokens, progress=progress)
    finally:
        engine.close()
    save_trace(out, trace)


def progress(done: float) -> bool:
    if sys.stderr.isatty():
        sys.stderr.write(f"\r{done:4.0%} ")
    return True


if __name__ == "__main__":
    sys.exit(main())
