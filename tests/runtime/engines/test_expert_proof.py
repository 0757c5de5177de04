"""Hundreds of tokens bit for bit as from a plain engine, while experts are evicted at random, read late and in pieces,
and foretold wrongly; on three models, with memory for all of their experts down to those of one token."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from accel.exporters.gguf import convert
from accel.offload.store import _library
from accel.runtime.demo import target
from accel.runtime.engines import open_engine
from accel.runtime.model import ModelSpec
from accel.tools.synthetic_moe import Shapes, topical_tokens, write_synthetic_moe

from .managed import SHARES, Disturbance, closing, logits, open_managed, plain_options, shown

pytestmark = pytest.mark.skipif(_library() is None, reason="store.c is not compiled here")

TRAINED = Path(__file__).resolve().parents[4] / "shared" / "assets" / "models" / "trained" / "moe"
SHAPES = Shapes(
    layers=6, experts=32, used=4, width=512, expert_width=256, heads=8, kv_heads=2, head=64, vocabulary=2048, topics=8
)
MODELS = ["demo", "trained", "synthetic"]
PROMPT, TOKENS, MANY = 60, 120, 500


@dataclass(frozen=True)
class Subject:
    path: Path
    tokens: list[int]
    wanted: list[bytes]  # logits of a plain engine


@pytest.fixture(scope="module")
def subject(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str, int], Subject]:
    """A model by its name and so many tokens after a prompt, computed once."""
    known: dict[tuple[str, int], Subject] = {}

    def get(name: str, count: int) -> Subject:
        if (name, count) not in known:
            path, random = make(name, tmp_path_factory), np.random.default_rng(7)
            topics = SHAPES.topics if name == "synthetic" else 0
            tokens = topical_tokens(PROMPT + count, ModelSpec.read(path).vocabulary, topics, random).tolist()
            wanted = closing(open_engine("llamacpp", plain_options(path)), tokens, PROMPT)
            known[name, count] = Subject(path, tokens, wanted)
        return known[name, count]

    return get


def make(name: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    if name == "demo":
        return target()
    if name == "trained" and not TRAINED.is_dir():
        pytest.skip(f"there is no trained checkpoint in {TRAINED}")
    path = tmp_path_factory.mktemp("models") / f"{name}.gguf"
    if name == "trained":
        convert(TRAINED, path, "Q8_0")
    else:
        write_synthetic_moe(path, SHAPES)
    return path


def prove(subject: Subject, share: float, faults: Any) -> None:
    faults.delay, faults.cut, faults.interrupt = 500_000, 6, 9
    engine = open_managed(plain_options(subject.path), share)
    disturbance, store, residency = Disturbance(engine), engine.experts.store, engine.experts.residency
    found = logits(engine, subject.tokens, PROMPT, disturbance)
    moved, (size, reads, _), held = shown(engine), store.counts, residency.bytes_held
    engine.close()
    count = len(subject.tokens) - PROMPT
    assert len(found) == count + 1 and found == subject.wanted
    # All of that did happen.
    assert moved > 0 and held <= residency.budget
    assert disturbance.dropped > count and disturbance.wrong > count and faults.happened > 50
    assert reads > count and size > reads * min(store.rooms) // 2


@pytest.mark.parametrize("share", [0.25, 0.0])
@pytest.mark.parametrize("name", MODELS)
def test_a_hundred_tokens_are_the_same_bit_for_bit(subject, faults, name, share):
    prove(subject(name, TOKENS), share, faults)


@pytest.mark.heavy
@pytest.mark.timeout(600)
@pytest.mark.parametrize("share", SHARES)
@pytest.mark.parametrize("name", MODELS)
def test_five_hundred_tokens_are_the_same_bit_for_bit(subject, faults, name, share):
    prove(subject(name, MANY), share, faults)
