"""The synthetic model runs in llama.cpp, is the same each time, and its token streams stay within topics."""

import numpy as np
import pytest

from accel.errors import UsageError
from accel.runtime.model import ModelSpec
from accel.tools.synthetic_moe import Shapes, topical_tokens, write_synthetic_moe

from ..exporters.llama import Llama

TINY = Shapes(
    layers=2, experts=8, used=2, width=128, expert_width=64, heads=4, kv_heads=2, head=32, vocabulary=512, topics=4
)


def test_llama_cpp_computes_sane_logits_from_it(tmp_path):
    path = tmp_path / "moe.gguf"
    write_synthetic_moe(path, TINY)
    spec = ModelSpec.read(path)
    assert (spec.experts, spec.experts_used, spec.layers) == (8, 2, 2)
    with Llama(path) as model:
        logits = model.logits([7, 200, 300, 9])
    assert np.isfinite(logits).all() and len(set(logits.argmax(-1))) > 1


def test_the_same_seed_gives_the_same_bytes(tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    files = [tmp_path / folder / "moe.gguf" for folder in ("a", "b")]
    for file in files:
        write_synthetic_moe(file, TINY, seed=3)
    assert files[0].read_bytes() == files[1].read_bytes()


def test_tokens_stay_within_a_topic_for_a_while():
    tokens = topical_tokens(4000, 4096, 16, np.random.default_rng(0), switch=0.03)
    changes = np.count_nonzero(np.diff(tokens // 256)) / len(tokens)
    assert 0.02 < changes < 0.04 and len(set((tokens // 256).tolist())) > 10


@pytest.mark.parametrize("change", [{"used": 9}, {"width": 100}, {"heads": 3}, {"layers": 0}, {"topics": 9}])
def test_shapes_that_cannot_be_are_refused(tmp_path, change):
    from dataclasses import replace

    with pytest.raises(UsageError):
        write_synthetic_moe(tmp_path / "moe.gguf", replace(TINY, **change))
    assert not list(tmp_path.iterdir())
