"""How often drafters were right, across restarts: a small file for each model, beside what the drafters keep."""

import hashlib
import struct
from collections.abc import Mapping, Sequence
from pathlib import Path

from .acceptance import SHARES, Acceptance
from .kept import load_kept, save_kept

MODEL = "model"  # the name of the drafter that has one
LEARNING = "ngrams", "recycling"  # of those that keep more than that
_ENOUGH = 32  # guesses that a share rests on; of fewer nothing is said
_NAME = "acceptance"
_TABLE = struct.Struct(f"<16s{2 * SHARES}d")  # of whom, and what was seen of their guesses


def kept_names(draft: str) -> dict[str, str]:
    """Of a worker's drafters, under what their acceptance is kept: a draft model's, by its fingerprint or "" where
    there is none, is that model's alone."""
    return {name: name for name in ("copying", *LEARNING)} | {MODEL: f"{MODEL} {draft}"}


def load_shares(folder: Path, model: str, draft: str = "") -> dict[str, float]:
    """Of each drafter's guesses that stood, where enough of them were seen: what a plan for the model expects."""
    names = kept_names(draft)
    found = load_acceptance(folder, model, list(names.values()))
    known = {name: found[at] for name, at in names.items() if at in found}
    return {name: seen.overall for name, seen in known.items() if seen.seen >= _ENOUGH}


def save_acceptance(folder: Path, model: str, names: Sequence[str], seen: Mapping[str, Acceptance]) -> None:
    """Of the drafters of these names, whoever of them was seen. Raises DiskFull, AccelError."""
    tables = (_TABLE.pack(_mark(name), *seen.get(name, Acceptance()).table()) for name in names)
    save_kept(folder, _NAME, model, b"".join(tables))


def load_acceptance(folder: Path, model: str, names: Sequence[str]) -> dict[str, Acceptance]:
    """What `save_acceptance` left there for as many drafters, of those that are sound and have these names."""
    payload = load_kept(folder, _NAME, model, len(names) * _TABLE.size)
    found: dict[str, Acceptance] = {}
    for name, (mark, *table) in zip(names, _TABLE.iter_unpack(payload or b""), strict=False):
        if mark == _mark(name) and any(table) and (seen := Acceptance.of_table(table)):
            found[name] = seen
    return found


def _mark(name: str) -> bytes:
    return hashlib.blake2b(name.encode(), digest_size=16).digest()
