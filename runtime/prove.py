"""Whether an engine runs here, not whether it imports: a process of its own opens a model in it and decodes a token.

A wheel built for another processor, a driver that hangs or a library that aborts then ends that process and not ours.
"""

import json
import subprocess
import sys
import time
from dataclasses import dataclass, fields
from typing import Any

from ..errors import EngineError

_TEXT = "Once upon a time"


@dataclass(frozen=True, slots=True)
class Proof:
    engine: str
    ran: bool
    seconds: float  # from the start of its process to the decoded token's logits
    why: str  # what it did, or what went wrong


def prove(engine: str, limit: float = 60.0) -> Proof:
    """Opens the demo's draft model in an engine and decodes one token, within `limit` seconds."""
    began = time.perf_counter()
    command = [sys.executable, "-P", "-m", __name__, engine]
    try:
        done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, timeout=limit)
    except subprocess.TimeoutExpired:
        return Proof(engine, False, limit, f"did not answer within {limit:g} s")
    seconds = time.perf_counter() - began
    if done.returncode:
        return Proof(engine, False, seconds, _why(done.returncode, done.stderr))
    return Proof(engine, True, seconds, json.loads(done.stdout.splitlines()[-1])["did"])


def _why(code: int, errors: bytes) -> str:
    if code < 0:
        return f"its process was ended by signal {-code}" + (": built for another processor" if code == -4 else "")
    lines = [line.strip() for line in errors.decode(errors="replace").splitlines() if line.strip()]
    return lines[-1].rpartition("accel.errors.")[2] if lines else f"its process ended with {code}"


def _decode_one(engine: str) -> str:
    """Raises EngineError where the logits are not those of a model that works."""
    from .engines import open_engine, options_type
    from .engines.base import Batch

    opened = open_engine(engine, _options(options_type(engine)))
    try:
        prompt = opened.vocabulary.encode(_TEXT, start=True)
        token = _best(opened.forward(Batch.chain(0, prompt)), len(prompt) - 1, opened.vocabulary.size)
        opened.commit(0, range(len(prompt)))
        _best(opened.forward(Batch.chain(0, [token])), 0, opened.vocabulary.size)
    finally:
        opened.close()
    return f"read {len(prompt)} tokens and decoded one"


def _options(record: type) -> Any:
    """The least that an engine takes; those that open a file get the demo's draft model."""
    from .demo import draft

    takes = {field.name for field in fields(record)}
    wanted = {"path": str(draft()), "context": 256, "batch": 64, "ubatch": 64}
    return record(**{name: value for name, value in wanted.items() if name in takes})


def _best(rows: Any, row: int, vocabulary: int) -> int:
    import numpy as np

    logits = rows.row(row)
    if logits.shape != (vocabulary,) or not np.isfinite(logits).all() or not np.ptp(logits):
        raise EngineError("its logits are not numbers, or all alike", "install it again")
    return int(np.argmax(logits))


if __name__ == "__main__":
    print(json.dumps({"did": _decode_one(sys.argv[1])}))
