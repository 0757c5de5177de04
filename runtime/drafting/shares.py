"""How often each drafter's guesses stood, kept across restarts: what the next plan for a model expects of drafting."""

import struct
from collections.abc import Mapping
from pathlib import Path

from .acceptance import Acceptance
from .kept import load_kept, save_kept

DRAFTERS = ("copying", "ngrams", "recycling", "model")  # in the order of the file
_FORM = struct.Struct("<4d")
_ENOUGH = 32  # guesses that a share rests on; of fewer nothing is said
_NAME = "shares"


def save_shares(folder: Path, model: str, seen: Mapping[str, Acceptance]) -> None:
    """Of a model by its fingerprint; of whom little was seen, what was kept stays. Raises DiskFull, AccelError."""
    shares = load_shares(folder, model)
    shares |= {name: share.overall for name, share in seen.items() if share.seen >= _ENOUGH}
    if shares:
        save_kept(folder, _NAME, model, _FORM.pack(*(shares.get(name, -1.0) for name in DRAFTERS)))


def load_shares(folder: Path, model: str) -> dict[str, float]:
    """Of those whose shares are known."""
    payload = load_kept(folder, _NAME, model, _FORM.size)
    shares = _FORM.unpack(payload) if payload else ()
    return {name: share for name, share in zip(DRAFTERS, shares, strict=False) if 0 <= share <= 1}
